"""How evenly images change on a walk between two samples, as a feature network sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganctl import latents, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.datasets.dataset import Progress
from ganctl.features import FeatureNetwork, extract
from ganctl.rng import Stream

MAX_WALKS = 500
"""Number of walks that the length is the mean of, unless there are fewer samples."""
_NUM_THROUGH = 32
_STEP = 1 / 16
"""Part of a walk between the two images that are compared. The paper's 1e-4 would be lost in images
that are rounded to bytes."""


def path_length(
    generator: nn.Module,
    network: NetworkConfig,
    features: FeatureNetwork,
    num_walks: int,
    progress: Progress,
) -> float | None:
    """Return the perceptual path length of a generator; None if all of its images look the same.

    E[d(G(slerp(a, b; t)), G(slerp(a, b; t + e)))^2] / e^2 (Karras et al. 2019, section 4.1), over
    random t and pairs of latents, both of one class. The distance d is that of features, in units
    of the root mean square distance of G(a) from G(b): 1 is a straight and even walk, and the more
    suddenly images change, the larger is the length.
    """
    first, last = (
        latents.from_seeds(range(start, 2 * num_walks, 2), network.latent_dim) for start in (0, 1)
    )
    times = Stream.WALKS.generator().uniform(0, 1 - _STEP, num_walks)
    points = [first, last]
    for later in (0, _STEP):
        walks = zip(first, last, times + later, strict=True)
        points.append(torch.stack([latents.slerp(a, b, float(t)) for a, b, t in walks]))
    measured = _Walks(generator, network, features, torch.stack(points)[None])
    (length,) = measured.lengths("walking between samples", progress)
    return length


def path_lengths_along(
    generator: nn.Module,
    network: NetworkConfig,
    features: FeatureNetwork,
    vectors: NDArray[np.float32],
    reach: float,
    progress: Progress,
) -> tuple[float | None, ...]:
    """Return the path length along each direction, (K, latent_dim).

    It is that of `path_length` for straight walks through 32 seeds, from -`reach` to `reach`.
    """
    start = latents.from_seeds(range(_NUM_THROUGH), network.latent_dim)
    times = torch.from_numpy(Stream.WALKS.generator().uniform(0, 1 - _STEP, _NUM_THROUGH))
    places = torch.stack([torch.zeros_like(times), torch.ones_like(times), times, times + _STEP])
    shifts = (reach * (2 * places - 1)).float()[None, :, :, None]
    points = start + shifts * torch.from_numpy(vectors)[:, None, None]
    walks = _Walks(generator, network, features, points)
    return tuple(walks.lengths("walking along directions", progress))


@dataclass(frozen=True)
class _Walks:
    """Sets of walks whose lengths are measured."""

    generator: nn.Module
    network: NetworkConfig
    features: FeatureNetwork
    points: Tensor
    """Latents (sets, 4, walks, latent_dim): both ends of each walk, and two points inside it."""

    def lengths(self, task: str, progress: Progress) -> list[float | None]:
        """Return the length of each set; None if all of its images look the same."""
        num_sets, num_points, num_walks, _ = self.points.shape
        labels = [walk % max(1, self.network.num_classes) for walk in range(num_walks)]
        inputs = sampling.inputs_at(
            self.points.flatten(0, 2), self.network, labels * num_points * num_sets
        )
        progress(task, 0, len(inputs))
        drawn = sampling.sample_latents(self.generator, inputs, self.network)
        found = extract(self.features, drawn, lambda done: progress(task, done, len(inputs)))
        seen = found.features.double().view(num_sets, num_points, num_walks, -1)
        start, end, before, after = seen.unbind(1)
        whole = (end - start).square().sum(2).mean(1)
        part = (after - before).square().sum(2).mean(1)
        pairs = zip(part.tolist(), whole.tolist(), strict=True)
        return [each / _STEP**2 / of_all if of_all else None for each, of_all in pairs]
