"""The labels beside the images of a NumPy archive (.npz): numbers, texts or one-hot rows."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
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
    """The shape and type of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class Labels(NamedTuple):
    """The classes of the images in an archive."""

    key: str | None = None
    """Name of the array that they are from; None if there are none."""
    names: Sequence[str] = ()
    """Name of each image's class."""
    classes: Sequence[str] = ()
    """Names of all classes, in the order of their numbers."""
    problem: str | None = None
    """Why labels that are there cannot be used."""


def read_labels(archive: zipfile.ZipFile, headers: dict[str, Header], count: int) -> Labels:
    """Return the labels of `count` images."""
    key = next((key for key in _LABELS if key in headers), None)
    if key is None:
        return Labels()
    try:
        values = _values_of_images(archive, key, headers[key], count)
        names_key = next((key for key in _CLASSES if key in headers), None)
        if names_key is None or values.dtype.kind in _TEXTS:
            texts = _texts(values)
            return Labels(key, texts, class_order(texts))
        names = _class_names(archive, names_key, headers[names_key], values)
    except DataError as error:
        return Labels(problem=str(error.message))
    return Labels(key, [names[number] for number in values.tolist()], names)


def _values_of_images(archive: zipfile.ZipFile, key: str, header: Header, count: int) -> Any:
    """Return whole numbers or texts, (count,), one for each image."""
    is_one_hot = len(header.shape) == 2 and header.shape[0] == count and header.shape[1] > 1
    if not (is_one_hot and header.dtype.kind in _NUMBERS) and not (
        header.shape in ((count,), (count, 1)) and header.dtype.kind in _NUMBERS + _TEXTS
    ):
        raise DataError(f"{key} is {header}, not a label for each of {count:,} images")
    values = _read(archive, key, header)
    if is_one_hot:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(f"{key} is {header}, and not exactly one value of each row is 1")
        return values.argmax(axis=1)
    values = values.ravel()
    if values.dtype.kind in _TEXTS:
        return values
    if values.dtype.kind == "f" and not (np.mod(values, 1) == 0).all():  # NaN and infinity too
        raise DataError(f"{key} is {header}, and not all values are whole numbers")
    return values if values.dtype.kind in "iu" else values.astype(np.int64)


def _class_names(archive: zipfile.ZipFile, key: str, header: Header, numbers: Any) -> list[str]:
    fits = len(header.shape) == 1 and header.shape[0] <= limits.CLASSES
    names = _texts(_read(archive, key, header)) if fits else []
    if len(set(names)) < len(names) or not ((numbers >= 0) & (numbers < len(names))).all():
        raise DataError(f"{key} is {header}, not a different name for each label from 0 on")
    return names


def _read(archive: zipfile.ZipFile, key: str, header: Header) -> Any:
    dtype = header.dtype
    if dtype.kind not in _NUMBERS + _TEXTS or dtype.itemsize > limits.LABEL_NAME_BYTES:
        raise DataError(f"{key} is {dtype}, not names or numbers")
    size = math.prod(header.shape) * dtype.itemsize
    info = archive.getinfo(f"{key}.npy")
    if size > limits.IMAGE_BYTES or is_bomb(size, info.compress_size):
        raise DataError(f"{key} is {header}, which is too large")
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def _texts(values: Any) -> list[str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return [printable(str(value)) for value in values.tolist()]
