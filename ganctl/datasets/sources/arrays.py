"""The images of a NumPy array (.npy), or of one in an archive (.npz), with its labels."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ganctl import limits
from ganctl.config.images import MIN_SIZE
from ganctl.datasets.base import NO_CLASSES
from ganctl.datasets.decoding import UNREADABLE, BadImage, Pixels
from ganctl.datasets.sources.array_labels import Header, Labels, read_labels
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source
from ganctl.datasets.sources.bounded import Unpacked
from ganctl.datasets.sources.zips import open_zip
from ganctl.errors import DataError
from ganctl.text import printable

_IMAGES = ("images", "x_train", "train_images", "train_x", "x", "data", "arr_0")
_CHANNELS = (1, 3, 4)
_LAYOUT = (
    "Store uint8, 0 to 255, of shape (N, H, W) or (N, H, W, C) with C of 1, 3 or 4: "
    "np.savez('images.npz', images=(x * (255 / x.max())).astype('uint8')). Store images of "
    "different sizes as files in a folder."
)
_NUM_SHOWN = 3
"""Number of unsuitable arrays that are listed."""


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether it is (N, C, H, W), and cannot be (N, H, W, C)."""
    return len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in _CHANNELS


def _is_one_image(header: Header) -> bool:
    shape = header.shape
    is_layout = len(shape) == 3 and shape[2] in _CHANNELS
    return header.dtype == np.uint8 and is_layout and min(shape[:2]) >= MIN_SIZE


def _are_images(header: Header) -> bool:
    shape = header.shape
    is_layout = (len(shape) == 3 and shape[2] not in _CHANNELS) or (
        len(shape) == 4 and (shape[3] in _CHANNELS or _is_channels_first(shape))
    )
    return header.dtype == np.uint8 and is_layout and min(shape) > 0


class Arrays(Source):
    """The images in the .npy or .npz file at `path`, which are mapped into memory.

    An .npz file is unpacked to a temporary file first.
    """

    def __init__(self, path: str) -> None:
        self._images: Pixels | None = None
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
            headers = {path.stem: _header(file)}
            size = file.seek(0, io.SEEK_END)
        key = _choose(headers)
        _require_plausible(key, headers[key], size)
        self._file: Path | Unpacked = path
        self._use(headers, key, Labels())

    def _use_archive(self, archive: zipfile.ZipFile) -> None:
        keys = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
        if len(keys) > limits.ARRAYS:
            raise DataError(f"it has more than {limits.ARRAYS} arrays")
        headers = {}
        for key in sorted(keys):
            with archive.open(f"{key}.npy") as file:
                headers[key] = _header(file)
        key = _choose(headers)
        info = archive.getinfo(f"{key}.npy")
        _require_plausible(key, headers[key], info.compress_size)
        labels = read_labels(archive, headers, headers[key].shape[0])
        with archive.open(info) as content:
            self._file = Unpacked(content, info.compress_size, key)
        self._use(headers, key, labels)

    def _use(self, headers: dict[str, Header], key: str, labels: Labels) -> None:
        """Use the array `key` as the images."""
        self._mapped()
        shape = headers[key].shape
        self._is_channels_first = _is_channels_first(shape)
        notes = []
        if self._is_channels_first:
            notes.append(f"{printable(key)} is {shape}: read as (N, C, H, W), channels first.")
        if labels.problem is not None:
            notes.append(f"{NO_CLASSES}{labels.problem}.")
        names: Sequence[str | None] = labels.names or [None] * shape[0]
        size = math.prod(shape[1:])
        self.contents = Contents(
            [Entry(f"{printable(key)}[{i}]", name, size) for i, name in enumerate(names)],
            classes=list(labels.classes),
            labels_from=labels.key,
            labels_problem=labels.problem,
            notes=notes,
            problems=[
                Problem(printable(other), "not the training images", harmless=True)
                for other, header in headers.items()
                if other != key and _are_images(header)
            ],
        )

    def read(self, entry: Entry) -> Pixels:
        """Return uint8 (H, W) or (H, W, C). Raises BadImage."""
        index = int(entry.name[entry.name.rindex("[") + 1 : -1])
        try:
            image = np.array(self._mapped()[index])
        except (OSError, ValueError) as error:
            raise BadImage(f"{UNREADABLE}: {error}") from None
        return np.moveaxis(image, 0, -1) if self._is_channels_first else image

    def _mapped(self) -> Pixels:
        if self._images is None:
            path = self._file if isinstance(self._file, Path) else self._file.path
            self._images = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._images

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}


def _require_plausible(key: str, header: Header, size: int) -> None:
    """Raise DataError if an array of `size` bytes in the file claims far more images."""
    if header.shape[0] > limits.FREE_IMAGES + size:
        raise DataError(f"{printable(key)} claims more images than it has bytes")


def _header(content: IO[bytes]) -> Header:
    file = io.BytesIO(content.read(limits.ARRAY_HEADER_BYTES))  # numpy reads as much as one says
    read = npy.read_array_header_1_0
    if npy.read_magic(file) != (1, 0):
        read = npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return Header(shape, dtype)


def _choose(headers: dict[str, Header]) -> str:
    """Return the key of the images, or raise DataError."""
    suitable = [key for key, header in headers.items() if _are_images(header)]
    preferred = [key for key in _IMAGES if key in suitable]
    if not preferred and len(suitable) != 1:
        if suitable:
            raise DataError(
                f"several arrays may be the images: {', '.join(map(printable, suitable))}",
                "Name the one to train on 'images'.",
            )
        single = next((key for key, header in headers.items() if _is_one_image(header)), None)
        if single is not None:
            raise DataError(
                f"{printable(single)} is {headers[single]}: one image, but many are needed",
                "Stack all of them: np.savez('images.npz', images=np.stack(list_of_images)).",
            )
        largest = sorted(headers.items(), key=lambda item: -math.prod(item[1].shape))[:_NUM_SHOWN]
        found = "; ".join(f"{printable(key)} is {header}" for key, header in largest)
        raise DataError(f"no array of images; {found or 'it is empty'}", _LAYOUT)
    key = (preferred or suitable)[0]
    count, *shape = headers[key].shape
    if count > limits.MEMBERS or math.prod(shape) > limits.IMAGE_BYTES:
        raise DataError(f"{printable(key)} is too large: {headers[key].shape}", _LAYOUT)
    return key
