"""The images of a NumPy array (.npy), or of one in an archive (.npz), with its labels."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganctl import limits
from ganctl.config.image_settings import MIN_SIZE
from ganctl.datasets.dataset import NO_CLASSES
from ganctl.datasets.decoding.decode import UNREADABLE, BadImage
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source, class_order
from ganctl.datasets.sources.bounded import Unpacked
from ganctl.datasets.sources.npy import (
    NUMBERS,
    TEXTS,
    VALUES,
    Header,
    read_array,
    read_header,
    read_headers,
)
from ganctl.datasets.sources.zips import open_zip
from ganctl.errors import DataError, Setting, Text
from ganctl.text import printable

_IMAGES = ("images", "x_train", "train_images", "train_x", "x", "data", "arr_0")
_CHANNELS = (1, 3, 4)
_LAYOUT = (
    "Store numbers of shape (N, H, W) or (N, H, W, C) with C of 1, 3 or 4: "
    "np.savez('images.npz', images=x). Store images of different sizes as files in a folder."
)
_LABELS = ("labels", "y_train", "train_labels", "train_y", "label", "y", "targets", "arr_1")
_CLASSES = ("classes", "class_names", "label_names", "names")
_NUM_SHOWN = 3
"""Number of unsuitable arrays that are listed."""


class ArrayHeader(Header):
    """The shape and type of an array that may be images."""

    @property
    def is_channels_first(self) -> bool:
        """Whether the array is (N, C, H, W), and cannot be (N, H, W, C)."""
        shape = self.shape
        return len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in _CHANNELS

    @property
    def is_one_image(self) -> bool:
        """Whether the array is a single image, (H, W, C)."""
        is_layout = len(self.shape) == 3 and self.shape[2] in _CHANNELS
        return self._are_values and is_layout and min(self.shape[:2]) >= MIN_SIZE

    @property
    def are_images(self) -> bool:
        """Whether the array has images that can be trained on."""
        shape = self.shape
        is_layout = (len(shape) == 3 and shape[2] not in _CHANNELS) or (
            len(shape) == 4 and (shape[3] in _CHANNELS or self.is_channels_first)
        )
        return self._are_values and is_layout and min(shape) > 0

    @property
    def _are_values(self) -> bool:
        return self.dtype.kind in VALUES


class _Labels(NamedTuple):
    """The classes of the images in an archive."""

    key: str | None = None
    """Name of the array that they are from; None if there are none."""
    names: Sequence[str] = ()
    """Name of each image's class."""
    classes: Sequence[str] = ()
    """Names of all classes, in the order of their numbers."""
    problem: str | None = None
    """Why labels that are there cannot be used."""


class Arrays(Source):
    """The images in the .npy or .npz file at `path`, which are mapped into memory.

    An .npz file is unpacked to a temporary file first.
    """

    def __init__(self, path: str) -> None:
        self._images: NDArray[Any] | None = None
        is_alone = path.lower().endswith(".npy")
        archive = None if is_alone else open_zip(path, limits.ARRAY_DIRECTORY_BYTES)
        try:
            if archive is None:
                self._use_array(Path(path))
            else:
                with archive:
                    self._use_archive(archive)
        except DataError as error:
            raise DataError(f"{printable(path)}: {error.message}", error.hint) from None
        except Exception as error:  # parsers of damaged files can raise anything
            raise DataError(
                f"{printable(path)} is damaged: {printable(str(error))[:100]}", "Save it again."
            ) from None

    def _use_array(self, path: Path) -> None:
        with path.open("rb") as file:
            headers = {path.stem: ArrayHeader(*read_header(file, path.stat().st_size))}
        self._file: Path | Unpacked = path
        self._use(headers, _choose(headers), _Labels())

    def _use_archive(self, archive: zipfile.ZipFile) -> None:
        headers = {key: ArrayHeader(*header) for key, header in read_headers(archive).items()}
        key = _choose(headers)
        labels = _read_labels(archive, headers, headers[key].shape[0])
        with archive.open(f"{key}.npy") as content:
            self._file = Unpacked(content, headers[key].packed, key)
        self._use(headers, key, labels)

    def _use(self, headers: dict[str, ArrayHeader], key: str, labels: _Labels) -> None:
        """Use the array `key` as the images."""
        self._mapped()
        shape = headers[key].shape
        self._is_channels_first = headers[key].is_channels_first
        notes = []
        if self._is_channels_first:
            notes.append(channels_note(printable(key), headers[key]))
        if labels.problem is not None:
            notes.append(f"{NO_CLASSES}{labels.problem}.")
        names: Sequence[str | None] = labels.names or [None] * shape[0]
        size = math.prod(shape[1:]) * headers[key].dtype.itemsize
        self.contents = Contents(
            [Entry(f"{printable(key)}[{i}]", name, size) for i, name in enumerate(names)],
            classes=list(labels.classes),
            labels_from=labels.key,
            labels_problem=labels.problem,
            notes=notes,
            problems=[
                Problem(printable(other), "not the training images", harmless=True)
                for other, header in headers.items()
                if other != key and header.are_images
            ],
        )

    def read(self, entry: Entry) -> NDArray[Any]:
        """Return (H, W) or (H, W, C). Raises BadImage."""
        index = int(entry.name[entry.name.rindex("[") + 1 : -1])
        try:
            image = np.array(self._mapped()[index])
        except (OSError, ValueError) as error:
            raise BadImage(f"{UNREADABLE}: {error}") from None
        return np.moveaxis(image, 0, -1) if self._is_channels_first else image

    def _mapped(self) -> NDArray[Any]:
        if self._images is None:
            self._images = np.load(os.fspath(self._file), mmap_mode="r", allow_pickle=False)
        return self._images

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}


def _choose(headers: dict[str, ArrayHeader]) -> str:
    """Return the key of the images, or raise DataError."""
    suitable = [key for key, header in headers.items() if header.are_images]
    suitable = [key for key in suitable if headers[key].dtype == np.uint8] or suitable
    preferred = [key for key in _IMAGES if key in suitable]
    if not preferred and len(suitable) != 1:
        if suitable:
            raise DataError(
                f"several arrays may be the images: {', '.join(map(printable, suitable))}",
                "Name the one to train on 'images'.",
            )
        single = next((key for key, header in headers.items() if header.is_one_image), None)
        if single is not None:
            raise DataError(
                f"{printable(single)} is {headers[single]}: one image, but many are needed",
                "Stack all of them: np.savez('images.npz', images=np.stack(list_of_images)).",
            )
        if "latents" in headers:
            raise DataError(
                "these are latents, not images",
                Text("Draw the images of them with {}.", Setting("latents")),
            )
        largest = sorted(headers.items(), key=lambda item: -math.prod(item[1].shape))[:_NUM_SHOWN]
        found = "; ".join(f"{printable(key)} is {header}" for key, header in largest)
        raise DataError(f"no array of images; {found or 'it is empty'}", _LAYOUT)
    key = (preferred or suitable)[0]
    require_plausible(printable(key), headers[key])
    return key


def require_plausible(name: str, header: ArrayHeader) -> None:
    """Raise DataError if an array claims to have too many images, or too large ones."""
    count, *shape = header.shape
    if count > limits.MEMBERS or math.prod(shape) * header.dtype.itemsize > limits.IMAGE_BYTES:
        raise DataError(f"{name} is too large: {header.shape}", _LAYOUT)
    if count > limits.FREE_IMAGES + header.packed:
        raise DataError(f"{name} claims more images than it has bytes")


def channels_note(name: str, header: ArrayHeader) -> str:
    """Return a note that an array's channels come first."""
    return f"{name} is {header.shape}: read as (N, C, H, W), channels first."


def _read_labels(archive: zipfile.ZipFile, headers: dict[str, ArrayHeader], count: int) -> _Labels:
    """Return the labels of `count` images."""
    key = next((key for key in _LABELS if key in headers), None)
    if key is None:
        return _Labels()
    try:
        values = _values_of_images(archive, key, headers[key], count)
        names_key = next((key for key in _CLASSES if key in headers), None)
        if names_key is None or values.dtype.kind in TEXTS:
            texts = _texts(values)
            return _Labels(key, texts, class_order(texts))
        names = _class_names(archive, names_key, headers[names_key], values)
    except DataError as error:
        return _Labels(problem=str(error.message))
    return _Labels(key, [names[number] for number in values.tolist()], names)


def _values_of_images(archive: zipfile.ZipFile, key: str, header: ArrayHeader, count: int) -> Any:
    """Return whole numbers or texts, (count,), one for each image."""
    is_one_hot = len(header.shape) == 2 and header.shape[0] == count and header.shape[1] > 1
    if not (is_one_hot and header.dtype.kind in NUMBERS) and not (
        header.shape in ((count,), (count, 1)) and header.dtype.kind in NUMBERS + TEXTS
    ):
        raise DataError(f"{key} is {header}, not a label for each of {count:,} images")
    values = read_array(archive, key, header)
    if is_one_hot:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(f"{key} is {header}, and not exactly one value of each row is 1")
        return values.argmax(axis=1)
    values = values.ravel()
    if values.dtype.kind in TEXTS:
        return values
    if values.dtype.kind == "f" and not (np.mod(values, 1) == 0).all():  # NaN and infinity too
        raise DataError(f"{key} is {header}, and not all values are whole numbers")
    return values if values.dtype.kind in "iu" else values.astype(np.int64)


def _class_names(
    archive: zipfile.ZipFile, key: str, header: ArrayHeader, numbers: Any
) -> list[str]:
    fits = len(header.shape) == 1 and header.shape[0] <= limits.CLASSES
    names = _texts(read_array(archive, key, header)) if fits else []
    if len(set(names)) < len(names) or not ((numbers >= 0) & (numbers < len(names))).all():
        raise DataError(f"{key} is {header}, not a different name for each label from 0 on")
    return names


def _texts(values: Any) -> list[str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return [printable(str(value)) for value in values.tolist()]
