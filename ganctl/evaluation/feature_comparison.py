"""Images compared in the features of a network: their metrics against real images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl import metrics
from ganctl.datasets.dataset import Progress, Rows
from ganctl.evaluation.real_features import RealImages, activations
from ganctl.features import Activations, FeatureNetwork, extract
from ganctl.images import Pixels

Which = slice | Tensor
"""Which images of a set: a slice, or their places, int64 (n,)."""
NUM_STEPS = 4
"""Number of steps of a comparison."""


class FeatureComparison:
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
        self.sample_features: Tensor | None = None
        """Features of the samples that were measured last, (N, D)."""

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
        self.sample_features = found.features
        return self._compare(found, "comparing samples with test images", nearest_of=found)

    def floor_key(self) -> str:
        """Return the key of the cached floor."""
        return self._floor_images.key("floor", self._test_images.digest, self._count)

    def floor(self) -> dict[str, Any]:
        """Return the metrics of the training images by name."""
        found = self._training()[torch.from_numpy(self._chosen)]
        return self._compare(
            found, "comparing training images with test images", nearest_of=self._test
        )

    def test_images(self) -> tuple[Pixels | Rows, Tensor]:
        """Return the test images used, (N, H, W, C), and their features, (N, D)."""
        return self._test_images.pixels, self._test.features

    def training_images(self) -> tuple[Pixels | Rows, Tensor]:
        """Return training images, (N, H, W, C), and their features, (N, D).

        They are all of them, or random ones if all would take hours: as many as there are samples.
        """
        return self._floor_images.pixels, self._training().features

    def _training(self) -> Activations:
        if self._train is not None:
            return self._train
        task = "extracting features of training images"
        (found,) = activations([self._floor_images], task, self._progress)
        return found

    def _compare(self, found: Activations, task: str, *, nearest_of: Activations) -> dict[str, Any]:
        progress = functools.partial(self._progress, task)
        progress(0, NUM_STEPS)
        nearest = None
        if self._train is not None:
            nearest = metrics.nearest_distances(nearest_of.features, self._train.features)
        return compare(self._network, found, self._test, self._frechet, nearest, progress)


def compare(
    network: FeatureNetwork,
    found: Activations,
    real: Activations,
    frechet: metrics.Frechet,
    nearest: Tensor | None,
    progress: Callable[[int, int], None],
    searched: tuple[Which, Which] | None = None,
) -> dict[str, Any]:
    """Return the metrics by name of images against `real` ones, which `frechet` was made of.

    `nearest` has distances to the nearest image that may have been copied, (N,), if known. Only the
    `searched` images of both sets, or all, are searched for neighbors: that takes a time
    proportional to the product of their numbers.
    """
    shares = metrics.class_shares(found.logits) if network.num_classes else []
    return {
        **distances(network, found, frechet, real.features, progress, searched),
        "num_samples": len(found),
        "class_shares": shares,
        "classes_found": metrics.classes_found(shares) if shares else None,
        "class_divergence": metrics.uniform_divergence(shares) if shares else None,
        "nearest_training": None if nearest is None else float(nearest.median()),
    }


def distances(
    network: FeatureNetwork,
    found: Activations,
    frechet: metrics.Frechet,
    real: Tensor,
    progress: Callable[[int, int], None] = lambda *_: None,
    searched: tuple[Which, Which] | None = None,
) -> dict[str, float | None]:
    """Return the metrics that compare images with `real` features, or need their logits alone.

    Those of the logits are None if there are none.
    """
    fake = found.features
    fakes, reals = searched or (slice(None), slice(None))
    steps: tuple[Callable[[], Mapping[str, float | None]], ...] = (
        lambda: {"frechet_distance": frechet.distance(fake)},
        lambda: {"kernel_distance": metrics.kernel_distance(fake, real)},
        lambda: asdict(metrics.manifold(fake[fakes], real[reals])),
        lambda: _class_metrics(network, found.logits),
    )
    values: dict[str, float | None] = {}
    for done, step in enumerate(steps, 1):
        values |= step()
        progress(done, NUM_STEPS)
    return values


def _class_metrics(network: FeatureNetwork, logits: Tensor) -> dict[str, float | None]:
    """Return the metrics that need the classes alone; those that the network cannot give are None.

    Inception's thousand classes are those of photographs: they give the score of that name alone.
    """
    values: dict[str, float | None] = dict.fromkeys(
        ("classifier_score", "sure_share", "inception_score")
    )
    if network.is_inception:
        values["inception_score"] = metrics.inception_score(logits)
    elif logits.shape[1]:
        values["classifier_score"] = metrics.classifier_score(logits)
        values["sure_share"] = metrics.sure_share(logits)
    return values
