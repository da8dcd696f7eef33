"""The images of a run: loaded, checked against its settings or its checkpoint, and described."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ganctl import features
from ganctl.checkpoint import Checkpoint
from ganctl.classes import MAX_CLASSES, stored
from ganctl.config import presets
from ganctl.config.image_settings import format_size, smoother_size
from ganctl.config.schema import TrainConfig, override, settings
from ganctl.datasets import loading
from ganctl.datasets.dataset import ImageDataset, Progress
from ganctl.datasets.detection import require_range_used
from ganctl.datasets.local.paths import require_apart
from ganctl.errors import DataError, RunError, Setting, Text, UsageError
from ganctl.text import counted

_LARGE = 48 * 48
"""Pixels from which on `guided` is the default. Of smaller images `fast` takes many more steps in
the same time: 32x32 letters were better."""


def with_default_preset(
    config: TrainConfig, image_shape: tuple[int, int, int], chosen: Collection[str]
) -> TrainConfig:
    """Return `config` with the preset that suits its images, (C, H, W), best.

    Its `chosen` settings are kept.
    """
    is_guided = (
        features.automatic(config.data) == "imagenet" and math.prod(image_shape[1:]) >= _LARGE
    )
    name = "guided" if is_guided else presets.DEFAULT_PRESET
    values = settings(config)
    return override(presets.preset(name), {each: values[each] for each in chosen})


def load(config: TrainConfig, out: Path, progress: Progress | None) -> ImageDataset:
    """Return the images that `config` names, for a run in the folder `out`; none are held out."""
    require_apart(config.data, out)
    found = loading.load_all(config, progress)
    is_used = found.value_range is not None or loading.is_streamed(config.data)
    require_range_used(config.value_range, is_used=is_used)
    return found


def require_labels(config: TrainConfig, dataset: ImageDataset, is_chosen: bool) -> None:
    """Raise an error if labels are unusable, or missing though the user chose to use them."""
    if config.conditional and dataset.labels_problem:
        raise DataError(
            f"the labels of '{config.data}' cannot be used: {dataset.labels_problem}",
            Text(
                "Store a whole number or a text for each image, of the shape (N,), or a row with a "
                "single 1; or train without classes: {}.",
                Setting("conditional", False),
            ),
        )
    if config.conditional and is_chosen and not dataset.num_classes:
        raise UsageError(
            f"the images of '{config.data}' have no classes",
            Text("Leave out {}.", Setting("conditional", True)),
            details=dataset.no_classes,
        )


def require_same(checkpoint: Checkpoint, config: TrainConfig, dataset: ImageDataset) -> None:
    """Raise RunError unless `dataset` has the images that the checkpoint was trained on.

    It must hold out the same ones.
    """
    count, known = checkpoint.config.network.num_classes, checkpoint.data["classes"]
    if dataset.digest != str(checkpoint.data["digest"]):
        what = "images"
    elif count and known not in (stored(dataset.classes), [*map(str, range(count))]):
        what = "classes"
    elif dataset.held_out_digest != checkpoint.data["held_out_digest"]:
        what = "classes"  # they decide which images are held out
    else:
        return
    raise RunError(
        f"the {what} of '{config.data}' are not those this run was trained on",
        Text(
            "Restore the old ones, name them with {} if they have moved, or start a new run with "
            "{}.",
            Setting("data"),
            Setting("out"),
        ),
    )


def notices(
    before: TrainConfig, config: TrainConfig, dataset: ImageDataset
) -> Iterator[str | Text]:
    """Yield notes for the user on how a resolved `config` uses the images."""
    if config.holdout:
        total = len(dataset) + dataset.num_held_out
        yield Text(
            "{} of the {} images are held out: they are never trained on, and samples are compared "
            "with them; {} trains on all.",
            f"{dataset.num_held_out:,}", f"{total:,}", Setting("holdout", 0),
        )  # fmt: skip
    size = config.batch_size
    if size < before.batch_size:
        yield f"The batch size is {size}, not {before.batch_size}: there are no more images."
    network = config.network
    if (better := smoother_size(network.height, network.width)) is not None:
        sides = f"{network.height >> network.stages}x{network.width >> network.stages}"
        yield Text(
            f"Images of {network.height}x{network.width} can be halved only {network.stages} "
            f"times, to {sides} pixels, which makes large and poor networks; {{}} suits them "
            "better.",
            Setting("image_size", format_size(*better)),
        )
    if dataset.num_classes and not config.conditional:
        unused = f"The images have {counted(dataset.num_classes, 'class', 'classes')}, "
        unused += "which are not used"
        if dataset.num_classes <= MAX_CLASSES:
            yield Text(unused + "; {} trains with them.", Setting("conditional", True))
        else:
            yield unused + "."


def describe(dataset: ImageDataset) -> dict[str, Any]:
    """Return the description of the images that a checkpoint records."""
    return {
        "name": dataset.name,
        "num_images": len(dataset),
        "image_shape": list(dataset.image_shape),
        "digest": dataset.digest,
        "num_held_out": dataset.num_held_out,
        "held_out_digest": dataset.held_out_digest,
        "classes": stored(dataset.classes),
    }
