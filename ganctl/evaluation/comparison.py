"""Two sets of images compared: folders, archives, arrays, data sets, or samples of a checkpoint."""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganctl import efficientnet, features, machine, metrics, store
from ganctl.config.schema import MIN_MEASURED
from ganctl.datasets import loading
from ganctl.datasets.dataset import Progress
from ganctl.datasets.local import paths
from ganctl.datasets.local.loading import require_intact
from ganctl.datasets.local.survey import Survey
from ganctl.datasets.local.whole import WholeImages
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.evaluation import image_sets
from ganctl.evaluation.evaluator import DEFAULT_SAMPLES, Metrics, as_metrics
from ganctl.evaluation.feature_comparison import NUM_STEPS, Which, compare
from ganctl.evaluation.image_sets import ImageSet
from ganctl.evaluation.results import metric_rows
from ganctl.features import Activations, FeatureNetwork
from ganctl.images import Pixels
from ganctl.model import Model, load
from ganctl.rng import Stream
from ganctl.text import counted, printable

Images = str | Path | Pixels
"""A path of images, the name of a data set, or an array uint8 (N, H, W) or (N, H, W, C)."""
_MEMORY = 1_500_000_000
"""Memory that any comparison takes, in bytes."""
MAX_NEIGHBORS = 10_000
"""Maximum number of images of each set, drawn at random, that are searched for neighbors: for all
but the Frechet and the kernel distance."""
_FEW = 1000
"""Number of images below which a note says what that does to the distances."""


@dataclass(frozen=True)
class Comparison:
    """The metrics of the images `a` against the images `b`, and of `b` against itself."""

    a: ImageSet
    b: ImageSet
    features: str
    """The name of the feature network."""
    metrics: Metrics
    floor: Metrics | None
    """The metrics of one random half of `b` against the other; None if it has too few images.

    `nearest_training` is the distance of an image of `b` to the nearest other one of all `b`.
    """
    num_common: int
    """Number of images of `a` that are also in `b`, pixel for pixel."""

    @property
    def is_same(self) -> bool:
        """Whether both sets have the same images, in any order."""
        return Counter(self.a.digests) == Counter(self.b.digests)

    def file_notes(self) -> list[str]:
        """Return what a user should know about the files of both sets."""
        return [*self.a.notes, *(note for note in self.b.notes if note not in self.a.notes)]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of a table: label, of `a`, of the floor, which is better."""
        return metric_rows(self.metrics, self.floor, "nearest image of B")

    def notes(self) -> list[str]:
        """Return what a user should know about the metrics."""
        lines = []
        if self.floor is None:
            lines.append(
                f"No floor: B has fewer than {2 * MIN_MEASURED} images, too few for two halves."
            )
        if max(len(self.a), len(self.b)) > MAX_NEIGHBORS:
            lines.append(
                f"Precision, recall, density, coverage and the nearest image are those of "
                f"{MAX_NEIGHBORS:,} random images of each larger set."
            )
        fewest = min(len(self.a), len(self.b))
        if self.is_same:
            lines.append("Both sets have the same images, so the Frechet distance is 0.")
        elif self.num_common:
            lines.append(
                f"{counted(self.num_common, 'image')} of A are also in B, pixel for pixel."
            )
        if fewest < _FEW:
            lines.append(
                f"{fewest:,} images are few: the Frechet distance is larger the fewer they are. "
                "Compare it only with that of as many images."
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like values."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "features": self.features,
            "figures": asdict(self.metrics),
            "floor": asdict(self.floor) if self.floor else None,
            "num_common": self.num_common,
            "is_same": self.is_same,
        }


def are_images(name: str) -> bool:
    """Return whether `name` is that of images, going by what it looks like, and no checkpoint's."""
    if name in loading.NAMES or loading.is_streamed(name):
        return True
    is_folder = os.path.isdir(name) and not store.is_checkpoint(Path(name))  # noqa: PTH112
    return is_folder or paths.is_archive(name)


def compare_images(
    a: Images | Model,
    b: Images,
    *,
    features: str = "auto",
    num_samples: int | None = None,
    ema: bool | None = None,
    skip_bad: bool = False,
    on_progress: Progress = lambda *_: None,
) -> Comparison:
    """Compare the images `a`, or the samples of a model or checkpoint, with the real images `b`.

    Each image goes to the feature network whole, at its own size. `features` is what `ganctl
    evaluate --features` takes. `num_samples` limits `a` to as many images, drawn at random and
    always the same, or is the number of samples, seeds 0 to `num_samples` - 1 (10,000 if left out);
    `ema` chooses a checkpoint's weights as in `load`. Images that cannot be used are an error,
    unless `skip_bad`. Raises UsageError, DataError, CheckpointError, PackageError or DeviceError.
    """
    if num_samples is not None and num_samples < MIN_MEASURED:
        raise UsageError(
            f"metrics need at least {MIN_MEASURED} images of each set, not {num_samples}",
            Text("Give {}.", Setting("num_samples", DEFAULT_SAMPLES)),
        )
    if isinstance(b, str | Path) and store.is_checkpoint(Path(b)):
        raise UsageError(
            f"'{b}' is a checkpoint, and not images to compare with",
            "Give the checkpoint first, then images. Two checkpoints are evaluated one by one.",
        )
    model = a if isinstance(a, Model) else None
    if isinstance(a, str | Path) and store.is_checkpoint(Path(a)):
        model = load(a, ema=ema)
    elif ema is not None:
        raise UsageError(
            Text("{} is for the samples of a checkpoint", Setting("ema", ema)), "Leave it out."
        )
    background = model.config.background if model else "white"
    opened = None if model else _open(a, "A", num_samples, background)
    real = _open(b, "B", None, background)
    machine.require_memory(_MEMORY, "comparing two sets of images")
    surveys = [
        _measured(name, images, skip_bad, on_progress)
        for name, images in ([real] if opened is None else [opened, real])
    ]
    _require_enough(real[0], surveys[-1].num_images, None)
    network = _network(features, b, surveys[-1].median_side)
    if model:
        count = num_samples or DEFAULT_SAMPLES
        samples = model.sample(range(count)).chunks()
        first = image_sets.of_samples(network, str(model.path), samples, count, on_progress)
    else:
        assert opened is not None
        _require_enough(opened[0], surveys[0].num_images, num_samples)
        first = image_sets.of_files(
            network, *opened, surveys[0], skip_bad=skip_bad, is_kept=False, progress=on_progress
        )
    second = image_sets.of_files(
        network, *real, surveys[-1], skip_bad=skip_bad, is_kept=True, progress=on_progress
    )
    for each in (first, second):
        _require_enough(each.name, len(each), None)
    return _compared(network, first, second, on_progress)


def _open(
    images: Images | Model, letter: str, limit: int | None, background: str
) -> tuple[str, WholeImages]:
    """Return the name of `images` and the images, of which none is decoded yet."""
    if isinstance(images, np.ndarray):
        return letter, WholeImages.of_array("images", images, limit=limit)
    return str(images), loading.open_whole(str(images), limit=limit, background=background)


def _measured(name: str, images: WholeImages, skip_bad: bool, progress: Progress) -> Survey:
    survey = images.measure(progress)
    require_intact(survey, name, skip_bad=skip_bad)
    return survey


def _network(choice: str, real: Images, side: int) -> FeatureNetwork:
    """Return the network for real images whose shorter sides have a median of `side` pixels.

    It does not depend on the other images, so that all sets are compared with these alike.
    """
    if choice == "none":
        raise UsageError(
            "two sets of images are compared in the features of a network",
            Text("Give other {}, or leave it out.", Setting("features")),
        )
    data = "mnist" if choice == "digits" else str(real) if isinstance(real, str) else "images"
    shape = None if features.is_known(data) else (3, side, side)
    network = features.load(choice, data, image_shape=shape)
    if network is None:
        raise efficientnet.missing("a comparison of two sets of images")
    return network


def _require_enough(name: str, number: int, wanted: int | None) -> None:
    count = f"{printable(name)} has {counted(number, 'image')}"
    if number < MIN_MEASURED:
        raise DataError(f"{count}, and at least {MIN_MEASURED} of each set are needed")
    if wanted is not None and number < wanted:
        raise UsageError(
            f"{count}, fewer than {wanted:,}",
            Text("Give a smaller {}, or leave it out.", Setting("num_samples")),
        )


def _compared(network: FeatureNetwork, a: ImageSet, b: ImageSet, progress: Progress) -> Comparison:
    fake, real = a.activations, b.activations
    orders = [_shuffled(len(one)) for one in (a, b)]
    searched = orders[0][:MAX_NEIGHBORS], orders[1][:MAX_NEIGHBORS]
    near = real.features[searched[1]]
    floor = None
    if len(b) >= 2 * MIN_MEASURED:
        task, first = "comparing two halves of B", slice(MAX_NEIGHBORS)
        progress(task, 0, NUM_STEPS)
        half, other = (real[order] for order in orders[1].tensor_split([len(b) // 2]))
        nearest = metrics.nearest_others(near)
        floor = _measure(network, half, other, nearest, (first, first), task, progress)
    progress("comparing A with B", 0, NUM_STEPS)
    nearest = metrics.nearest_distances(fake.features[searched[0]], near)
    found = _measure(network, fake, real, nearest, searched, "comparing A with B", progress)
    known = set(b.digests)
    num_common = sum(digest in known for digest in a.digests)
    return Comparison(a, b, network.name, found, floor, num_common)


def _shuffled(count: int) -> Tensor:
    return torch.from_numpy(Stream.FLOOR.generator().permutation(count))


def _measure(
    network: FeatureNetwork,
    found: Activations,
    real: Activations,
    nearest: Tensor,
    searched: tuple[Which, Which],
    task: str,
    progress: Progress,
) -> Metrics:
    frechet = metrics.Frechet(real.features)
    report = functools.partial(progress, task)
    values = compare(network, found, real, frechet, nearest, report, searched)
    return as_metrics(len(found), None, values)
