"""Metrics of generated images against real ones: pure functions of features and logits.

`fake` and `real` are features, float (N, D) and (M, D), and `logits` those of N images, float
(N, C). Everything is computed in float64, but the distances that `manifold` compares and the search
of `nearest_distances`: float32 takes half the time. docs/evaluation.md says what each metric means.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from ganctl.rng import Fixed

NEIGHBORS = 5
"""k of precision, recall, density and coverage, as Naeem et al. 2020 chose it."""
SURE = 0.95
"""Minimum probability at which a classifier counts as sure."""
_CHUNK = 1000
"""Number of rows of a distance matrix that are in memory at once."""
_SUBSETS, _SUBSET_SIZE = 100, 1000


class Frechet:
    """The Frechet distance to one set of real features (Heusel et al. 2017, eq. 6), at least 0.

    It decreases with the number of samples, so compare distances for the same number only.
    """

    def __init__(self, real: Tensor) -> None:
        self._real = _moments(real)

    def distance(self, fake: Tensor) -> float:
        """Return the distance of `fake`, which has at least two rows.

        The trace of (C C')^(1/2) is the sum of the singular values of R R'^T if R and R' are roots
        of both covariances: that takes a fraction of the time of the root of a product.
        """
        (mean, root), (real_mean, real_root) = _moments(fake), self._real
        overlap = torch.linalg.svdvals(root @ real_root.T).sum()
        variances = root.square().sum() + real_root.square().sum()
        return max(0.0, float((mean - real_mean).square().sum() + variances - 2 * overlap))


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    """Return the squared maximum mean discrepancy with the kernel (x·y / D + 1)^3, unbiased (KID).

    It is the mean over 100 subsets of 1,000, or of all if there are fewer (Binkowski et al. 2018,
    section 4), and can be slightly negative for similar sets.
    """
    fake, real = fake.double(), real.double()
    size = min(_SUBSET_SIZE, len(fake), len(real))
    num_subsets = 1 if size == len(fake) == len(real) else _SUBSETS  # all subsets would be equal
    rng = torch.Generator().manual_seed(Fixed.KERNEL_SUBSETS)
    found = []
    for _ in range(num_subsets):
        some_real, some_fake = (
            points[torch.randperm(len(points), generator=rng)[:size]] for points in (real, fake)
        )
        within = [_kernel(points, points) for points in (some_real, some_fake)]
        pairs = sum(table.sum() - table.trace() for table in within) / (size * (size - 1))
        found.append(float(pairs - 2 * _kernel(some_real, some_fake).mean()))
    return sum(found) / num_subsets


def classifier_score(logits: Tensor) -> float:
    """Return exp of the mean KL divergence of each image's classes from the mean of all images'.

    This is the Inception score (Salimans et al. 2016, section 4) for any classifier: 1 to C, and C
    if every image is surely of one class and all classes are equally frequent.
    """
    shares = logits.double().softmax(1)
    entropy = torch.special.entr
    return float((entropy(shares.mean(0)).sum() - entropy(shares).sum(1).mean()).exp())


def inception_score(logits: Tensor) -> float:
    """Return the Inception score of Inception's logits as torch-fidelity computes it by default.

    It is the mean of the scores of ten parts of the images, which are shuffled first (Salimans et
    al. 2016, section 4).
    """
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    return float(isc_features_to_metric(logits)[KEY_METRIC_ISC_MEAN])


@dataclass(frozen=True)
class Manifold:
    """The overlap of two sets of features. A feature's ball reaches to its k-th neighbor."""

    precision: float
    """Fraction of fakes inside the ball of any real, 0 to 1: samples look real."""
    recall: float
    """Fraction of reals inside the ball of any fake, 0 to 1: samples are varied."""
    density: float
    """Mean number of reals' balls around a fake, divided by k; at least 0. It is a precision that
    outliers among the reals do not raise."""
    coverage: float
    """Fraction of reals with a fake in their ball, 0 to 1: a recall that outliers do not raise."""


def manifold(fake: Tensor, real: Tensor, neighbors: int = NEIGHBORS) -> Manifold:
    """Return precision and recall, density and coverage, with k = `neighbors`.

    Kynkaanniemi et al. 2019, eq. 1 and 2; Naeem et al. 2020, section 3. They are defined for as
    many fakes as reals: more fakes lie closer together, their balls shrink, and recall drops.
    Therefore the larger set is split at random into parts as large as the smaller one, of which the
    result is the mean; what remains is left out. Both sets must have more rows than k.
    """
    size = min(len(fake), len(real))
    fakes, reals = (_parts(points, size) for points in _near_zero(fake, real))
    found = [
        astuple(_overlap(*pair, neighbors=neighbors)) for pair in itertools.product(fakes, reals)
    ]
    return Manifold(*(sum(column) / len(found) for column in zip(*found, strict=True)))


def nearest_distances(points: Tensor, others: Tensor) -> Tensor:
    """Return the distance of each of `points`, (N, D), to the nearest of `others`, (M, D).

    The result is float64 (N,). Where two are equally near up to float32's rounding, either may be
    taken.
    """
    rows, columns = _near_zero(points, others)
    half = columns.square().sum(1) / 2  # |p - o|^2 / 2 is this less p·o, and what p alone decides
    with torch.autocast(rows.device.type, enabled=False):  # a host program's bf16 is too coarse
        nearest = torch.cat([
            torch.addmm(half, some, columns.T, alpha=-1).argmin(1)
            for some in torch.split(rows, _CHUNK)
        ])  # fmt: skip
    points, others = points.double(), others.double()
    distances: Tensor = torch.linalg.vector_norm(points - others[nearest], dim=1)
    return distances


def nearest_neighbors(points: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the distances of a few `points`, (N, D), to the nearest `count` of `others`, (M, D).

    The result is the distances, float64 (N, count), the nearest first, and the places of these
    neighbors among `others`, int64 (N, count).
    """
    found = torch.cdist(points.double(), others.double()).topk(count, dim=1, largest=False)
    return found.values, found.indices


def nearest_others(points: Tensor) -> Tensor:
    """Return the distance of each of `points`, (N, D), to the nearest other one: float64 (N,)."""
    return _radii(points.double(), 1)


def class_shares(logits: Tensor) -> list[float]:
    """Return the fraction of images in each class; they sum to 1."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return [float(share) for share in counts.double() / len(logits)]


def classes_found(shares: Sequence[float]) -> int:
    """Return the number of classes with any image: the number of modes if each class is one."""
    return sum(share > 0 for share in shares)


def uniform_divergence(shares: Sequence[float]) -> float:
    """Return the Kullback-Leibler divergence of `shares` from a uniform distribution, in nats.

    Modes are compared in this way by Metz et al. 2017, section 3.3.1. It is never quite 0: N
    samples of K equally frequent classes have about (K - 1) / 2N.
    """
    return sum(share * math.log(share * len(shares)) for share in shares if share > 0)


def sure_share(logits: Tensor) -> float:
    """Return the fraction of images whose class has a probability of at least SURE."""
    return _fraction(logits.double().softmax(1).amax(1) >= SURE)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of features, float64 (D,), and a root R of their covariance R^T R, (K, D).

    K is at most D: few features are their own root.
    """
    features = features.double()
    mean = features.mean(0)
    root = (features - mean) / math.sqrt(len(features) - 1)
    return mean, root if len(root) <= root.shape[1] else torch.linalg.qr(root, mode="r").R


def _kernel(points: Tensor, others: Tensor) -> Tensor:
    """Return the polynomial kernel of all pairs, (N, M)."""
    base = torch.addmm(points.new_ones(1), points, others.T, alpha=1 / points.shape[1])
    return (base * base).mul_(base)  # far faster than a power


def _distances(points: Tensor, others: Tensor) -> Iterator[Tensor]:
    for rows in torch.split(points, _CHUNK):
        yield torch.cdist(rows, others)


def _near_zero(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in float32, shifted so that the mean of `others` is 0.

    Numbers near 0 lose least by rounding.
    """
    points, others = points.double(), others.double()
    center = others.mean(0)
    return (points - center).float(), (others - center).float()


def _parts(points: Tensor, size: int) -> tuple[Tensor, ...]:
    """Return as many random, disjoint parts of `size` rows as there are, (size, D) each."""
    rng = torch.Generator().manual_seed(Fixed.MANIFOLD_PARTS)
    order = torch.randperm(len(points), generator=rng)[: len(points) // size * size]
    return torch.split(points[order], size)


def _overlap(fake: Tensor, real: Tensor, neighbors: int) -> Manifold:
    """Return the overlap of as many fakes as reals, float32 (N, D)."""
    real_radius, fake_radius = _radii(real, neighbors), _radii(fake, neighbors)
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
        precision=_fraction(balls > 0),
        recall=_fraction(torch.cat(recalled)),
        density=float(balls.mean() / neighbors),
        coverage=_fraction(torch.cat(covered)),
    )


def _radii(points: Tensor, neighbors: int) -> Tensor:
    """Return the distance of each point to its `neighbors`-th nearest other point."""
    tables = _distances(points, points)
    return torch.cat([
        table.topk(neighbors + 1, dim=1, largest=False).values[:, -1] for table in tables
    ])  # fmt: skip


def _fraction(flags: Tensor) -> float:
    return float(flags.double().mean())
