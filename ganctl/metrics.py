"""How far generated images are from real ones: pure functions of their features and logits.

`fake` and `real` are features, float (N, D) and (M, D); computed in float64. What each figure
means, and what it does not: docs/evaluation.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganctl import places
from ganctl.rng import Fixed

NEIGHBOURS = 5
"""k of precision, recall, density and coverage, as Naeem et al. 2020 chose it."""
SURE = 0.95
"""The probability from which on a classifier counts as sure."""
_CHUNK = 1000
"""Rows of a table of distances that are in memory at once."""
_SUBSETS, _SUBSET_SIZE = 100, 1000

places.lend_to_matplotlib()  # which torchmetrics imports


class Frechet:
    """The Frechet distance to one set of real features. Heusel et al. 2017, eq. 6.

    Falls with the number of samples: compare figures of the same number only.
    """

    def __init__(self, real: Tensor) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        self._metric = _metric(FrechetInceptionDistance, real, reset_real_features=False)
        self._metric.update(real.double(), real=True)

    def distance(self, fake: Tensor) -> float:
        """Of `fake`, two rows at least."""
        self._metric.reset()
        self._metric.update(fake.double(), real=False)
        return float(self._metric.compute())


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    """Squared maximum mean discrepancy with the kernel (x·y / D + 1)^3, without bias (KID).

    Binkowski et al. 2018, section 4: the mean over 100 subsets of 1,000 (or all, where there are
    fewer). Can be negative where both are alike.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(_SUBSET_SIZE, len(fake), len(real))
    with _quietly():
        metric = _metric(
            KernelInceptionDistance,
            real,
            # Where a subset is all there is, another one would be the same.
            subsets=1 if size == len(fake) == len(real) else _SUBSETS,
            subset_size=size,
        )
        metric.update(real.double(), real=True)
        metric.update(fake.double(), real=False)
        return float(metric.compute()[0])


def classifier_score(logits: Tensor) -> float:
    """exp of the mean Kullback-Leibler divergence of each image's classes from those of all.

    Salimans et al. 2016, section 4, with `logits`, (N, C), of any classifier: from 1 to C, C where
    each image is surely of one class and all classes are as frequent.
    """
    from torchmetrics.image.inception import InceptionScore

    with _quietly():
        metric = _metric(InceptionScore, logits, splits=1)
        metric.update(logits.double())
        return float(metric.compute()[0])


@dataclass(frozen=True)
class Manifold:
    """Shares of two sets that lie near one another."""

    precision: float
    """Of the fakes, those that lie in the ball of any real: what is drawn looks real."""
    recall: float
    """Of the reals, those that lie in the ball of any fake: what is real is drawn."""
    density: float
    """In how many reals' balls a fake lies, by k: precision that outliers do not lift; no share."""
    coverage: float
    """Of the reals, those whose ball holds a fake: recall that outliers do not lift."""


def manifold(fake: Tensor, real: Tensor, neighbours: int = NEIGHBOURS) -> Manifold:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A point's ball reaches to its `neighbours`-th nearest neighbour in its own set; both sets need
    more points than that.
    """
    fake, real = fake.double(), real.double()
    real_radius, fake_radius = _radii(real, neighbours), _radii(fake, neighbours)
    in_real, recalled, covered = [], [], []
    for distances, radius in zip(
        _distances(real, fake), torch.split(real_radius, _CHUNK), strict=True
    ):
        inside = distances < radius[:, None]
        in_real.append(inside.sum(0))
        covered.append(distances.amin(1) < radius)
        recalled.append((distances < fake_radius).any(1))
    balls = torch.stack(in_real).sum(0).double()
    return Manifold(
        precision=_share(balls > 0),
        recall=_share(torch.cat(recalled)),
        density=float(balls.mean() / neighbours),
        coverage=_share(torch.cat(covered)),
    )


def nearest_distances(points: Tensor, others: Tensor) -> Tensor:
    """How far each of `points`, (N, D), is from the nearest of `others`, (M, D); float64 (N,)."""
    return torch.cat([table.amin(1) for table in _distances(points.double(), others.double())])


def class_shares(logits: Tensor) -> list[float]:
    """The share of images that each class gets, by `logits`, (N, C)."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return [float(share) for share in counts.double() / len(logits)]


def classes_found(shares: Sequence[float]) -> int:
    """How many classes have a share at all: modes, where each class is one."""
    return sum(share > 0 for share in shares)


def uniform_divergence(shares: Sequence[float]) -> float:
    """The Kullback-Leibler divergence, in nats, of `shares` from a uniform distribution.

    As modes are counted in Metz et al. 2017, section 3.3.1. Never quite 0: N samples of K classes
    as frequent have about (K - 1) / 2N.
    """
    return sum(share * math.log(share * len(shares)) for share in shares if share > 0)


def sure_share(logits: Tensor) -> float:
    """The share of images whose class has a probability of at least SURE, by `logits`, (N, C)."""
    return _share(logits.double().softmax(1).amax(1) >= SURE)


def _metric(kind: type, features: Tensor, **how: Any) -> Any:
    """torchmetrics' metric of `kind` for such `features`: every one that is used is made here."""
    # One process has all of them: the others, of which there may be some, know of no metric.
    return kind(_Features(features.shape[1]), sync_on_compute=False, **how)


class _Features(nn.Identity):
    """The feature network that torchmetrics asks for: what it gets are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


@contextmanager
def _quietly() -> Iterator[None]:
    """torchmetrics warns of buffers, and draws subsets from torch's own global random numbers."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.random.manual_seed(Fixed.KERNEL_SUBSETS)  # noqa: TID251
        yield


def _distances(points: Tensor, others: Tensor) -> Iterator[Tensor]:
    for rows in torch.split(points, _CHUNK):
        yield torch.cdist(rows, others)


def _radii(points: Tensor, neighbours: int) -> Tensor:
    """Each point's distance to its `neighbours`-th nearest, itself not counted."""
    tables = _distances(points, points)
    nearest = [table.topk(neighbours + 1, dim=1, largest=False).values for table in tables]
    return torch.cat([distances[:, -1] for distances in nearest])


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
