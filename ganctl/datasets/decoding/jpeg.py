"""The parts of a JPEG: whether it is split into several scans, and whether only its end is lost."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

_START, _END = b"\xff\xd8", b"\xff\xd9"
_TAILS = (b"", b"\x00" * 32, b"\xfe" * 32, b"\x55" * 32, b"\xa3" * 32)
"""Bytes that may stand between the pixels and the end marker: decoders skip them."""
_WITHOUT_CONTENT = {0x01, *range(0xD0, 0xD8)}
_PROGRESSIVE = 0xC2
_FRAMES = {0xC0, 0xC1, _PROGRESSIVE}
_SCAN = 0xDA
_COEFFICIENTS = 64


def with_endings(content: bytes) -> Iterator[bytes]:
    """Yield a JPEG's `content` with several endings, or nothing if whole scans are missing."""
    if content.startswith(_START) and _has_all_scans(content):
        for tail in _TAILS:
            yield content.removesuffix(b"\xff") + tail + _END


def is_split(content: bytes) -> bool:
    """Return whether a JPEG's first scan lacks components: a decoder must then hold all scans."""
    num_components = 0
    with contextlib.suppress(IndexError, struct.error):
        for marker, start in _segments(content):
            if marker == _SCAN:
                return content[start] != num_components
            if marker in _FRAMES:
                num_components = content[start + 5]
    return True


def _has_all_scans(content: bytes) -> bool:
    """Return whether every coefficient of every component is coded, down to its last bit.

    A progressive JPEG has some ten scans, and shows the whole picture, blurred, after the first.
    """
    missing: set[tuple[int, int]] | None = None
    is_progressive = False
    try:
        for marker, start in _segments(content):
            if marker in _FRAMES:
                ids = content[start + 6 : start + 6 + 3 * content[start + 5] : 3]
                missing = {(one, number) for one in ids for number in range(_COEFFICIENTS)}
                is_progressive = marker == _PROGRESSIVE
            elif marker == _SCAN and missing is not None:
                after = start + 1 + 2 * content[start]
                ids = content[start + 1 : after : 2]
                first, last, bits = content[after : after + 3]
                if not is_progressive:
                    first, last, bits = 0, _COEFFICIENTS - 1, 0
                if bits & 15 == 0:
                    missing -= {(one, number) for one in ids for number in range(first, last + 1)}
    except (IndexError, ValueError, struct.error):
        return False
    return missing == set()


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the offset of its content."""
    place = 2
    while (place := content.find(b"\xff", place)) >= 0 and place + 1 < len(content):
        marker = content[place + 1]
        place += 1 if marker == 0xFF else 2
        if marker in (0x00, 0xFF) or marker in _WITHOUT_CONTENT:  # pixels, or fill
            continue
        (size,) = struct.unpack_from(">H", content, place)
        yield marker, place + 2
        place += size
