"""A config resolved for the images and the device at hand, and why each value was chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from ganctl.classes import MAX_CLASSES
from ganctl.config.images import ALL_AUGMENTATIONS, format_size, stages_for
from ganctl.config.presets import tuned
from ganctl.config.schema import MAX_EPOCHS, TrainConfig, override, settings
from ganctl.errors import Setting, Text, UsageError
from ganctl.text import counted

_FEW_IMAGES = 5000
"""With fewer, a discriminator memorizes them unless they are augmented."""


class ImageFacts(Protocol):
    """What decides settings about the training images."""

    def __len__(self) -> int: ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""

    @property
    def num_classes(self) -> int: ...


@dataclass(frozen=True)
class Resolved:
    """A config in which nothing is left open."""

    config: TrainConfig
    reasons: dict[str, str]
    """Why each setting that images or device decided has its value, by its name."""


def resolve(
    config: TrainConfig,
    images: ImageFacts,
    *,
    chosen: Collection[str] | None,
    precision: Callable[[str], str],
    threads: Callable[[TrainConfig], int | None],
) -> Resolved:
    """Return `config` with every value that the images and the device decide.

    A preset's values are fitted to the images, but for the settings in `chosen`; None: for all.
    `precision` returns what 'auto' is on the device, `threads` the number of threads for the
    otherwise finished config. Raises UsageError if the config does not fit the images.
    """
    count, (channels, height, width) = len(images), images.image_shape
    found = config
    reasons: dict[str, str] = {}

    def change(reason: str, **values: Any) -> None:
        nonlocal found
        before, found = settings(found), override(found, values)
        reasons.update({name: reason for name in values if values[name] != before[name]})

    if chosen is not None and "batch_size" not in chosen:
        change(f"only {counted(count, 'image')}", batch_size=min(config.batch_size, count))
    _require_fit(found, images)
    size = format_size(height, width)
    change("chosen from the images", image_size=size, image_channels=channels)
    few = count < _FEW_IMAGES
    if config.augment == "auto":
        reason = f"{'fewer than' if few else 'at least'} {_FEW_IMAGES:,} images"
        change(reason, augment=ALL_AUGMENTATIONS if few else "none")
    change("chosen for this device", precision=precision(config.precision))
    num_classes = images.num_classes if config.conditional else 0
    shape = {"channels": channels, "height": height, "width": width, "num_classes": num_classes}
    shape["stages"] = stages_for(height, width)
    found = override(found, shape)
    reasons |= dict.fromkeys(shape, "from the images")
    if chosen is not None:
        for name, (value, reason) in tuned(found, count).items():
            if name not in chosen:
                change(reason, **{name: value})
    change("the fastest, by a short benchmark", threads=threads(found))
    return Resolved(found, reasons)


def _require_fit(config: TrainConfig, images: ImageFacts) -> None:
    count = len(images)
    if config.batch_size > count:
        raise UsageError(
            f"a batch of {config.batch_size:,} is larger than the data, {counted(count, 'image')}",
            Text("Give a smaller {}.", Setting("batch_size")),
        )
    epochs = config.total_epochs(count)
    if epochs > MAX_EPOCHS:
        raise UsageError(
            f"{counted(config.steps or 0, 'step')} are {epochs:,} epochs of these images, "
            f"and a run has at most {MAX_EPOCHS:,}",
            Text("Give fewer {} or a smaller {}.", Setting("steps"), Setting("batch_size")),
        )
    if config.conditional and images.num_classes > MAX_CLASSES:
        raise UsageError(
            f"the images have {images.num_classes:,} classes, and conditional networks take at "
            f"most {MAX_CLASSES:,}",
            Text("Train without them: {}.", Setting("conditional", False)),
        )
