"""Arrays in .npy and .npz files of unknown origin, read within limits."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ganctl import limits
from ganctl.datasets.sources.bounded import is_bomb
from ganctl.errors import DataError

NUMBERS, VALUES, TEXTS = "iufb", "iuf", "US"
"""Kinds of NumPy's types: labels, pixels and names."""


class Header(NamedTuple):
    """The shape and type of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    packed: int
    """Size in the file, in bytes."""

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def read_header(content: IO[bytes], packed: int) -> Header:
    """Return the header of the .npy file `content`, which takes `packed` bytes.

    Raises anything that a parser of damaged files may raise.
    """
    file = io.BytesIO(content.read(limits.ARRAY_HEADER_BYTES))  # numpy reads as much as one says
    read = npy.read_array_header_1_0
    if npy.read_magic(file) != (1, 0):
        read = npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return Header(shape, dtype, packed)


def read_headers(archive: zipfile.ZipFile) -> dict[str, Header]:
    """Return the header of each array in an .npz, by its name, in alphabetical order.

    Raises DataError if there are too many, and whatever `read_header` raises.
    """
    keys = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    if len(keys) > limits.ARRAYS:
        raise DataError(f"it has more than {limits.ARRAYS} arrays")
    headers = {}
    for key in sorted(keys):
        with archive.open(f"{key}.npy") as file:
            headers[key] = read_header(file, archive.getinfo(f"{key}.npy").compress_size)
    return headers


def read_array(
    archive: zipfile.ZipFile,
    key: str,
    header: Header,
    max_item_bytes: int = limits.LABEL_NAME_BYTES,
) -> Any:
    """Return the array `key` of an .npz: numbers or texts of at most `max_item_bytes` each.

    Nothing is unpickled. Raises DataError, and whatever numpy raises for a damaged array.
    """
    dtype = header.dtype
    if dtype.kind not in NUMBERS + TEXTS or dtype.itemsize > max_item_bytes:
        raise DataError(f"{key} is {dtype}, not names or numbers")
    size = math.prod(header.shape) * dtype.itemsize
    if size > limits.IMAGE_BYTES or is_bomb(size, header.packed):
        raise DataError(f"{key} is {header}, which is too large")
    with archive.open(f"{key}.npy") as file:
        return npy.read_array(file, allow_pickle=False)
