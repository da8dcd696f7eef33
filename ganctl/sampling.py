"""Generator + seeds → images, in batches, with the generator in eval mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ganctl import latents
from ganctl.images import Pixels, to_pixels

CHUNK = 64
"""The one batch size that a generator is ever sampled with. Kernels are chosen by shape, and
another shape may round differently: with one, a seed's picture never depends on its neighbours."""


def sample_seeds(generator: nn.Module, seeds: Sequence[int], latent_dim: int) -> Iterator[Pixels]:
    """The images of `seeds`, in order, as chunks of uint8 (<= CHUNK, H, W, C).

    A chunk is made when it is asked for, so that any number takes no more memory than one.
    """
    for start in range(0, len(seeds), CHUNK):
        yield _sample_chunk(generator, latents.from_seeds(seeds[start : start + CHUNK], latent_dim))


def sample_latents(generator: nn.Module, points: Tensor) -> Iterator[Pixels]:
    """The images of `points`, float32 (N, latent_dim), as `sample_seeds` gives them."""
    for start in range(0, len(points), CHUNK):
        yield _sample_chunk(generator, points[start : start + CHUNK])


@torch.inference_mode()
def _sample_chunk(generator: nn.Module, chunk: Tensor) -> Pixels:
    padded = torch.zeros(CHUNK, chunk.shape[1])
    padded[: len(chunk)] = chunk
    training = generator.training
    device = next(generator.parameters()).device
    images = generator.eval()(padded.to(device))[: len(chunk)]
    generator.train(training)
    return to_pixels(images)
