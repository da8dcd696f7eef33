"""Metrics of generated and of real images: all of them, or a few quick ones for each epoch."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ganctl import metrics
from ganctl.datasets.dataset import Progress
from ganctl.datasets.local import cache
from ganctl.evaluation.real_features import RealImages, activations, chunks
from ganctl.features import Activations, FeatureNetwork, extract
from ganctl.history import QUALITY_METRICS
from ganctl.images import Pixels
from ganctl.rng import Stream

_NUM_EPOCH_TEST = 2000
"""Number of test images that an epoch's samples are compared with."""
_NUM_STEPS = 4
"""Number of steps of a comparison."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of a set of images against test images; docs/evaluation.md explains them."""

    num_samples: int
    frechet_distance: float
    kernel_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    classifier_score: float
    sure_share: float
    class_shares: list[float]
    """Fraction of images in each class; empty if the feature network does not know the classes."""
    classes_found: int | None
    class_divergence: float | None
    """Kullback-Leibler divergence of the classes from equal shares, in nats."""
    nearest_training: float | None
    """Median distance to the nearest training image; None if extracting the features of all of
    them would take hours."""


class Evaluator:
    """An evaluator that compares `count` samples with real images.

    The features of the real images are extracted first. Samples are compared with `test`; `train`
    is what the generator learned from. Both are uint8 (N, H, W, C).
    """

    def __init__(
        self,
        network: FeatureNetwork,
        *,
        test: Pixels,
        train: Pixels,
        count: int,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._network, self._count, self._progress = network, count, progress
        self._chosen = Stream.FLOOR.generator().permutation(len(train))[:count]
        if not network.is_fast:
            test, train = test[:count], train[self._chosen]
        self._test_images, self._floor_images = (RealImages(network, one) for one in (test, train))
        sets = [self._test_images, self._floor_images][: 2 if network.is_fast else 1]
        found = activations(sets, "extracting features of real images", progress)
        self._test, self._train = found[0], found[1] if network.is_fast else None
        self._frechet = metrics.Frechet(self._test.features)

    @property
    def num_test_images(self) -> int:
        """Number of test images used: all, or as many as samples if all would take hours."""
        return len(self._test)

    def measure(self, samples: Iterable[Pixels]) -> Metrics:
        """Return the metrics of generated images, uint8 chunks (n, H, W, C).

        There must be at least `MIN_MEASURED` of them.
        """
        task = "drawing samples"
        self._progress(task, 0, self._count)
        found = extract(
            self._network, samples, lambda done: self._progress(task, done, self._count)
        )
        return self._compare(found, "comparing samples with test images", nearest_of=found)

    def floor(self) -> Metrics:
        """Return the metrics of random training images, which samples can hardly beat.

        `nearest_training` is that of the test images instead. The result is cached.
        """
        key = self._floor_images.key("floor", self._test_images.digest, self._count)
        if (kept := cache.find_bytes(key, "floor")) is not None:
            return Metrics(**json.loads(kept))
        if self._train is None:
            task = "extracting features of training images"
            (found,) = activations([self._floor_images], task, self._progress)
        else:
            found = self._train[torch.from_numpy(self._chosen)]
        floor = self._compare(
            found, "comparing training images with test images", nearest_of=self._test
        )
        cache.keep_bytes(key, "floor", json.dumps(asdict(floor)).encode())
        return floor

    def _compare(self, found: Activations, task: str, *, nearest_of: Activations) -> Metrics:
        progress = functools.partial(self._progress, task)
        progress(0, _NUM_STEPS)
        nearest = None
        if self._train is not None:
            table = metrics.nearest_distances(nearest_of.features, self._train.features)
            nearest = float(table.median())
        values = _compare(found, self._frechet, self._test.features, progress)
        shares = metrics.class_shares(found.logits) if self._network.num_classes else []
        return Metrics(
            num_samples=len(found),
            **values,
            class_shares=shares,
            classes_found=metrics.classes_found(shares) if shares else None,
            class_divergence=metrics.uniform_divergence(shares) if shares else None,
            nearest_training=nearest,
        )


class EpochEvaluator:
    """An evaluator for use after each epoch: quick, and on few samples.

    Its metrics depend on the number of samples, and are not comparable with an `Evaluator`'s.
    """

    def __init__(self, network: FeatureNetwork, *, test: Pixels) -> None:
        self._network = network
        self._test = extract(network, chunks(test[:_NUM_EPOCH_TEST]))
        self._frechet = metrics.Frechet(self._test.features)

    def measure(self, samples: Iterable[Pixels]) -> dict[str, float | None]:
        """Return QUALITY_METRICS of generated images, uint8 chunks (n, H, W, C).

        The Frechet distance is that to 2,000 test images; the other metrics use as many test images
        as there are samples. A metric that is not finite is None.
        """
        found = extract(self._network, samples)
        shares = metrics.class_shares(found.logits)
        values = {
            **_compare(found, self._frechet, self._test.features[: len(found)]),
            "smallest_class": min(shares),
            "largest_class": max(shares),
        }
        return {
            name: values[name] if math.isfinite(values[name]) else None for name in QUALITY_METRICS
        }


def _compare(
    found: Activations,
    frechet: metrics.Frechet,
    real: Tensor,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, float]:
    """Return the metrics that compare images with `real` features, or need their logits alone."""
    fake, logits = found.features, found.logits
    steps: tuple[Callable[[], dict[str, float]], ...] = (
        lambda: {"frechet_distance": frechet.distance(fake)},
        lambda: {"kernel_distance": metrics.kernel_distance(fake, real)},
        lambda: asdict(metrics.manifold(fake, real)),
        lambda: {"classifier_score": metrics.classifier_score(logits),
                 "sure_share": metrics.sure_share(logits)},
    )  # fmt: skip
    values: dict[str, float] = {}
    for done, step in enumerate(steps, 1):
        values |= step()
        progress(done, _NUM_STEPS)
    return values
