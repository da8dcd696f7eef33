"""A generator's images beside real ones: which are compared, and in which figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch

from ganctl import metrics
from ganctl.datasets.base import Progress
from ganctl.datasets.local import cache
from ganctl.evaluation.real_features import RealImages, chunks
from ganctl.features import Encoded, FeatureNetwork, encode
from ganctl.history import QUALITY_METRICS
from ganctl.images import Pixels
from ganctl.rng import Stream

_GAUGED = 2000
_STAGES = 4
"""Metrics that take long, of which progress is told."""


@dataclass(frozen=True)
class Metrics:
    """How near a set of images is to the test images. See docs/evaluation.md."""

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
    """Empty where the feature network knows no classes of such images."""
    classes_found: int | None
    class_divergence: float | None
    """How far the classes are from being as frequent, in nats."""
    nearest_training: float | None
    """The median distance to the nearest training image; None where encoding all takes hours."""


class Evaluator:
    """The real images, encoded once, and what `count` images are measured against.

    `test` is what images are compared with; `train` is what the generator learned from, and what
    the floor is measured on. Both uint8 (N, H, W, C). `progress` is told of all that takes long.
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
        self._test_images = RealImages(network, test if network.small else test[:count])
        self._test = self._test_images.encoded("encoding test images", progress)
        self._chosen = Stream.FLOOR.generator().permutation(len(train))[:count]
        self._train: Encoded | None = None
        self._floor_images = RealImages(network, train if network.small else train[self._chosen])
        if network.small:
            self._train = self._floor_images.encoded("encoding training images", progress)
        self._frechet = metrics.Frechet(self._test.features)

    @property
    def num_test_images(self) -> int:
        """How many images are compared with: all, or as many as samples where that takes hours."""
        return len(self._test)

    def measure(self, samples: Iterable[Pixels]) -> Metrics:
        """The figures of generated images, uint8 chunks (n, H, W, C); `MIN_MEASURED` at least."""
        doing = "drawing samples"
        self._progress(doing, 0, self._count)
        found = encode(
            self._network, samples, lambda done: self._progress(doing, done, self._count)
        )
        return self._figures(found, "comparing samples with test images", nearest_of=found)

    def floor(self) -> Metrics:
        """The same figures for training images drawn at random: hardly any can be better.

        But for `nearest_training`, which is that of the test images. They are computed once and
        kept, as real images' features are.
        """
        key = self._floor_images.key("floor", self._test_images.digest, self._count)
        if (kept := cache.find_bytes(key, "floor")) is not None:
            return Metrics(**json.loads(kept))
        if self._train is None:
            images = self._floor_images.encoded("encoding training images", self._progress)
        else:
            images = self._train[torch.from_numpy(self._chosen)]
        figures = self._figures(
            images, "comparing training images with test images", nearest_of=self._test
        )
        cache.keep_bytes(key, "floor", json.dumps(asdict(figures)).encode())
        return figures

    def _figures(self, found: Encoded, doing: str, *, nearest_of: Encoded) -> Metrics:
        fake, real = found.features, self._test.features
        self._progress(doing, 0, _STAGES)
        frechet_distance = self._frechet.distance(fake)
        self._progress(doing, 1, _STAGES)
        kernel_distance = metrics.kernel_distance(fake, real)
        self._progress(doing, 2, _STAGES)
        near = metrics.manifold(fake, real)
        self._progress(doing, 3, _STAGES)
        nearest = None
        if self._train is not None:
            table = metrics.nearest_distances(nearest_of.features, self._train.features)
            nearest = float(table.median())
        shares = metrics.class_shares(found.logits) if self._network.num_classes else []
        self._progress(doing, _STAGES, _STAGES)
        return Metrics(
            num_samples=len(found),
            frechet_distance=frechet_distance,
            kernel_distance=kernel_distance,
            precision=near.precision,
            recall=near.recall,
            density=near.density,
            coverage=near.coverage,
            classifier_score=metrics.classifier_score(found.logits),
            sure_share=metrics.sure_share(found.logits),
            class_shares=shares,
            classes_found=metrics.classes_found(shares) if shares else None,
            class_divergence=metrics.uniform_divergence(shares) if shares else None,
            nearest_training=nearest,
        )


class EpochEvaluator:
    """An evaluator for a training: cheap, on few samples, its numbers fit for a row of the history.

    Its figures are not those of a Evaluator, since they depend on the number of samples.
    """

    def __init__(self, network: FeatureNetwork, *, test: Pixels) -> None:
        self._network = network
        self._test = encode(network, chunks(test[:_GAUGED]))
        self._frechet = metrics.Frechet(self._test.features)

    def measure(self, samples: Iterable[Pixels]) -> dict[str, float | None]:
        """Return QUALITY_METRICS of generated images against as many test images.

        `samples` are uint8 chunks (n, H, W, C). The Frechet distance is to 2,000 test images. None
        stands for what is not a finite number.
        """
        found = encode(self._network, samples)
        fake, real = found.features, self._test.features[: len(found)]
        shares = metrics.class_shares(found.logits)
        figures = {
            "frechet_distance": self._frechet.distance(fake),
            "kernel_distance": metrics.kernel_distance(fake, real),
            **vars(metrics.manifold(fake, real)),
            "classifier_score": metrics.classifier_score(found.logits),
            "sure_share": metrics.sure_share(found.logits),
            "smallest_class": min(shares),
            "largest_class": max(shares),
        }
        return {n: figures[n] if math.isfinite(figures[n]) else None for n in QUALITY_METRICS}
