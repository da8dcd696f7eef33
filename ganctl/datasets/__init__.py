"""A name or a path → images, in an order addressed by index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganctl.config.images import ImageSettings
from ganctl.datasets import downloads, mnist, stacked
from ganctl.datasets.base import WHOLE, Batch, Dataset, Images, Share, epoch_order
from ganctl.datasets.decoding import fit_array
from ganctl.datasets.local import loading, trained
from ganctl.datasets.local.loading import Prepared, require_apart, require_colour, require_usable
from ganctl.datasets.local.preparing import Progress
from ganctl.datasets.local.survey import Survey
from ganctl.datasets.streaming import index, storage, stream
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import nearest, printable

__all__ = [
    "EMBEDDED",
    "NAMES",
    "WHOLE",
    "Batch",
    "Dataset",
    "Images",
    "Prepared",
    "Progress",
    "Share",
    "epoch_order",
    "has_test",
    "is_streamed",
    "is_trusted",
    "load",
    "load_test",
    "load_training",
    "prepare",
    "require_apart",
    "require_colour",
    "require_usable",
    "resolve",
    "stem",
    "untrusted",
]

EMBEDDED = {"mnist": mnist, "stacked-mnist": stacked}
"""Data sets that are part of ganctl."""
NAMES = (*EMBEDDED, *downloads.NAMES)
_AS_THEY_ARE = ImageSettings()


def resolve(name: str) -> str:
    """A data set's `name` or an address as it is, a path of images made absolute. Reads nothing.

    Raises DataError for what is neither.
    """
    if name in NAMES:
        return name
    if storage.is_address(name):
        storage.require_address(name)
        return name
    if loading.is_path(name):
        return loading.resolve(name)
    raise DataError(f"unknown data '{name}'", f"{nearest(name, NAMES)} Or give a path that exists.")


def is_trusted(name: str, digest: str) -> bool:
    """Whether the images that a checkpoint names may be read though nobody named them here.

    Those are MNIST's, which are part of ganctl, and those that this user has trained on. A
    checkpoint can come from anyone, and a path or an address in it lead anywhere.
    """
    return name in EMBEDDED or trained.is_known(name, digest)


def untrusted(name: str) -> UsageError:
    """Return what to say where images would have to be read that are not trusted."""
    return UsageError(
        f"the checkpoint names images that you never trained on here: {printable(name[:200])}",
        Text("If they are to be read, name them yourself: add {}.", Setting("data")),
    )


def stem(name: str) -> str:
    """What a run on the images called `name`, or at that path, is called."""
    if name in NAMES:
        return name
    named, slash, last = name.rpartition("/")
    # An index says nothing by its name, where it has the one that is usual.
    return loading.stem(named if slash and last == index.NAME else name)


def load_training(
    name: str,
    *,
    limit: int | None = None,
    settings: ImageSettings = _AS_THEY_ARE,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Images:
    """As `load`; but images whose shards an index names are streamed, the first `limit` of them."""
    if is_streamed(name):
        if not Path(name).is_absolute():
            name = resolve(name)
        return stream.load(name, settings, limit=limit, skip_bad=skip_bad)
    return load(name, limit=limit, settings=settings, skip_bad=skip_bad, progress=progress)


def is_streamed(name: str) -> bool:
    """Whether `name` is of images that are read while a training goes on: an index's."""
    return index.is_index(name) or storage.is_address(name)


def load(
    name: str,
    *,
    limit: int | None = None,
    settings: ImageSettings = _AS_THEY_ARE,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """The training images called `name`, or at that path, `limit` of them; on the CPU.

    Of a data set these are the first ones, of a path some by chance. What `settings` leave open is
    as a data set has it, and chosen from the images at a path. Raises UsageError for an
    index of shards, DataError where the images cannot be had, or not all of those at a path, but
    for `skip_bad`.
    """
    if is_streamed(name):
        raise UsageError(
            f"'{name}' is an index of shards: they are streamed, never read as a whole",
            "Give the folder or the archive that was packed, or the shards, '{000..127}.tar'.",
        )
    if not Path(name).is_absolute():  # a run's path that has gone is no wrong word
        name = resolve(name)
    if name not in NAMES:
        return loading.load(name, settings, limit=limit, skip_bad=skip_bad, progress=progress)
    module = EMBEDDED.get(name)
    if module is None:
        images, labels, classes = downloads.load_train(name)
    else:
        (images, labels), classes = module.load_train(), module.CLASSES
    images = _fitted(images[:limit], settings)
    return Dataset.from_arrays(name, images, labels, limit, classes=classes)


def prepare(name: str, settings: ImageSettings, *, progress: Progress | None = None) -> Prepared:
    """The images called `name`, or at that path, and what is known of them. Raises as `load`."""
    name = resolve(name)
    if is_streamed(name):
        load(name)  # which says that it cannot be
    if name not in NAMES:
        return loading.prepare(name, settings, progress=progress)
    native, seen = load(name), load(name, settings=settings)
    _, height, width = native.image_shape
    channels, *size = seen.image_shape
    resolved = ImageSettings((size[0], size[1]), channels, settings.fit, settings.background)
    counts = np.bincount(native.labels.numpy(), minlength=native.num_classes)
    survey = Survey.of_array(
        len(native),
        height,
        width,
        "RGB" if native.image_shape[0] == 3 else "L",
        {label: int(count) for label, count in zip(native.classes, counts, strict=False)},
        resolved,
    )
    return Prepared(
        name, seen.images.numpy(), seen.labels.numpy(), seen.digest, survey, resolved, True, True
    )


def has_test(images: Images) -> bool:
    """Whether `load_test` has images that were held out of training on `images`."""
    return images.name in NAMES or images.num_held_out > 0


def load_test(
    name: str, *, settings: ImageSettings = _AS_THEY_ARE, progress: Progress | None = None
) -> Dataset:
    """The test images called `name`, or held out at that path; no generator has seen them.

    Raises as `load`, and UsageError where none are held out; those that cannot be read are skipped.
    """
    if not Path(name).is_absolute():
        name = resolve(name)
    if is_streamed(name):
        raise UsageError(
            f"{name} has no test images: of shards that are streamed none are held out"
        )
    if name not in NAMES:
        return loading.load(name, settings, held_out=True, skip_bad=True, progress=progress)
    module = EMBEDDED.get(name)
    if module is None:
        images, labels, classes = downloads.load_test(name)
    else:
        (images, labels), classes = module.load_test(), module.CLASSES
    return Dataset.from_arrays(name, _fitted(images, settings), labels, classes=classes)


def _fitted(images: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """Images, uint8 (N, H, W) or (N, H, W, C), as `settings` want them. Raises UsageError."""
    if settings.image_key is not None:
        raise UsageError(
            "a data set has no samples with several images",
            Text("Leave out {}.", Setting("image_key")),
        )
    size, channels = images.shape[1:3], images.shape[3] if images.ndim == 4 else 1
    wanted = ImageSettings(
        settings.size or size, settings.channels or channels, settings.fit, settings.background
    )
    if (wanted.size, wanted.channels) == (size, channels):
        return images
    require_colour(settings.background)
    return np.stack([fit_array(image, wanted) for image in images])
