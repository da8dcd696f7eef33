"""Generator + seeds → images, in batches, with the generator in eval mode."""

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
"""The largest batch size that a generator is sampled with: enough to keep a few cores busy, and
small enough to draw a single picture at once."""
_CHUNK_BYTES = 2**27
"""What all layers put out for a batch is at most so much, unless it is for a single image. The pass
takes less memory than that."""
_AHEAD = 4 * CHUNK
"""Latents are drawn for so many seeds at once: after each chunk, that finds every cache cold."""


Labels = Sequence[int] | NDArray[np.int64]
"""(N,), numbers of classes."""


def chunk_size(network: NetworkConfig) -> int:
    """Return the one batch size that generators of this shape are ever sampled with.

    It is CHUNK for small images, and a smaller power of two for larger ones. Kernels are chosen by
    shape, and another shape may round differently: with one batch size a seed's picture never
    depends on its neighbours.
    """
    fitting = _CHUNK_BYTES // generator_output_bytes(network)
    return min(CHUNK, 2 ** (fitting.bit_length() - 1)) if fitting else 1


def drawing_bytes(network: NetworkConfig) -> int:
    """Return the bytes of memory that drawing takes at most, besides the pictures themselves."""
    return chunk_size(network) * generator_output_bytes(network)


def sample_seeds(
    generator: nn.Module,
    seeds: Sequence[int],
    network: NetworkConfig,
    labels: Labels | None = None,
    truncation: float = 1.0,
) -> Iterator[Pixels]:
    """The images of `seeds`, in order, as chunks of uint8 (<= chunk_size, H, W, C).

    `labels` are their classes, where `network` has classes; None: each seed has its own. What
    `truncation` is, `inputs_of` says. A chunk is made when it is asked for, so that any number
    takes no more memory than a few.
    """
    for start in range(0, len(seeds), _AHEAD):
        some = slice(start, start + _AHEAD)
        of_some = None if labels is None else labels[some]
        points = inputs_of(seeds[some], network, of_some, truncation)
        yield from sample_latents(generator, points, network)


def inputs_of(
    seeds: Sequence[int],
    network: NetworkConfig,
    labels: Labels | None = None,
    truncation: float = 1.0,
) -> Tensor:
    """What the generator makes the images of `seeds` from, float32 (N, input_dim).

    Unless `labels` says which, seed k is of class k modulo their number: any ten seeds in a row are
    ten digits.

    `truncation`, psi in (0, 1], draws latents nearer to their mean: psi z, of N(0, psi^2), as the
    temperature of Kingma & Dhariwal 2018 (Glow, section 6). It trades variety for typical images,
    like the truncation trick of Brock et al. 2019 (BigGAN, section 3.1), but rejects no draw: each
    image stays a function of its own seed and psi, and of psi continuously.
    """
    points = truncation * latents.from_seeds(seeds, network.latent_dim)
    count = network.num_classes
    if not count:
        return points
    numbers = classes_of(seeds, count) if labels is None else np.array(labels, np.int64)
    return latents.with_classes(points, torch.from_numpy(numbers), count)


def classes_of(seeds: Sequence[int], num_classes: int) -> NDArray[np.int64]:
    """Return the class, (N,), that each seed is of unless another one is asked for."""
    return np.array([seed % num_classes for seed in seeds], np.int64)


def sample_latents(
    generator: nn.Module, points: Tensor, network: NetworkConfig
) -> Iterator[Pixels]:
    """The images of `points`, float32 (N, input_dim), as `sample_seeds` gives them."""
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
