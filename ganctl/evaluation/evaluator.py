"""Metrics of generated and of real images: all of them, or a few quick ones for each epoch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganctl import metrics, patches
from ganctl.datasets.dataset import Progress, Rows
from ganctl.datasets.local import cache
from ganctl.evaluation.feature_comparison import FeatureComparison, distances
from ganctl.evaluation.real_features import chunks
from ganctl.features import FeatureNetwork, extract
from ganctl.history import QUALITY_METRICS
from ganctl.images import Pixels
from ganctl.rng import Stream

DEFAULT_SAMPLES = 10_000
"""Number of samples of a checkpoint that are evaluated unless another number is given."""
_NUM_EPOCH_TEST = 2000
"""Number of test images that an epoch's samples are compared with."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of a set of images against test images; docs/evaluation.md explains them."""

    num_samples: int
    patch_distance: float | None
    """None for two sets of images, whose sizes may differ."""
    frechet_distance: float | None
    """None without a feature network, like all that follow."""
    kernel_distance: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    classifier_score: float | None
    """None if the feature network's classes say nothing about these images, like `sure_share`."""
    sure_share: float | None
    inception_score: float | None
    """None unless the features are Inception's."""
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
    is what the generator learned from. Both are uint8 (N, H, W, C). Without a network the patch
    distance is all that is measured.
    """

    def __init__(
        self,
        network: FeatureNetwork | None,
        *,
        test: Pixels | Rows,
        train: Pixels | Rows,
        count: int,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._progress = progress
        chosen = Stream.FLOOR.generator().permutation(len(train))[:count]
        self._patches = _PatchComparison(test, train, np.sort(chosen))
        self.features: FeatureComparison | None = None
        """What is compared in the features of the network; None without one."""
        if network is not None:
            self.features = FeatureComparison(network, test, train, chosen, count, progress)

    @property
    def num_patch_images(self) -> int:
        """Number of samples, and of images compared with, that the patch distance is about."""
        return self._patches.count

    @property
    def num_test_images(self) -> int:
        """Number of test images used: all, or as many as samples if all would take hours."""
        return self._patches.count if self.features is None else self.features.num_test_images

    def measure(self, samples: Iterable[Pixels]) -> Metrics:
        """Return the metrics of generated images, uint8 chunks (n, H, W, C).

        There must be at least `MIN_MEASURED` of them. Without a network no more of them are drawn
        than the patch distance needs.
        """
        first: list[Pixels] = []
        watched = _keep_first(samples, self._patches.count, first)
        found: dict[str, Any] = {}
        if self.features is not None:
            found = self.features.measure(watched)
        else:
            self._watch(watched)
        pixels = np.concatenate(first)
        self._progress("comparing patches", 0, 1)
        return as_metrics(len(pixels), self._patches.distance(pixels), found)

    def floor(self) -> Metrics:
        """Return the metrics of random training images, which samples can hardly beat.

        `nearest_training` is that of the test images instead. The result is cached.
        """
        if self.features is None:
            return as_metrics(self._patches.count, self._patches.floor(), {})
        key = self.features.floor_key()
        if (kept := cache.find_bytes(key, "floor")) is not None:
            return Metrics(**json.loads(kept))
        floor = as_metrics(0, self._patches.floor(), self.features.floor())
        cache.keep_bytes(key, "floor", json.dumps(asdict(floor)).encode())
        return floor

    def _watch(self, samples: Iterable[Pixels]) -> None:
        """Draw as many samples as the patch distance needs."""
        done, task = 0, "drawing samples"
        self._progress(task, 0, self._patches.count)
        for chunk in samples:
            done += len(chunk)
            self._progress(task, min(done, self._patches.count), self._patches.count)
            if done >= self._patches.count:
                return


class _PatchComparison:
    """The patches of test images, and the training images at `chosen`, which give the floor."""

    def __init__(self, test: Pixels | Rows, train: Pixels | Rows, chosen: NDArray[np.intp]) -> None:
        self.count = min(patches.NUM_IMAGES, len(test), len(chosen))
        self._train = train
        self._chosen = chosen[patches.places(len(chosen), self.count)]
        self._test = patches.Reference(test)

    def distance(self, images: Pixels) -> float:
        """Return the patch distance of images to the test images."""
        return self._test.distance(images)

    def floor(self) -> float:
        """Return the patch distance of the training images."""
        return self.distance(self._train[self._chosen])


def as_metrics(num_samples: int, patch_distance: float | None, found: Mapping[str, Any]) -> Metrics:
    """Return metrics of `num_samples`, or of as many as `found` says, which may be empty."""
    names = [field.name for field in dataclasses.fields(Metrics)]
    empty: dict[str, Any] = {**dict.fromkeys(names), "class_shares": []}
    values = {"num_samples": num_samples, "patch_distance": patch_distance}
    return Metrics(**{**empty, **values, **found})


def _keep_first(chunks: Iterable[Pixels], count: int, kept: list[Pixels]) -> Iterator[Pixels]:
    """Yield all chunks, and put the first `count` images in them into `kept`."""
    missing = count
    for chunk in chunks:
        if missing > 0:
            kept.append(chunk[:missing])
            missing -= len(kept[-1])
        yield chunk


class EpochEvaluator:
    """An evaluator for use after each epoch: quick, and on few samples.

    Its metrics depend on the number of samples, and are not comparable with an `Evaluator`'s.
    """

    def __init__(self, network: FeatureNetwork | None, *, test: Pixels | Rows) -> None:
        """Prepare to compare samples with `test`: by patches if there is no network."""
        self._network = network
        images = test[:_NUM_EPOCH_TEST]
        self._patches = patches.Reference(images)
        if network is not None:
            self._test = extract(network, chunks(images))
            self._frechet = metrics.Frechet(self._test.features)

    def measure(self, samples: Iterable[Pixels]) -> dict[str, float | None]:
        """Return QUALITY_METRICS of generated images, uint8 chunks (n, H, W, C).

        The Frechet distance is that to 2,000 test images; the other metrics use as many test images
        as there are samples. A metric that is not finite is None. So are all but the patch distance
        if there is no network; if there is one, the patch distance is, as it tells less.
        """
        values: dict[str, float | None] = dict.fromkeys(QUALITY_METRICS)
        if self._network is None:
            pixels = np.concatenate(list(samples))
            values["patch_distance"] = self._patches.distance(pixels)
        else:
            found = extract(self._network, samples)
            shares = metrics.class_shares(found.logits) if self._network.num_classes else []
            test = self._test.features[: len(found)]
            values |= distances(self._network, found, self._frechet, test)
            values["smallest_class"] = min(shares, default=None)
            values["largest_class"] = max(shares, default=None)
        return {name: _finite(values[name]) for name in QUALITY_METRICS}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
