"""A config resolved for given images and a device, and why each value was chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from ganctl.classes import MAX_CLASSES
from ganctl.config.image_settings import ALL_AUGMENTATIONS, format_size, stages_for
from ganctl.config.presets import preset, tuned
from ganctl.config.schema import (
    MAX_EPOCHS,
    MIN_MEASURED,
    SETTINGS,
    NetworkConfig,
    TrainConfig,
    override,
    settings,
)
from ganctl.config.spec import specs
from ganctl.errors import Setting, Text, UsageError
from ganctl.limits import IMAGE_PIXELS
from ganctl.text import counted

_VERY_FEW_IMAGES = 1000
"""Number of training images below which `auto` takes all augmentations."""
_FEW_IMAGES = 5000
"""Number of training images below which `auto` takes `translation`, the lightest one."""
_FROM_IMAGES = "from the images"
_NETWORKS = tuple(name for name in specs(NetworkConfig) if name in SETTINGS)
"""Settings of the networks that users may change."""
FOLLOWED = (*_NETWORKS, "image_size")
"""Settings that decide whether the weights of another run fit."""
_HOLDOUT, _MIN_TO_HOLD_OUT, _MAX_HELD_OUT = 0.1, 1000, 5000
"""The share of the images that is held out, the fewest images of which any are, and the number of
held-out images that is enough."""


class ImageFacts(Protocol):
    """Facts about all images, before any are held out, that settings depend on."""

    def __len__(self) -> int: ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of an image, (C, H, W)."""

    @property
    def num_classes(self) -> int: ...

    @property
    def has_test_images(self) -> bool:
        """Whether there are test images beside these."""

    @property
    def value_range(self) -> str | None:
        """Range of values with which images of more than 8 bits were read; None without them."""


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
    eval_every: Callable[[TrainConfig, int], int],
) -> Resolved:
    """Return `config` with every value set that depends on the images or the device.

    A preset's values are fitted to the images, except for the settings in `chosen` (None: all).
    `precision` returns what 'auto' is on the device. For the otherwise finished config, `threads`
    returns the number of threads, and `eval_every`, which is also given the number of training
    images, that of epochs between measurements. Raises UsageError if the config does not fit the
    images.
    """
    channels, height, width = images.image_shape
    found = config
    reasons: dict[str, str] = {}

    def change(reason: str, **values: Any) -> None:
        nonlocal found
        before, found = settings(found), override(found, values)
        reasons.update({name: reason for name in values if values[name] != before[name]})

    share, reason = find_holdout(config, len(images), has_test_images=images.has_test_images)
    change(reason, holdout=share)
    count = len(images) - found.num_held_out(len(images))
    if chosen is not None and "batch_size" not in chosen:
        change(f"only {counted(count, 'image')}", batch_size=min(config.batch_size, count))
    _require_fit(found, count, images.num_classes)
    size = format_size(height, width)
    change("chosen from the images", image_size=size, image_channels=channels)
    if images.value_range is not None:
        change("found in the images", value_range=images.value_range)
    if config.augment == "auto":
        augment, reason = auto_augment(count)
        change(reason, augment=augment)
    change("chosen for this device", precision=precision(config.precision))
    num_classes = images.num_classes if config.conditional else 0
    shape = {"channels": channels, "height": height, "width": width, "num_classes": num_classes}
    shape["stages"] = stages_for(height, width)
    found = override(found, shape)
    reasons |= dict.fromkeys(shape, _FROM_IMAGES)
    if chosen is not None:
        for name, (value, reason) in tuned(found, count).items():
            if name not in chosen:
                change(reason, **{name: value})
    _require_room_for_samples(found)
    change("so that measuring takes little time", eval_every=eval_every(found, count))
    change("the fastest, by a short benchmark", threads=threads(found))
    return Resolved(found, reasons)


def followed(config: TrainConfig, other: TrainConfig, chosen: Collection[str]) -> dict[str, Any]:
    """Return the settings of `other` with which its weights fit, but for those in `chosen`.

    The architecture of another preset counts as chosen.
    """
    values = settings(other)
    kept = {*chosen, "architecture"} if config.preset != other.preset else chosen
    return {name: values[name] for name in FOLLOWED if name not in kept}


def find_holdout(
    config: TrainConfig, num_images: int, *, has_test_images: bool
) -> tuple[float, str]:
    """Return which share of all images `config` holds out, and why. Raises UsageError."""
    if config.holdout is None:
        return auto_holdout(num_images, has_test_images=has_test_images)
    _require_holdout(config, num_images, has_test_images=has_test_images)
    return config.holdout, "set"


def auto_holdout(num_images: int, *, has_test_images: bool) -> tuple[float, str]:
    """Return which share of all images `holdout = auto` holds out, and why.

    Of large datasets it is smaller: more images would make metrics no better, and are missed in
    training.
    """
    if has_test_images:
        return 0.0, "the dataset has test images"
    if num_images < _MIN_TO_HOLD_OUT:
        return 0.0, f"fewer than {_MIN_TO_HOLD_OUT:,} images"
    if _HOLDOUT * num_images > _MAX_HELD_OUT:  # two digits can be read and typed
        return float(f"{_MAX_HELD_OUT / num_images:.2g}"), f"about {_MAX_HELD_OUT:,} are enough"
    return _HOLDOUT, f"at least {_MIN_TO_HOLD_OUT:,} images, no test images"


def auto_augment(num_images: int) -> tuple[str, str]:
    """Return what `augment = auto` means for this number of training images, and why."""
    if num_images < _VERY_FEW_IMAGES:
        return ALL_AUGMENTATIONS, f"fewer than {_VERY_FEW_IMAGES:,} images"
    if num_images < _FEW_IMAGES:
        return "translation", f"fewer than {_FEW_IMAGES:,} images"
    return "none", f"at least {_FEW_IMAGES:,} images"


def explain(
    config: TrainConfig, num_images: int, num_held_out: int, *, has_origin: bool = False
) -> dict[str, str]:
    """Return why a resolved `config` differs from its preset, setting by setting.

    `num_images` are trained on; `num_held_out` others are held-out or test images. Only what
    follows from the config and these numbers is known for certain, and for a run that began with
    the weights of another (`has_origin`), not whether settings were taken from it.
    """
    base, found = settings(preset(config.preset)), settings(config)
    shape = {name: found[name] for name in specs(NetworkConfig)}
    like = shape | {"batch_size": config.batch_size, "augment": config.augment}
    derived = tuned(override(preset(config.preset), like), num_images)
    derived["augment"] = auto_augment(num_images)
    derived["holdout"] = _likely_holdout(config, num_images, num_held_out)
    derived["batch_size"] = num_images, f"only {counted(num_images, 'image')}"
    reasons = {name: reason for name, (value, reason) in derived.items() if found[name] == value}
    reasons |= dict.fromkeys(shape.keys() - {*_NETWORKS}, _FROM_IMAGES)
    reasons |= dict.fromkeys(("image_size", "image_channels"), f"{_FROM_IMAGES}, or set")
    if has_origin:
        reasons |= dict.fromkeys(FOLLOWED, "as in the checkpoint that it began from, or set")
    reasons |= dict.fromkeys(("precision", "threads"), "chosen for the device, or set")
    reasons["value_range"] = "found in the images, or set"
    reasons["eval_every"] = "so that measuring takes little time, or set"
    return {name: reasons.get(name, "set") for name in found if found[name] != base[name]}


def _likely_holdout(config: TrainConfig, num_images: int, num_held_out: int) -> tuple[float, str]:
    """Return what `holdout = auto` means for a dataset of which only the numbers are known."""
    if config.holdout:
        return auto_holdout(num_images + num_held_out, has_test_images=False)
    share, reason = auto_holdout(num_images, has_test_images=num_held_out > 0)
    return (share, reason) if share == 0 else (0.0, "the dataset has test images, or set")


def _require_room_for_samples(config: TrainConfig) -> None:
    network = config.network
    most = IMAGE_PIXELS // (network.height * network.width)
    if config.num_samples > most:
        size = format_size(network.height, network.width)
        raise UsageError(
            f"{config.num_samples:,} samples of {size} pixels are too many for a picture after "
            "each epoch",
            Text("The most is {}.", Setting("num_samples", most)),
        )


def _require_holdout(config: TrainConfig, num_images: int, *, has_test_images: bool) -> None:
    if not config.holdout:
        return
    share = Setting("holdout", config.holdout)
    if has_test_images:
        raise UsageError(
            "nothing is held out of these images: they have test images, which samples are "
            "compared with",
            Text("Leave out {}.", Setting("holdout")),
        )
    count = config.num_held_out(num_images)
    if count < MIN_MEASURED:
        raise UsageError(
            Text("{} holds out {} of {}, and metrics need at least {}",
                 share, f"{count:,}", counted(num_images, "image"), MIN_MEASURED),
            Text("Give a larger share, or train on all images: {}.", Setting("holdout", 0)),
        )  # fmt: skip


def _require_fit(config: TrainConfig, count: int, num_classes: int) -> None:
    """Raise UsageError if `config` does not fit `count` training images."""
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
    if config.conditional and num_classes > MAX_CLASSES:
        raise UsageError(
            f"the images have {num_classes:,} classes, and conditional networks take at "
            f"most {MAX_CLASSES:,}",
            Text("Train without them: {}.", Setting("conditional", False)),
        )
