"""Loading of images by name, path, or the address of an index of shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ganctl.config.image_settings import ImageSettings
from ganctl.config.schema import TrainConfig
from ganctl.datasets import downloads, mnist, stacked
from ganctl.datasets.dataset import Dataset, ImageDataset, Progress
from ganctl.datasets.decoding.decode import decode
from ganctl.datasets.detection import require_color
from ganctl.datasets.local import loading as local
from ganctl.datasets.local import paths, trained
from ganctl.datasets.local.loading import Prepared
from ganctl.datasets.local.survey import Survey
from ganctl.datasets.local.whole import WholeImages
from ganctl.datasets.sources import columns, hub
from ganctl.datasets.streaming import index, storage, stream
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import printable, suggestion

EMBEDDED = {"mnist": mnist, "stacked-mnist": stacked}
"""Data sets that are part of ganctl."""
NAMES = (*EMBEDDED, *downloads.NAMES)
"""Names of all data sets that need no path."""
_UNCHANGED = ImageSettings()


def resolve(name: str) -> str:
    """Return a data set's name or an address unchanged, and a path made absolute.

    Nothing is opened. Raises DataError for anything else, and for a path at which nothing is.
    """
    if name in NAMES:
        return name
    if hub.is_hub(name):
        hub.require_hub(name)
        return name
    if storage.is_address(name):
        storage.require_address(name)
        return name
    if paths.is_path(name):
        return paths.resolve(name)
    raise DataError(
        f"unknown data '{name}'", f"{suggestion(name, NAMES)} Or give a path that exists."
    )


def stem(name: str) -> str:
    """Return the name of a run on the images called `name` or stored at that path."""
    if name in NAMES:
        return name
    parent, slash, last = name.rpartition("/")
    # The usual name of an index says nothing about the images.
    return paths.stem(parent if slash and last == index.NAME else name)


def default_run_folder(config: TrainConfig, *, is_preset_chosen: bool) -> Path:
    """Return the default folder of a run, runs/DATA-PRESET.

    It is runs/DATA if the preset will be chosen by the images.
    """
    is_known = is_preset_chosen or config.data in EMBEDDED
    return Path("runs") / (
        f"{stem(config.data)}-{config.preset}" if is_known else stem(config.data)
    )


def is_trusted(name: str, digest: str) -> bool:
    """Return whether images that only a checkpoint names may be read.

    A checkpoint can come from anyone, and a path or an address in it can lead anywhere. So only
    embedded data sets and images that this user has trained on before are read.
    """
    return name in EMBEDDED or trained.is_known(name, digest)


def untrusted_error(name: str) -> UsageError:
    """Return the error for images that are not trusted and would have to be read."""
    return UsageError(
        f"the checkpoint names images that you never trained on here: {printable(name[:200])}",
        Text("To have them read, name them yourself: add {}.", Setting("data")),
    )


def is_streamed(name: str) -> bool:
    """Return whether `name` is an index of shards, whose images are streamed."""
    return not hub.is_hub(name) and (index.is_index(name) or storage.is_address(name))


def load_training(config: TrainConfig, progress: Progress | None = None) -> ImageDataset:
    """Return the images that a resolved `config` trains on, without those that it holds out."""
    dataset = load_all(config, progress)
    return dataset.hold_out(config.num_held_out(len(dataset)))


def load_all(config: TrainConfig, progress: Progress | None = None) -> ImageDataset:
    """Return the images that `config` names before any are held out.

    That is what `load` returns, or a stream for an index.
    """
    name, settings = config.data, config.image_settings
    limit, skip_bad = config.limit, config.skip_bad
    if is_streamed(name):
        return stream.load(_absolute(name), settings, limit=limit, skip_bad=skip_bad)
    return load(name, limit=limit, settings=settings, skip_bad=skip_bad, progress=progress)


def load(
    name: str,
    *,
    limit: int | None = None,
    settings: ImageSettings = _UNCHANGED,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Return the training images called `name` or stored at that path, on the CPU.

    With a `limit` these are the first images of a data set, and random ones at a path. Sizes and
    channels that `settings` leave open are the data set's own, or are chosen from the images at a
    path. Raises UsageError for an index of shards, and DataError where images are missing or cannot
    be used; with `skip_bad`, unusable images at a path are skipped.
    """
    require_whole(name)
    name = _absolute(name)
    if name not in NAMES:
        return local.load(name, settings, limit=limit, skip_bad=skip_bad, progress=progress)
    return _named(name, settings, train=True, limit=limit)


def load_test(
    name: str, *, settings: ImageSettings = _UNCHANGED, progress: Progress | None = None
) -> Dataset:
    """Return the test images called `name`, or those held out at that path.

    Images that cannot be used are skipped. Raises what `load` raises, and UsageError where no
    images are held out.
    """
    name = _absolute(name)
    if is_streamed(name):
        raise UsageError(f"{name} has no test images: streamed shards have no held-out images")
    if name not in NAMES:
        return local.load(name, settings, held_out=True, skip_bad=True, progress=progress)
    return _named(name, settings, train=False)


def has_held_out(dataset: ImageDataset) -> bool:
    """Return whether there are images to compare samples with that `dataset` does not train on."""
    return dataset.has_test_images or dataset.num_held_out > 0


def load_held_out(
    dataset: ImageDataset, settings: ImageSettings, *, progress: Progress | None = None
) -> Dataset:
    """Return the images that samples of a generator trained on `dataset` are compared with.

    They are the held-out or the test images, none of which is trained on; those at a path are in
    random order, so that the first ones stand for all. Raises what `load_test` raises.
    """
    found = dataset.held_out_images()
    return load_test(dataset.name, settings=settings, progress=progress) if found is None else found


def prepare(name: str, settings: ImageSettings, *, progress: Progress | None = None) -> Prepared:
    """Return the images called `name` or stored at that path, with a survey of them.

    Raises what `load` raises.
    """
    name = resolve(name)
    require_whole(name)
    if name not in NAMES:
        return local.prepare(name, settings, progress=progress)
    native, seen = load(name), load(name, settings=settings)
    channels, height, width = seen.image_shape
    resolved = ImageSettings((height, width), channels, settings.fit, settings.background)
    channels, height, width = native.image_shape
    counts = np.bincount(native.labels.numpy(), minlength=native.num_classes)
    survey = Survey.of_array(
        len(native),
        height,
        width,
        "RGB" if channels == 3 else "L",
        dict(zip(native.classes, counts.tolist(), strict=False)),
        resolved,
    )
    return Prepared(
        name,
        seen.images.numpy(),
        seen.labels.numpy(),
        seen.digest,
        survey,
        resolved,
        has_test_images=True,
    )


def open_whole(name: str, *, limit: int | None = None, background: str = "white") -> WholeImages:
    """Return the training images called `name` or stored at that path, at their own sizes.

    Nothing is decoded yet. With a `limit` they are random ones. Raises what `load` raises.
    """
    name = resolve(name)
    require_whole(name)
    if name not in NAMES:
        return WholeImages.at(name, limit=limit, background=background)
    return WholeImages.of_array(name, load(name).images.numpy(), limit=limit)


def _absolute(name: str) -> str:
    # A run's path at which nothing is any more must not be reported as an unknown name.
    return name if Path(name).is_absolute() else resolve(name)


def require_whole(name: str) -> None:
    if is_streamed(name):
        raise UsageError(
            f"'{name}' can only be streamed for training, not read as a whole",
            "Give the folder or archive that was packed, or the shards: '{000..127}.tar'.",
        )


def _named(name: str, settings: ImageSettings, *, train: bool, limit: int | None = None) -> Dataset:
    if name in downloads.NAMES:
        images, labels, classes = downloads.load(name, train=train)
    else:
        module = EMBEDDED[name]
        images, labels = module.load_train() if train else module.load_test()
        classes = module.CLASSES
    images = _fitted(images[:limit], settings)
    found = Dataset.from_arrays(name, images, labels[:limit], classes=classes)
    return replace(found, has_test_images=True)


def _fitted(images: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """Return uint8 images, (N, H, W) or (N, H, W, C), fitted to `settings`. Raises UsageError."""
    if settings.image_key is not None:
        raise UsageError(
            "image keys are for samples in tars, and a built-in dataset has none",
            Text("Leave out {}.", Setting("image_key")),
        )
    columns.require_none(settings, "the images of a built-in dataset")
    size, channels = images.shape[1:3], images.shape[3] if images.ndim == 4 else 1
    wanted = ImageSettings(
        settings.size or size, settings.channels or channels, settings.fit, settings.background
    )
    if (wanted.size, wanted.channels) == (size, channels):
        return images
    require_color(settings.background)
    return np.stack([decode(image, wanted) for image in images])
