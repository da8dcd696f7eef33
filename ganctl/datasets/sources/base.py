"""The interface of every source of images, and rules about the names of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from ganctl import limits
from ganctl.datasets.decoding.decode import Content

_IMAGES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif",
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif",
))  # fmt: skip
_UNSUPPORTED = frozenset((
    ".jxl", ".jp2", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr", ".hdr", ".ppm", ".pgm", ".pbm",
    ".pnm", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw",
))  # fmt: skip
_ARCHIVES = frozenset((".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".npz", ".rar", ".7z"))
_SYSTEM_FILES = frozenset((
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx",  # Windows, macOS
    "$recycle.bin", "system volume information", "lost+found",
    "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp", "@recently-snapshot",  # Synology, QNAP
))  # fmt: skip
"""Files that operating systems and file servers put beside images, mostly thumbnails."""

Reason = tuple[str, bool]
"""(why a file is not used, whether that is harmless)."""
NOT_AN_IMAGE: Reason = ("not an image by its name", True)


@dataclass(frozen=True)
class Entry:
    """An image of a source."""

    name: str
    """Name that is unique in the source, with '/' between folders, and safe to print."""
    label: str | None
    """Name of its class; None for all images of a source that has no classes."""
    size: int
    """Size in bytes, according to the file system or the archive."""


@dataclass(frozen=True)
class Problem:
    """Something in a source that is not used, and why, in plain words."""

    name: str
    reason: str
    harmless: bool = False
    """Whether no image is lost: a text file, a file of thumbnails, a second way to a folder."""


@dataclass
class Contents:
    """The images of a source, with their splits and classes."""

    entries: list[Entry] = field(default_factory=list)
    """Training images, in an order that is a function of the names alone."""
    held_out: list[Entry] = field(default_factory=list)
    """Images to compare samples with."""
    classes: list[str] = field(default_factory=list)
    """Names of all classes, in the order of their numbers; empty if there are none."""
    labels_from: str | None = None
    """Source of the classes, such as 'folders' or 'dataset.json'; None without classes."""
    labels_problem: str | None = None
    """Why labels that are there cannot be used; it is no problem if there are none."""
    notes: list[str] = field(default_factory=list)
    """How splits, classes and samples were recognized, where a user should know."""
    problems: list[Problem] = field(default_factory=list)
    """Files and folders that are not used."""


class Source(Protocol):
    """A source of images by name. It can be pickled: the copy opens its own files."""

    contents: Contents

    def read(self, entry: Entry) -> Content:
        """Return a file's bytes, or pixels if the source is an array. Raises BadImage."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The training images."""
        return self.contents.entries

    @property
    def classes(self) -> Sequence[str]:
        """The names of their classes."""
        return self.contents.classes

    @property
    def problems(self) -> Sequence[Problem]:
        """Files that were found to be unusable while listing."""
        return self.contents.problems


def class_order(labels: Iterable[str]) -> list[str]:
    """Return each class once, sorted; by number if all of them are numbers."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
    return sorted(names)


def climbs(name: str) -> bool:
    """Return whether a `name` in an archive leads out of the folder it would be unpacked in."""
    return name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")


def is_hidden(name: str) -> bool:
    """Return whether the name of a file or folder says that a system put it there, not a person."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def why_unused(name: str, size: int) -> Reason | None:
    """Return why a file is not used, or None if its name is that of an image."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if any(map(is_hidden, path.parts)):
        return "hidden", True
    if suffix in _UNSUPPORTED:
        return f"{suffix} files are not supported: save it as PNG or JPEG", False
    if suffix in _ARCHIVES:
        return "archives inside it are not opened", True
    if suffix not in _IMAGES:
        return NOT_AN_IMAGE
    return too_large(size)


def too_long(name: str) -> Reason | None:
    """Return why a file is not used if its name is too long."""
    if len(name) > limits.NAME_CHARS or name.count("/") > limits.NAME_FOLDERS:
        return "its name is too long, or it is in too many folders", False
    return None


def too_large(size: int) -> Reason | None:
    """Return why a file of `size` bytes is not used if it is too large."""
    return (f"too large: {size / 1e6:,.0f} MB", False) if size > limits.IMAGE_BYTES else None
