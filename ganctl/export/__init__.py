"""Generators as files for other programs. The suffix of a file chooses its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganctl import files, generator_file, machine
from ganctl.archive import DAMAGE_HINT
from ganctl.errors import CheckpointError, Setting, Text, UsageError
from ganctl.text import suggestion

if TYPE_CHECKING:
    from ganctl.export.source import Source


def _onnx(source: Source) -> bytes:
    from ganctl.export import onnx

    return onnx.encode(source)


def _pt2(source: Source) -> bytes:
    from ganctl.export import pt2

    return pt2.encode(source)


def _safetensors(source: Source) -> bytes:
    return generator_file.encode(
        generator_file.ExportedGenerator(
            config=source.config, weights=source.generator.state_dict(),
            is_average=source.origin["weights"] == "ema", data=source.data,
            classes=tuple(source.classes), checkpoint=source.origin["checkpoint"],
            step=int(source.origin["step"]), ganctl=source.origin["ganctl"],
            command=source.origin.get("command"),
        )
    )  # fmt: skip


def _html(source: Source) -> bytes:
    from ganctl.export import page

    return page.encode(source)


_ENCODERS: dict[str, Callable[[Source], bytes]] = {
    ".onnx": _onnx, ".pt2": _pt2, generator_file.SUFFIX: _safetensors, ".html": _html
}  # fmt: skip
"""The function that returns the content of a file, by the file's suffix."""
SUFFIXES = tuple(_ENCODERS)
"""The suffixes of files that a generator can be exported to."""
_NO_PROGRAMS = (generator_file.SUFFIX, ".html")
"""The suffixes of files whose images have no type to choose."""
_COPIES = 4
"""Copies of the weights in memory while they are exported."""


def require_possible(path: Path, *, uint8: bool, with_latents: bool) -> None:
    """Raise UsageError unless there is a file of that suffix with bytes, and with latents."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"cannot export '{path.suffix}' files", suggestion(suffix, SUFFIXES))
    if with_latents and suffix != ".html":
        raise UsageError(Text("{} are for a page", Setting("latents")), "Write one: an .html file.")
    if uint8 and suffix in _NO_PROGRAMS:
        raise UsageError(
            Text("{} is for programs, which a {} is not", Setting("uint8", True), suffix),
            "Leave it out, or export an .onnx or a .pt2.",
        )


def write(path: Path, source: Source) -> int:
    """Write a generator to `path` in the format of its suffix, and return the size in bytes.

    The file is written completely or not at all. Raises UsageError for an unknown suffix and for a
    generator that is too large, CheckpointError for one whose weights are not finite, PackageError
    without the extra `onnx`, RunError if writing fails.
    """
    require_possible(path, uint8=source.uint8, with_latents=source.latents is not None)
    for name, tensor in source.generator.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"the generator cannot be exported: {name} holds NaN or infinity", DAMAGE_HINT
            )
    machine.require_memory(_COPIES * source.num_bytes, "exporting the generator")
    content = _ENCODERS[path.suffix.lower()](source)
    files.clear_abandoned(path.parent)
    files.write_atomic(path, content)
    return len(content)
