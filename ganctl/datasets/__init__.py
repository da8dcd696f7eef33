"""A name → images on a device, in an order addressed by index."""

from __future__ import annotations

import os

from ganctl.datasets import downloads, mnist, stacked
from ganctl.datasets.base import Batch, Dataset, epoch_order
from ganctl.errors import UsageError, nearest

__all__ = ["NAMES", "Batch", "Dataset", "check_name", "epoch_order", "load", "load_test"]

_EMBEDDED = {"mnist": mnist, "stacked-mnist": stacked}
NAMES = (*_EMBEDDED, *downloads.NAMES)


def check_name(name: str) -> str:
    """`name` if it is a data set; UsageError names the nearest known one. Reads nothing."""
    if name not in NAMES:
        if "/" in name or "\\" in name or os.path.exists(name):  # noqa: PTH110 - never raises
            raise UsageError(
                f"no data '{name}': folders and files of your own are not supported yet",
                f"Known: {', '.join(NAMES)}.",
            )
        raise UsageError(f"unknown data '{name}'", nearest(name, NAMES))
    return name


def load(name: str, *, limit: int | None = None) -> Dataset:
    """The training images called `name`, the first `limit` of them; on the CPU.

    Raises UsageError for an unknown name, DataError where the images cannot be had.
    """
    check_name(name)
    module = _EMBEDDED.get(name)
    if module is None:
        images, labels, classes = downloads.load_train(name)
    else:
        (images, labels), classes = module.load_train(), module.CLASSES
    return Dataset.from_arrays(name, images, labels, limit, classes=classes)


def load_test(name: str) -> Dataset:
    """The test images called `name`; no generator has seen them. Raises as `load`."""
    check_name(name)
    module = _EMBEDDED.get(name)
    if module is None:
        images, labels, classes = downloads.load_test(name)
    else:
        (images, labels), classes = module.load_test(), module.CLASSES
    return Dataset.from_arrays(name, images, labels, classes=classes)
