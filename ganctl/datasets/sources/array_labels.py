"""The labels beside the images of a NumPy archive (.npz): one array's numbers, texts or rows."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ganctl import limits
from ganctl.datasets.sources.base import class_order
from ganctl.datasets.sources.bounded import is_bomb
from ganctl.errors import DataError
from ganctl.text import printable

_LABELS = ("labels", "y_train", "train_labels", "train_y", "label", "y", "targets", "arr_1")
_CLASSES = ("classes", "class_names", "label_names", "names")
_NUMBERS, _TEXTS = "iufb", "US"
"""Kinds of NumPy's types."""


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class Labels:
    """The classes of images."""

    key: str | None = None
    """The array that tells them; None: there are none."""
    names: list[str] = field(default_factory=list)
    """The name of each image's class; empty where there are none."""
    classes: list[str] = field(default_factory=list)
    """The names of all classes, in the order in which they are counted."""
    problem: str | None = None
    """Why labels that are there cannot be used."""


def read_labels(archive: zipfile.ZipFile, headers: dict[str, Header], count: int) -> Labels:
    """Return the labels of `count` images."""
    key = next((key for key in _LABELS if key in headers), None)
    if key is None:
        return Labels()
    try:
        values = _of_images(archive, key, headers[key], count)
        names = next((key for key in _CLASSES if key in headers), None)
        if names is None or values.dtype.kind in _TEXTS:
            texts = _texts(values)
            return Labels(key, texts, class_order(texts))
        known = _names(archive, names, headers[names], values)
    except DataError as error:
        return Labels(problem=str(error.message))
    return Labels(key, [known[number] for number in values.tolist()], known)


def _of_images(archive: zipfile.ZipFile, key: str, header: Header, count: int) -> Any:
    """(N,) whole numbers or texts, one for each image. Raises DataError."""
    is_row_each = len(header.shape) == 2 and header.shape[0] == count and header.shape[1] > 1
    if not (is_row_each and header.dtype.kind in _NUMBERS) and not (
        header.shape in ((count,), (count, 1)) and header.dtype.kind in _NUMBERS + _TEXTS
    ):
        raise DataError(f"{key} is {header}, not a label for each of {count:,} images")
    values = _values(archive, key, header)
    if is_row_each:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(f"{key} is {header}, and not exactly one value of each row is 1")
        return values.argmax(axis=1)
    values = values.ravel()
    if values.dtype.kind in _TEXTS:
        return values
    if values.dtype.kind == "f" and not (np.mod(values, 1) == 0).all():  # NaN and infinity too
        raise DataError(f"{key} is {header}, and not all of it are whole numbers")
    return values if values.dtype.kind in "iu" else values.astype(np.int64)


def _names(archive: zipfile.ZipFile, key: str, header: Header, numbers: Any) -> list[str]:
    """The names of the classes that `numbers` count. Raises DataError."""
    fits = len(header.shape) == 1 and header.shape[0] <= limits.CLASSES
    known = _texts(_values(archive, key, header)) if fits else []
    if len(set(known)) < len(known) or not ((numbers >= 0) & (numbers < len(known))).all():
        raise DataError(f"{key} is {header}, not a different name for each label from 0 on")
    return known


def _values(archive: zipfile.ZipFile, key: str, header: Header) -> Any:
    """A small array. Raises DataError."""
    if (
        header.dtype.kind not in _NUMBERS + _TEXTS
        or header.dtype.itemsize > limits.LABEL_NAME_BYTES
    ):
        raise DataError(f"{key} is {header.dtype}, not names or numbers")
    size = math.prod(header.shape) * header.dtype.itemsize
    info = archive.getinfo(f"{key}.npy")
    if size > limits.IMAGE_BYTES or is_bomb(size, info.compress_size):
        raise DataError(f"{key} is {header}, which is too large")
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def _texts(values: Any) -> list[str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return [printable(str(value)) for value in values.tolist()]
