"""Generators as files for other programs. The suffix of a file chooses its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganctl import files, machine
from ganctl.errors import UsageError
from ganctl.text import suggestion

if TYPE_CHECKING:
    from ganctl.export.source import Source


def _onnx(source: Source) -> bytes:
    from ganctl.export import onnx

    return onnx.encode(source)


def _pt2(source: Source) -> bytes:
    from ganctl.export import pt2

    return pt2.encode(source)


def _html(source: Source) -> bytes:
    from ganctl.export import page

    return page.encode(source)


_ENCODERS: dict[str, Callable[[Source], bytes]] = {".onnx": _onnx, ".pt2": _pt2, ".html": _html}
"""The function that returns the content of a file, by the file's suffix."""
SUFFIXES = tuple(_ENCODERS)
"""The suffixes of files that a generator can be exported to."""
_COPIES = 4
"""Copies of the weights in memory while they are exported."""


def write(path: Path, source: Source) -> int:
    """Write a generator to `path` in the format of its suffix, and return the size in bytes.

    The file is written completely or not at all. Raises UsageError for an unknown suffix and for a
    generator that is too large, PackageError without the extra `onnx`, RunError if writing fails.
    """
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise UsageError(
            f"cannot export '{path.suffix}' files", suggestion(path.suffix.lower(), SUFFIXES)
        )
    machine.require_memory(_COPIES * source.num_bytes, "exporting the generator")
    content = encode(source)
    files.clear_abandoned(path.parent)
    files.write_atomic(path, content)
    return len(content)
