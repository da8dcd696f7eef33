"""Metrics of generated and of real images: all of them, or a few quick ones for each epoch."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl import metrics, patches
from ganctl.datasets.dataset import Progress, Rows
from ganctl.datasets.local import cache
from ganctl.evaluation.real_features import RealImages, activations, chunks
from ganctl.features import Activations, FeatureNetwork, extract
from ganctl.history import QUALITY_METRICS
from ganctl.images import Pixels
from ganctl.rng import Stream

DEFAULT_SAMPLES = 10_000
"""Number of samples of a checkpoint that are evaluated unless another number is given."""
_NUM_EPOCH_TEST = 2000
"""Number of test images that an epoch's samples are compared with."""
NUM_STEPS = 4
"""Number of steps of a comparison."""


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
        self._features = None
        if network is not None:
            self._features = _FeatureComparison(network, test, train, chosen, count, progress)

    @property
    def num_patch_images(self) -> int:
        """Number of samples, and of images compared with, that the patch distance is about."""
        return self._patches.count

    @property
    def num_test_images(self) -> int:
        """Number of test images used: all, or as many as samples if all would take hours."""
        return self._patches.count if self._features is None else self._features.num_test_images

    def measure(self, samples: Iterable[Pixels]) -> Metrics:
        """Return the metrics of generated images, uint8 chunks (n, H, W, C).

        There must be at least `MIN_MEASURED` of them. Without a network no more of them are drawn
        than the patch distance needs.
        """
        first: list[Pixels] = []
        watched = _keep_first(samples, self._patches.count, first)
        found: dict[str, Any] = {}
        if self._features is not None:
            found = self._features.measure(watched)
        else:
            self._watch(watched)
        pixels = np.concatenate(first)
        self._progress("comparing patches", 0, 1)
        return as_metrics(len(pixels), self._patches.distance(pixels), found)

    def floor(self) -> Metrics:
        """Return the metrics of random training images, which samples can hardly beat.

        `nearest_training` is that of the test images instead. The result is cached.
        """
        if self._features is None:
            return as_metrics(self._patches.count, self._patches.floor(), {})
        key = self._features.floor_key()
        if (kept := cache.find_bytes(key, "floor")) is not None:
            return Metrics(**json.loads(kept))
        floor = as_metrics(0, self._patches.floor(), self._features.floor())
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


class _FeatureComparison:
    """The features of test images, and of the training images that give the floor."""

    def __init__(
        self,
        network: FeatureNetwork,
        test: Pixels | Rows,
        train: Pixels | Rows,
        chosen: NDArray[np.intp],
        count: int,
        progress: Progress,
    ) -> None:
        self._network, self._count, self._progress = network, count, progress
        self._chosen = chosen
        has_all_training = network.is_fast or len(train) <= count
        if not network.is_fast:
            test, train = test[:count], train[chosen]
            self._chosen = np.arange(len(train))
        self._test_images, self._floor_images = (RealImages(network, one) for one in (test, train))
        sets = [self._test_images, self._floor_images][: 2 if has_all_training else 1]
        found = activations(sets, "extracting features of real images", progress)
        self._test, self._train = found[0], found[1] if has_all_training else None
        self._frechet = metrics.Frechet(self._test.features)

    @property
    def num_test_images(self) -> int:
        """Number of test images used: all, or as many as samples if all would take hours."""
        return len(self._test)

    def measure(self, samples: Iterable[Pixels]) -> dict[str, Any]:
        """Return the metrics of generated images by name."""
        task = "drawing samples"
        self._progress(task, 0, self._count)
        found = extract(
            self._network, samples, lambda done: self._progress(task, done, self._count)
        )
        return self._compare(found, "comparing samples with test images", nearest_of=found)

    def floor_key(self) -> str:
        """Return the key of the cached floor."""
        return self._floor_images.key("floor", self._test_images.digest, self._count)

    def floor(self) -> dict[str, Any]:
        """Return the metrics of the training images by name."""
        if self._train is None:
            task = "extracting features of training images"
            (found,) = activations([self._floor_images], task, self._progress)
        else:
            found = self._train[torch.from_numpy(self._chosen)]
        return self._compare(
            found, "comparing training images with test images", nearest_of=self._test
        )

    def _compare(self, found: Activations, task: str, *, nearest_of: Activations) -> dict[str, Any]:
        progress = functools.partial(self._progress, task)
        progress(0, NUM_STEPS)
        nearest = None
        if self._train is not None:
            nearest = metrics.nearest_distances(nearest_of.features, self._train.features)
        return compare(self._network, found, self._test, self._frechet, nearest, progress)


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
            values |= _distances(found, self._frechet, self._test.features[: len(found)])
            values["smallest_class"] = min(shares, default=None)
            values["largest_class"] = max(shares, default=None)
        return {name: _finite(values[name]) for name in QUALITY_METRICS}


def compare(
    network: FeatureNetwork,
    found: Activations,
    real: Activations,
    frechet: metrics.Frechet,
    nearest: Tensor | None,
    progress: Callable[[int, int], None],
    num_neighbors: int | None = None,
) -> dict[str, Any]:
    """Return the metrics by name of images against `real` ones, which `frechet` was made of.

    `nearest` has distances to the nearest image that may have been copied, (N,), if known. Only the
    first `num_neighbors` of both sets, or all, are searched for neighbors: that takes a time
    proportional to the product of their numbers.
    """
    shares = metrics.class_shares(found.logits) if network.num_classes else []
    return {
        **_distances(found, frechet, real.features, progress, num_neighbors),
        "num_samples": len(found),
        "class_shares": shares,
        "classes_found": metrics.classes_found(shares) if shares else None,
        "class_divergence": metrics.uniform_divergence(shares) if shares else None,
        "nearest_training": None if nearest is None else float(nearest.median()),
    }


def _distances(
    found: Activations,
    frechet: metrics.Frechet,
    real: Tensor,
    progress: Callable[[int, int], None] = lambda *_: None,
    num_neighbors: int | None = None,
) -> dict[str, float | None]:
    """Return the metrics that compare images with `real` features, or need their logits alone.

    Those of the logits are None if there are none.
    """
    fake, logits = found.features, found.logits
    steps: tuple[Callable[[], Mapping[str, float | None]], ...] = (
        lambda: {"frechet_distance": frechet.distance(fake)},
        lambda: {"kernel_distance": metrics.kernel_distance(fake, real)},
        lambda: asdict(metrics.manifold(fake[:num_neighbors], real[:num_neighbors])),
        lambda: _class_metrics(logits),
    )
    values: dict[str, float | None] = {}
    for done, step in enumerate(steps, 1):
        values |= step()
        progress(done, NUM_STEPS)
    return values


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _class_metrics(logits: Tensor) -> dict[str, float | None]:
    if not logits.shape[1]:
        return {"classifier_score": None, "sure_share": None}
    return {
        "classifier_score": metrics.classifier_score(logits),
        "sure_share": metrics.sure_share(logits),
    }
