"""MNIST's idx files: arrays of images and of labels, plain or packed with gzip.

A file has two zeros, a type, the number of dimensions, their sizes (big-endian) and the values. The
names say which files belong together: 'train-images-idx3-ubyte' and 'train-labels-idx1-ubyte'.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganctl.datasets.dataset import NO_CLASSES
from ganctl.datasets.decoding.decode import UNREADABLE, BadImage
from ganctl.datasets.sources.arrays import ArrayHeader, channels_note, require_plausible
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source, class_order
from ganctl.datasets.sources.bounded import Unpacked
from ganctl.errors import DataError
from ganctl.text import listed, printable

_SUFFIX = r"idx\d([-._](u?byte|short|int|float|double))?(\.gz)?"
_NAME = re.compile(rf"(.*[-._])?{_SUFFIX}", re.IGNORECASE)
_LABELS = re.compile(r"labels?|idx1", re.IGNORECASE)
_ROLE = re.compile(rf"images?|labels?|[-._]?{_SUFFIX}$", re.IGNORECASE)
"""What differs between the names of images and of their labels."""
_TRAIN, _TEST = re.compile("train", re.IGNORECASE), re.compile("t10k|test", re.IGNORECASE)
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 4
_AGAIN = "Download or save it again."


def is_idx(name: str) -> bool:
    """Return whether a file is an idx file by its name.

    >>> is_idx("train-images-idx3-ubyte.gz"), is_idx("t10k-labels.idx1-ubyte"), is_idx("a.gz")
    (True, True, False)
    """
    return _NAME.fullmatch(os.path.basename(name)) is not None  # noqa: PTH119


def labels_beside(path: str) -> list[str]:
    """Return the paths of the files beside the images at `path` that may have their labels."""
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError, ValueError):
        return [
            os.path.join(folder, other)  # noqa: PTH118
            for other in sorted(os.listdir(folder or "."))  # noqa: PTH208
            if is_idx(other) and _LABELS.search(other) and _key(other) == _key(name)
        ]
    return []


class Idx(Source):
    """The images in idx files, with the classes in other such files."""

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        """Use the files called `names` below `folder`. Raises DataError.

        Those called 't10k' or 'test' are held out if others are called 'train'.
        """
        self.contents = Contents()
        self._folder = folder
        self._arrays: dict[str, _Images] = {}
        names = list(names)
        images, labels = _by_key(names)
        train, test = _splits(images)
        array = self._open(images[train])
        classes = self._read_labels(labels.get(train), len(array))
        self.contents.entries = array.entries(classes)
        self.contents.classes = class_order(classes)
        if test is not None:
            try:
                self.contents.held_out = self._open(images[test]).entries()
            except DataError as error:
                self.contents.problems.append(Problem(printable(images[test]), str(error.message)))
        used = {files.get(key or "") for files in (images, labels) for key in (train, test)}
        self.contents.problems += [
            Problem(printable(name), "not the training images or their labels", harmless=True)
            for name in names
            if name not in used
        ]

    @classmethod
    def of_file(cls, path: str) -> Idx:
        """Return the images in the file at `path`, with the labels in a file beside it."""
        folder, name = os.path.split(path)
        beside = (os.path.basename(labels) for labels in labels_beside(path))  # noqa: PTH119
        return cls(folder, [name, *(other for other in beside if other != name)])

    def read(self, entry: Entry) -> NDArray[Any]:
        """Return (H, W) or (H, W, C). Raises BadImage."""
        name, _, index = entry.name[:-1].rpartition("[")
        try:
            return self._arrays[name][int(index)]
        except (OSError, ValueError) as error:
            raise BadImage(f"{UNREADABLE}: {error}") from None

    def _open(self, name: str) -> _Images:
        array = _Images(os.path.join(self._folder, name), printable(name))  # noqa: PTH118
        self._arrays[array.name] = array
        if array.header.is_channels_first:
            self.contents.notes.append(channels_note(array.name, array.header))
        return array

    def _read_labels(self, name: str | None, count: int) -> list[str]:
        """Return the class of each of `count` images; none if there are no usable labels."""
        if name is None:
            return []
        try:
            found = _read_labels(os.path.join(self._folder, name), printable(name), count)  # noqa: PTH118
        except DataError as error:
            self.contents.labels_problem = str(error.message)
            self.contents.notes.append(f"{NO_CLASSES}{error.message}.")
            return []
        self.contents.labels_from = printable(name)
        return found


class _Header(NamedTuple):
    """The type and shape of the values of an idx file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype.name} {self.shape}"

    @property
    def offset(self) -> int:
        """Position of the first value, in bytes."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """Size of the file, in bytes."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


class _Images:
    """The images in the file at `path`, mapped into memory; a packed file is unpacked before."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self._file: str | Unpacked = path
        self._pixels: NDArray[Any] | None = None
        with _opened(path, name) as (content, is_packed):
            found = _read_header(content, name)
            size = os.stat(path).st_size  # noqa: PTH116
            self.header = ArrayHeader(found.shape, found.dtype, size)
            if not self.header.are_images:
                raise DataError(
                    f"{name} has no images: it is {found}",
                    "Give the file of the images, (N, H, W) or (N, H, W, C), or its folder.",
                )
            require_plausible(name, self.header)
            if is_packed:
                content.seek(0)
                self._file = Unpacked(content, size, name)
                size = os.stat(self._file).st_size  # noqa: PTH116
            _require_size(name, size, found)
        self._offset = found.offset

    def __len__(self) -> int:
        return self.header.shape[0]

    def __getitem__(self, index: int) -> NDArray[Any]:
        if self._pixels is None:
            path = os.fspath(self._file)
            self._pixels = np.memmap(path, self.header.dtype, "r", self._offset, self.header.shape)
        image = np.array(self._pixels[index])
        return np.moveaxis(image, 0, -1) if self.header.is_channels_first else image

    def entries(self, classes: Sequence[str] = ()) -> list[Entry]:
        """Return the entry of each image, with its class if there are `classes`."""
        size = math.prod(self.header.shape[1:]) * self.header.dtype.itemsize
        return [
            Entry(f"{self.name}[{i}]", classes[i] if classes else None, size)
            for i in range(len(self))
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pixels": None}


def _read_labels(path: str, name: str, count: int) -> list[str]:
    """Return the labels of `count` images as text. Raises DataError."""
    with _opened(path, name) as (content, _):
        header = _read_header(content, name)
        if header.shape != (count,) or header.dtype.kind not in "iu":
            raise DataError(f"{name} is {header}, not a label for each of {count:,} images")
        values = content.read(count * header.dtype.itemsize + 1)
        _require_size(name, header.offset + len(values), header)
    return [str(number) for number in np.frombuffer(values, header.dtype).tolist()]


@contextlib.contextmanager
def _opened(path: str, name: str) -> Iterator[tuple[IO[bytes], bool]]:
    """Yield the content of a file that is called `name`, and whether it is packed.

    Whatever reading a damaged file raises becomes a DataError.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_packed:
                with gzip.GzipFile(fileobj=file) as content:
                    yield content, True  # type: ignore[misc]  # it has all that is used
            else:
                yield file, False
    except DataError:
        raise
    except Exception as error:
        reason = printable(str(getattr(error, "strerror", None) or error))[:100]
        is_system = isinstance(error, OSError) and error.errno is not None
        verb = "cannot be read" if is_system else "is damaged"
        raise DataError(f"{name} {verb}: {reason}", _AGAIN) from None


def _read_header(content: IO[bytes], name: str) -> _Header:
    start = content.read(4)
    is_known = len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES
    if not (is_known and 1 <= start[3] <= _MAX_DIMENSIONS):
        raise DataError(f"{name} is not an idx file of images or labels", _AGAIN)
    shape = struct.unpack(f">{start[3]}I", content.read(4 * start[3]))
    return _Header(np.dtype(_TYPES[start[2]]), shape)


def _require_size(name: str, size: int, header: _Header) -> None:
    if size != header.size:
        more = "more" if size > header.size else "fewer"
        raise DataError(f"{name} is damaged: it has {more} bytes than {header} takes", _AGAIN)


def _key(name: str) -> str:
    """Return what the names of images and of their labels have in common: 'train-'."""
    return _ROLE.sub("", PurePosixPath(name).name).lower()


def _by_key(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files of images and those of labels by their keys. Raises DataError.

    They are those in the outermost folders that have images. Of a file and the same one packed,
    the former is used.
    """
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    are_labels = {name: _LABELS.search(PurePosixPath(name).name) is not None for name in names}
    depths = [name.count("/") for name, is_label in are_labels.items() if not is_label]
    if not depths:
        raise DataError(
            f"no images, only labels: {listed(map(printable, are_labels))}",
            "Give the file of the images, such as train-images-idx3-ubyte.gz, or its folder.",
        )
    for name in sorted(are_labels):  # 'x' comes before 'x.gz'
        if name.count("/") != min(depths):
            continue
        first = (labels if are_labels[name] else images).setdefault(_key(name), name)
        if name not in (first, f"{first}.gz"):
            raise _several([first, name])
    return images, labels


def _splits(images: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the keys of the training images and of those to hold out. Raises DataError."""
    keys = sorted(images)
    train = [key for key in keys if _TRAIN.search(key)]
    train = train or [key for key in keys if not _TEST.search(key)] or keys
    if len(train) > 1:
        raise _several(images[key] for key in train)
    tests = [key for key in keys if key not in train and _TEST.search(key)]
    return train[0], tests[0] if tests else None


def _several(names: Iterable[str]) -> DataError:
    return DataError(
        f"several files may be the training images: {listed(map(printable, names))}",
        "Give the path of one of them, or a folder with one set of files.",
    )
