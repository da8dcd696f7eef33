"""The Frechet distance within each class, which sees classes that lack variety or are mixed up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl import metrics
from ganctl.datasets.dataset import Progress

MIN_PER_CLASS = 50
"""Minimum number of samples, and of real images, of each class: the covariance of fewer says little
about the class."""


@dataclass(frozen=True)
class IntraClass:
    """The Frechet distance of the samples of each class to the real images of this class."""

    mean: float | None
    """Mean over the classes (Miyato & Koyama 2018, section 4); None if a class has too few."""
    distances: list[float]
    """Distance of each class; empty if a class has too few."""
    num_samples: list[int]
    """Number of samples of each class."""
    num_images: list[int]
    """Number of real images of each class."""

    @property
    def counts(self) -> str:
        """The numbers of samples and of real images per class, in words."""
        samples, reals = (_range(counts) for counts in (self.num_samples, self.num_images))
        return f"{samples} samples and {reals} real images per class"


def measure(
    samples: tuple[Tensor, NDArray[np.int64]],
    real: tuple[Tensor, NDArray[np.int64]],
    num_classes: int,
    progress: Progress,
) -> IntraClass:
    """Return the distances of samples to real images, each given as features and labels.

    Features are float (N, D) and labels int64 (N,), 0 to `num_classes` - 1.
    """
    ours, reals = (np.bincount(labels, minlength=num_classes).tolist() for _, labels in
                   (samples, real))  # fmt: skip
    if min(*ours, *reals) < MIN_PER_CLASS:
        return IntraClass(None, [], ours, reals)
    distances = []
    for number in range(num_classes):
        progress("comparing classes", number, num_classes)
        fake, truth = (
            features[torch.from_numpy(np.flatnonzero(labels == number))]
            for features, labels in (samples, real)
        )
        distances.append(metrics.Frechet(truth).distance(fake))
    return IntraClass(float(np.mean(distances)), distances, ours, reals)


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
