"""Sampling from a generator, always in eval mode and with one batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganctl import latents
from ganctl.config.schema import NetworkConfig
from ganctl.images import Pixels, to_pixels
from ganctl.networks.summary import generator_output_bytes

CHUNK = 256
"""Maximum batch size: large enough for a few cores, small enough for a single image."""
_CHUNK_BYTES = 2**27
"""Maximum size of all layers' outputs for a batch, unless it is a single image. The forward pass
takes less memory than that."""
_NUM_AHEAD = 4 * CHUNK
"""Number of latents drawn at once. Drawing them for each batch would find every cache cold."""

Labels = Sequence[int] | NDArray[np.int64]
"""Classes of images, (N,)."""


def chunk_size(network: NetworkConfig) -> int:
    """Return the batch size that generators of this shape are always sampled with.

    It is CHUNK for small images, and a smaller power of two for larger ones. Kernels are chosen by
    shape, and another shape may round differently: with a single batch size an image never depends
    on those beside it.
    """
    fitting = _CHUNK_BYTES // generator_output_bytes(network)
    return min(CHUNK, 2 ** (fitting.bit_length() - 1)) if fitting else 1


def drawing_bytes(network: NetworkConfig) -> int:
    """Return the maximum memory that drawing takes, in bytes, without the images themselves."""
    return chunk_size(network) * generator_output_bytes(network)


def sample_seeds(
    generator: nn.Module,
    seeds: Sequence[int],
    network: NetworkConfig,
    labels: Labels | None = None,
    truncation: float = 1.0,
    shift: NDArray[np.float32] | None = None,
) -> Iterator[Pixels]:
    """Yield the images of `seeds` in chunks, uint8 (n, H, W, C) with n <= chunk_size.

    `labels`, `truncation` and `shift` are those of `inputs_of`. Chunks are drawn one at a time.
    """
    for start in range(0, len(seeds), _NUM_AHEAD):
        part = slice(start, start + _NUM_AHEAD)
        part_labels = None if labels is None else labels[part]
        points = inputs_of(seeds[part], network, part_labels, truncation, shift)
        yield from sample_latents(generator, points, network)


def inputs_of(
    seeds: Sequence[int],
    network: NetworkConfig,
    labels: Labels | None = None,
    truncation: float = 1.0,
    shift: NDArray[np.float32] | None = None,
) -> Tensor:
    """Return the generator's inputs for `seeds`, float32 (N, input_dim).

    `labels` are the classes if the network is conditional; by default seed k is of class k modulo
    their number, so that ten seeds in a row are ten digits.

    `truncation`, psi in (0, 1], scales latents to psi z, of N(0, psi^2), as the temperature of
    Kingma & Dhariwal 2018 (Glow, section 6). It trades variety for typical images, like the
    truncation trick of Brock et al. 2019 (BigGAN, section 3.1), but rejects no draw: each image
    remains a continuous function of psi. `shift`, (latent_dim,), is added to
    each latent afterwards.
    """
    count = network.num_classes
    if labels is None and count:
        labels = classes_of(seeds, count)
    points = latents.from_seeds(seeds, network.latent_dim)
    return inputs_at(points, network, labels, truncation, shift)


def inputs_at(
    points: Tensor | NDArray[np.float32],
    network: NetworkConfig,
    labels: Labels | None = None,
    truncation: float = 1.0,
    shift: NDArray[np.float32] | None = None,
) -> Tensor:
    """Return the generator's inputs for latents, float32 (N, latent_dim), as `inputs_of` does.

    `labels` are their classes, which a conditional network needs.
    """
    scaled = truncation * torch.as_tensor(points)
    if shift is not None:
        scaled = scaled + torch.from_numpy(shift)
    if not network.num_classes:
        return scaled
    assert labels is not None
    numbers = torch.from_numpy(np.array(labels, np.int64))
    return latents.with_classes(scaled, numbers, network.num_classes)


def classes_of(seeds: Sequence[int], num_classes: int) -> NDArray[np.int64]:
    """Return the default class of each seed, (N,): the seed modulo `num_classes`."""
    return np.array([seed % num_classes for seed in seeds], np.int64)


def sample_latents(
    generator: nn.Module, points: Tensor, network: NetworkConfig
) -> Iterator[Pixels]:
    """Yield the images of the inputs `points`, float32 (N, input_dim), as `sample_seeds` does."""
    size = chunk_size(network)
    for start in range(0, len(points), size):
        yield _sample_chunk(generator, points[start : start + size], size)


@torch.inference_mode()
def _sample_chunk(generator: nn.Module, chunk: Tensor, size: int) -> Pixels:
    padded = torch.zeros(size, chunk.shape[1])
    padded[: len(chunk)] = chunk
    training = generator.training
    device = next(generator.parameters()).device
    images = generator.eval()(padded.to(device))[: len(chunk)]
    generator.train(training)
    return to_pixels(images)
