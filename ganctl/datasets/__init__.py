"""A name → images on a device, in an order addressed by index."""

from __future__ import annotations

import os

from ganctl.datasets import downloads, mnist, stacked
from ganctl.datasets.base import Batch, Dataset, epoch_order
from ganctl.datasets.mnist import Arrays
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
    return _dataset(name, module.load_train() if module else downloads.load_train(name), limit)


def load_test(name: str) -> Dataset:
    """The test images called `name`; no generator has seen them. Raises as `load`."""
    check_name(name)
    module = _EMBEDDED.get(name)
    return _dataset(name, module.load_test() if module else downloads.load_test(name))


def _dataset(name: str, arrays: Arrays, limit: int | None = None) -> Dataset:
    # Networks that are told the mode of a stacked image leave none out: nothing would be measured.
    count = int(arrays[1].max()) + 1 if name != "stacked-mnist" else 0
    return Dataset.from_arrays(name, *arrays, limit, classes=[str(label) for label in range(count)])
