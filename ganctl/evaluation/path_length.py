"""How evenly images change on a walk between two samples, as a feature network sees them."""

from __future__ import annotations

import torch
from torch import nn

from ganctl import latents, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.datasets.dataset import Progress
from ganctl.features import FeatureNetwork, extract
from ganctl.rng import Stream

MAX_WALKS = 500
"""Number of walks that the length is the mean of, unless there are fewer samples."""
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
    random = Stream.WALKS.generator()
    points = [first, last]
    times = random.uniform(0, 1 - _STEP, num_walks)
    for later in (0, _STEP):
        walks = zip(first, last, times + later, strict=True)
        points.append(torch.stack([latents.slerp(a, b, float(t)) for a, b, t in walks]))
    labels = [walk % max(1, network.num_classes) for walk in range(num_walks)]
    inputs = sampling.inputs_at(torch.cat(points), network, labels * len(points))
    task = "walking between samples"
    progress(task, 0, len(inputs))
    drawn = sampling.sample_latents(generator, inputs, network)
    found = extract(features, drawn, lambda done: progress(task, done, len(inputs)))
    start, end, before, after = found.features.double().view(len(points), num_walks, -1)
    whole = float((end - start).square().sum(1).mean())
    part = float((after - before).square().sum(1).mean())
    return part / _STEP**2 / whole if whole else None
