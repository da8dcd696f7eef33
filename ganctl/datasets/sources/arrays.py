"""The images of a NumPy archive (.npz): one array of uint8, with labels where there are any."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ganctl import limits
from ganctl.datasets.decoding import UNREADABLE, BadImage, Pixels
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source, class_order, shown
from ganctl.datasets.sources.careful import Unpacked, is_bomb
from ganctl.datasets.sources.zips import open_zip
from ganctl.errors import DataError

_IMAGES = ("images", "x_train", "train_images", "train_x", "x", "data", "arr_0")
_LABELS = ("labels", "y_train", "train_labels", "train_y", "label", "y", "targets", "arr_1")
_CLASSES = ("classes", "class_names", "label_names", "names")
_LAYOUT = "Store uint8, 0 to 255, of the shape (N, H, W) or (N, H, W, C) with C of 1, 3 or 4."
_WORST = 3
"""How many arrays that do not fit are told of."""


class _Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def are_images(self) -> bool:
        is_layout = len(self.shape) == 3 or (len(self.shape) == 4 and self.shape[3] in (1, 3, 4))
        return self.dtype == np.uint8 and is_layout and min(self.shape) > 0


class Arrays(Source):
    """The images in the .npz at `path`, unpacked to a temporary file that is mapped, not read."""

    def __init__(self, path: str) -> None:
        self._images: Pixels | None = None
        archive = open_zip(path, limits.ARRAY_DIRECTORY_BYTES)
        try:
            with archive:
                headers = {key: _header(archive, key) for key in _keys(archive)}
                key = _choose(headers)
                shape = headers[key].shape
                info = archive.getinfo(f"{key}.npy")
                if shape[0] > limits.FREE_IMAGES + info.compress_size:
                    raise DataError(f"{shown(key)} claims more images than it has bytes")
                labels, classes, told_by = _labels(archive, headers, shape[0])
                with archive.open(info) as content:
                    self._file = Unpacked(content, info.compress_size, key)
            self._mapped()
        except DataError as error:
            raise DataError(f"{shown(path)}: {error.message}", error.hint) from None
        except Exception as error:  # a parser of damaged files raises whatever it stumbles over
            raise DataError(
                f"{shown(path)} is damaged: {shown(str(error))[:100]}", "Save it again."
            ) from None
        size = math.prod(shape[1:])
        self.contents = Contents(
            [Entry(f"{key}[{i}]", label, size) for i, label in enumerate(labels)],
            classes=classes,
            labels_from=told_by,
            problems=[
                Problem(other, "not the training images", harmless=True)
                for other, header in headers.items()
                if other != key and header.are_images
            ],
        )

    def read(self, entry: Entry) -> Pixels:
        """uint8 (H, W) or (H, W, C). Raises BadImage."""
        index = int(entry.name[entry.name.rindex("[") + 1 : -1])
        try:
            return np.array(self._mapped()[index])
        except (OSError, ValueError) as error:
            raise BadImage(f"{UNREADABLE}: {error}") from None

    def _mapped(self) -> Pixels:
        if self._images is None:
            self._images = np.load(self._file.path, mmap_mode="r", allow_pickle=False)
        return self._images

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}


def _keys(archive: zipfile.ZipFile) -> list[str]:
    keys = {name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")}
    if len(keys) > limits.ARRAYS:
        raise DataError(f"it has more than {limits.ARRAYS} arrays")
    return sorted(keys)


def _header(archive: zipfile.ZipFile, key: str) -> _Header:
    with archive.open(f"{key}.npy") as content:  # numpy reads as much as a header says it has
        file = io.BytesIO(content.read(limits.ARRAY_HEADER_BYTES))
    read = npy.read_array_header_1_0
    if npy.read_magic(file) != (1, 0):
        read = npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return _Header(shape, dtype)


def _choose(headers: dict[str, _Header]) -> str:
    """The key of the images. Raises DataError."""
    fitting = [key for key, header in headers.items() if header.are_images]
    preferred = [key for key in _IMAGES if key in fitting]
    if not preferred and len(fitting) != 1:
        if fitting:
            raise DataError(
                f"several arrays may be the images: {', '.join(map(shown, fitting))}",
                "Name the one to train on 'images'.",
            )
        found = [
            f"{shown(key)} is {header.dtype} {header.shape}"
            for key, header in sorted(headers.items(), key=lambda item: -math.prod(item[1].shape))
        ]
        raise DataError(
            f"no array of images; {'; '.join(found[:_WORST]) or 'it is empty'}", _LAYOUT
        )
    key = (preferred or fitting)[0]
    count, *shape = headers[key].shape
    if count > limits.MEMBERS or math.prod(shape) > limits.IMAGE_BYTES:
        raise DataError(f"{shown(key)} is too large: {headers[key].shape}", _LAYOUT)
    return key


def _labels(
    archive: zipfile.ZipFile, headers: dict[str, _Header], count: int
) -> tuple[list[str | None], list[str], str | None]:
    """(each image's class, or None of each; the classes in order; what tells them). DataError."""
    key = next((key for key in _LABELS if key in headers), None)
    if key is None:
        return [None] * count, [], None
    header = headers[key]
    if header.shape not in ((count,), (count, 1)) or header.dtype.kind not in "iuUS":
        raise DataError(
            f"{key} is {header.dtype} {header.shape}: not a label for each of {count:,} images",
            "Store whole numbers or texts of the shape (N,), or leave it out.",
        )
    values = _texts(archive, key, header)
    names = next((key for key in _CLASSES if key in headers), None)
    if names is not None and header.dtype.kind in "iu":
        named = headers[names]
        fits = len(named.shape) == 1 and named.shape[0] <= limits.CLASSES
        known = _texts(archive, names, named) if fits else []
        if (
            not fits
            or len(set(known)) < len(known)
            or not all(value.isdecimal() and int(value) < len(known) for value in set(values))
        ):
            raise DataError(
                f"{names} does not name the classes: {key} counts others, or names repeat",
                "Store one name for each label from 0 on.",
            )
        return [known[int(value)] for value in values], known, key
    return list(values), class_order(values), key


def _texts(archive: zipfile.ZipFile, key: str, header: _Header) -> list[str]:
    """A small array's values as texts. Raises DataError."""
    if header.dtype.kind not in "iuUS" or header.dtype.itemsize > limits.LABEL_NAME_BYTES:
        raise DataError(f"{key} is {header.dtype}: not names or numbers")
    size = math.prod(header.shape) * header.dtype.itemsize
    info = archive.getinfo(f"{key}.npy")
    if size > limits.IMAGE_BYTES or is_bomb(size, info.compress_size):
        raise DataError(f"{key} is too large: {header.dtype} {header.shape}")
    with archive.open(info) as file:
        values = npy.read_array(file, allow_pickle=False).ravel()
    if header.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return [shown(str(value)) for value in values]
