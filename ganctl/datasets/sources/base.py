"""What every source of images offers, and what its files' names say: which are images, of what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from ganctl import limits
from ganctl.datasets.decoding import Content

_SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif")
) | {".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"}
_UNSUPPORTED = frozenset((".jxl", ".jp2", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr")) | {
    ".hdr",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    ".raw",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
}
_ARCHIVES = frozenset((".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".npz", ".rar", ".7z"))
_OF_SYSTEMS = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")  # Windows, macOS
) | {
    "$recycle.bin", "system volume information", "lost+found",
    "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp", "@recently-snapshot",  # Synology, QNAP
}  # fmt: skip
"""What operating systems and file servers put among images, thumbnails above all."""
OTHER = ("not an image by its name", True)
"""Why most files are not used that are no images, and that it is harmless."""


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


@dataclass
class Contents:
    """The images of a source, and how they were told apart."""

    entries: list[Entry] = field(default_factory=list)
    """To be trained on, in an order that is a function of the names alone."""
    held_out: list[Entry] = field(default_factory=list)
    """To compare samples with."""
    classes: list[str] = field(default_factory=list)
    """The names of all classes, in the order in which they are counted; none: no classes."""
    labels_from: str | None = None
    """What tells the classes, such as 'folders' or 'dataset.json'; None: there are none."""
    labels_problem: str | None = None
    """Why labels that are there cannot be used; images that have none are no problem."""
    notes: list[str] = field(default_factory=list)
    """What a user should know of it."""
    problems: list[Problem] = field(default_factory=list)
    """What is not used."""


class Source(Protocol):
    """Images by name. Picklable: a process that gets it opens what it needs when it reads."""

    contents: Contents

    def read(self, entry: Entry) -> Content:
        """A file's bytes, or pixels where the source is an array; bounded. Raises BadImage."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The images to be trained on."""
        return self.contents.entries

    @property
    def classes(self) -> Sequence[str]:
        """The names of their classes."""
        return self.contents.classes

    @property
    def problems(self) -> Sequence[Problem]:
        """What was found while listing."""
        return self.contents.problems


def class_order(labels: Iterable[str]) -> list[str]:
    """Each class once, sorted: as numbers where all are."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
    return sorted(names)


def climbs(name: str) -> bool:
    """Whether an archive's `name` leads out of the folder that it would be unpacked in."""
    return name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over for its name: nobody put images there to be seen."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def unused(name: str, size: int) -> tuple[str, bool] | None:
    """(why a file is not used, whether that is harmless); None where it looks like an image."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if any(map(is_hidden, path.parts)):
        return "hidden", True
    if suffix in _UNSUPPORTED:
        return f"{suffix} files are not supported: save it as PNG or JPEG", False
    if suffix in _ARCHIVES:
        return "an archive in it is not looked into", True
    if suffix not in _SUFFIXES:
        return OTHER
    return too_large(size)


def too_long(name: str) -> tuple[str, bool] | None:
    """The same for a file that has too long a name."""
    if len(name) > limits.NAME_CHARS or name.count("/") > limits.NAME_FOLDERS:
        return "its name is too long, or it is in too many folders", False
    return None


def too_large(size: int) -> tuple[str, bool] | None:
    """The same for a file of `size` bytes."""
    return (f"too large: {size / 1e6:,.0f} MB", False) if size > limits.IMAGE_BYTES else None
