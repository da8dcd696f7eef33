"""What every source of images offers, and what its files' names say: which are images, of what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from ganctl.datasets.decoding import Content

MAX_BYTES = 2**28
"""Of one image file; larger ones are not read."""
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .webp .bmp .dib .tif .tiff .gif".split()  # noqa: SIM905
)
_UNSUPPORTED = frozenset(
    ".heic .heif .avif .jxl .jp2 .psd .svg .eps .ico .tga .exr .hdr .ppm .pgm .pbm .pnm .raw .dng "
    ".cr2 .cr3 .nef .arw .orf .rw2 .raf".split()  # noqa: SIM905
)
_SPLITS = frozenset("train training val valid validation test testing".split())  # noqa: SIM905


@dataclass(frozen=True)
class Entry:
    """One image of a source."""

    name: str
    """Unique in the source; '/' between folders; fit to be shown."""
    label: str | None
    """The name of its class; None for all images of a source that has no classes."""
    size: int
    """In bytes, as the file system or the archive says."""


@dataclass(frozen=True)
class Problem:
    """Something in a source that is not used, and why, in plain words."""

    name: str
    reason: str
    harmless: bool = False
    """Whether no image is missed: a text file, a thumbnail's index, a second way to a folder."""


class Source(Protocol):
    """Images by name. Picklable: a process that gets it opens what it needs when it reads."""

    @property
    def entries(self) -> Sequence[Entry]:
        """In an order that is a function of the names alone."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of all classes, in the order in which they are counted; none: no classes."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What was found while listing."""

    def read(self, entry: Entry) -> Content:
        """A file's bytes, or pixels where the source is an array. Raises BadImage. Bounded."""


def shown(name: str) -> str:
    r"""`name` with what no terminal should be sent, and what is no text, as '\x1b' or '\udcff'."""
    if name.isprintable():
        return name
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode()
        for char in name
    )


def unused(name: str, size: int) -> Problem | None:
    """Why the file `name` is not used; None where it should be an image by its name and size."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return Problem(shown(name), "hidden", harmless=True)
    if suffix in _UNSUPPORTED:
        return Problem(shown(name), f"{suffix} files are not supported: save it as PNG or JPEG")
    if suffix not in SUFFIXES:
        return Problem(shown(name), "not an image by its name", harmless=True)
    if size > MAX_BYTES:
        return Problem(shown(name), f"too large: {size / 1e6:,.0f} MB")
    return None


def label(sizes: dict[str, int]) -> tuple[list[Entry], list[str], list[Problem]]:
    """(entries by name, classes, problems) of the files `sizes`: the bytes of each by its name.

    A class is the topmost folder that tells images apart. Where some images lie beside the folders,
    there are no classes: all images have one, or none has.
    """
    parts = {name: tuple(name.split("/")) for name in sorted(sizes)}
    depth = _common_depth(parts.values())
    labels = {name: path[depth] if len(path) > depth + 1 else None for name, path in parts.items()}
    problems = []
    if None in labels.values() or len(set(labels.values())) < 2:
        if len(set(labels.values())) > 1:
            problems.append(
                Problem("folders", "some images lie beside them: no classes", harmless=True)
            )
        labels = dict.fromkeys(labels, None)
    entries = [Entry(name, labels[name], sizes[name]) for name in parts]
    return entries, class_order(name for name in labels.values() if name is not None), problems


def class_order(labels: Iterable[str]) -> list[str]:
    """Each class once, sorted: as numbers where all are."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _common_depth(paths: Iterable[tuple[str, ...]]) -> int:
    """How many folders all of `paths` are in."""
    folders = [path[:-1] for path in paths]
    depth = 0
    if folders:
        for first, last in zip(min(folders), max(folders), strict=False):
            if first != last:
                break
            depth += 1
    return depth
