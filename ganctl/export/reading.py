"""What exported programs and pages say about themselves. None of their code is run.

A .safetensors, from which the generator itself is read, has its own module: `generator_file`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ganctl import limits
from ganctl.datasets.sources.zips import open_zip
from ganctl.provenance import from_json

PT2_MEMBER = "ganctl.json"
"""Name of the extra file in a .pt2 that holds the metadata."""
_HTML = re.compile(r'<script type="application/json" id="provenance">(.*?)</script>', re.DOTALL)
_HTML_CHARS = 2**16 + limits.PROVENANCE_BYTES
"""Characters of a page that are searched: the metadata are in its head."""
_METADATA, _KEY, _VALUE = 14, 1, 2
"""Numbers of the fields of ONNX's ModelProto and StringStringEntryProto."""
_MAX_FIELDS = 10_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Types of fields (protobuf's wire types)."""


def of_onnx(path: Path) -> dict[str, str]:
    """Return the metadata of an .onnx file; none if ganctl did not write it.

    The graph and the weights are skipped. Raises OSError, and ValueError for a damaged file.
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        for entry in _fields(file, path.stat().st_size, (_METADATA,)):
            key, value = "", ""
            for number, content in _pairs(entry[1]):
                if number == _KEY:
                    key = content.decode()
                else:
                    value = content.decode()
            found[key] = value
    return found if "ganctl" in found else {}


def _pairs(entry: bytes) -> Iterator[tuple[int, bytes]]:
    return _fields(io.BytesIO(entry), len(entry), (_KEY, _VALUE))


def _fields(file: IO[bytes], end: int, wanted: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each `wanted` field of bytes in a protobuf message."""
    left = limits.PROVENANCE_BYTES
    for _ in range(_MAX_FIELDS):
        if file.tell() >= end:
            return
        number, kind = divmod(_varint(file), 8)
        if kind == _VARINT:
            _varint(file)
            continue
        if kind not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError("it is no protobuf message")
        size = _varint(file) if kind == _BYTES else 8 if kind == _FIXED64 else 4
        if size > end - file.tell():
            raise ValueError("it is cut short")
        if kind == _BYTES and number in wanted:
            left -= size
            if left < 0:
                raise ValueError("its metadata are too large")
            yield number, file.read(size)
        else:
            file.seek(size, io.SEEK_CUR)
    raise ValueError("it has too many parts")


def _varint(file: IO[bytes]) -> int:
    """Return a whole number of 1 to 10 bytes, the lowest seven bits first."""
    number = 0
    for shift in range(0, 70, 7):
        (byte,) = file.read(1) or b"\0"
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise ValueError("it is no protobuf message")


def of_pt2(path: Path) -> dict[str, str]:
    """Return the metadata of a .pt2 file; none if ganctl did not write it. Raises DataError."""
    with open_zip(str(path), limits.ARRAY_DIRECTORY_BYTES) as archive:
        for info in archive.infolist():
            if info.filename.endswith(f"/extra/{PT2_MEMBER}"):
                with archive.open(info) as member:
                    return from_json(member.read(limits.PROVENANCE_BYTES).decode())
    return {}


def of_page(path: Path) -> dict[str, str]:
    """Return the metadata of an .html file; none if ganctl did not write it. Raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = _HTML.search(file.read(_HTML_CHARS))
    return from_json(found[1]) if found else {}
