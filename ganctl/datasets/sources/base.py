"""What every source of images offers, and what its files' names say: which are images, of what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, Protocol, TypeVar

from ganctl import limits
from ganctl.datasets.decoding import Content
from ganctl.errors import DataError

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
_THUMBNAILS = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
_TRAIN = frozenset(("train", "training"))
_SPLITS = _TRAIN | {"val", "valid", "validation", "test", "testing"}

Place = TypeVar("Place")


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
        """A file's bytes, or pixels where the source is an array; bounded. Raises BadImage."""


class Listing(Generic[Place]):
    """The files of a source as they are come upon: which are images, and where each is."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.problems: list[Problem] = []
        self._sizes: dict[str, int] = {}

    def add(self, name: str, size: int, place: Place) -> None:
        """A file of `size` bytes, found at `place`. Raises DataError where there is no end."""
        problem = _too_long(name) or unused(name, size)
        name = shown(name[: limits.NAME_CHARS])
        if problem is None and name in self.places:
            problem = ("a second file of that name", False)
        if problem is not None:
            self.problems.append(Problem(name, *problem))
        else:
            self.places[name] = place
            self._sizes[name] = size
        if len(self.places) + len(self.problems) > limits.MEMBERS:
            raise DataError(f"there are more than {limits.MEMBERS:,} files, which is too many")

    def refuse(self, name: str, reason: str, *, harmless: bool = False) -> None:
        """A file that is not used."""
        self.problems.append(Problem(shown(name[: limits.NAME_CHARS]), reason, harmless))

    def entries(self) -> tuple[list[Entry], list[str]]:
        """The images sorted by name, and their classes; says what it leaves out in `problems`.

        A class is the topmost folder that tells images apart. Of the splits of a benchmark, only
        the training images are taken. Where some images lie beside the folders, there are no
        classes: all images have one, or none has.
        """
        paths = {name: tuple(name.split("/")) for name in sorted(self.places)}
        paths = self._without_test(paths)
        depth = _common_depth(paths.values())
        labels = {name: path[depth] for name, path in paths.items() if len(path) > depth + 1}
        if labels and len(labels) < len(paths):
            beside = len(paths) - len(labels)
            reason = f"no classes: images beside the folders: {beside:,}"
            self.refuse("folders as classes", reason, harmless=True)
            labels = {}
        entries = [Entry(name, labels.get(name), self._sizes[name]) for name in paths]
        return entries, class_order(labels.values())

    def _without_test(self, paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        depth = _common_depth(paths.values())
        count: dict[str, int] = {}
        for path in paths.values():
            top = path[depth] if len(path) > depth + 1 else ""
            count[top] = count.get(top, 0) + 1
        splits = {top: top.lower() in _TRAIN for top in count}
        if not (_SPLITS.issuperset(map(str.lower, splits)) and any(splits.values())):
            return paths
        for top in sorted(top for top, is_train in splits.items() if not is_train):
            reason = f"not for training; images in it: {count[top]:,}"
            self.refuse(f"{top}/", reason, harmless=True)
        return {name: path for name, path in paths.items() if splits[path[depth]]}


def shown(name: str) -> str:
    r"""`name` with what no terminal should be sent, and what is no text, as '\x1b' or '\udcff'."""
    if name.isprintable():
        return name
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in name
    )


def class_order(labels: Iterable[str]) -> list[str]:
    """Each class once, sorted: as numbers where all are."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
    return sorted(names)


def climbs(name: str) -> bool:
    """Whether an archive's `name` leads out of the folder that it would be unpacked in."""
    return name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")


def unused(name: str, size: int) -> tuple[str, bool] | None:
    """(why a file is not used, whether that is harmless); None where it looks like an image."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if any(part.startswith(".") or part.lower() in _THUMBNAILS for part in path.parts):
        return "hidden", True
    if suffix in _UNSUPPORTED:
        return f"{suffix} files are not supported: save it as PNG or JPEG", False
    if suffix in _ARCHIVES:
        return "an archive in it is not looked into", True
    if suffix not in _SUFFIXES:
        return "not an image by its name", True
    return too_large(size)


def _too_long(name: str) -> tuple[str, bool] | None:
    if len(name) > limits.NAME_CHARS or name.count("/") > limits.NAME_FOLDERS:
        return "its name is too long, or it is in too many folders", False
    return None


def too_large(size: int) -> tuple[str, bool] | None:
    """The same for a file of `size` bytes."""
    return (f"too large: {size / 1e6:,.0f} MB", False) if size > limits.IMAGE_BYTES else None


def _common_depth(paths: Iterable[tuple[str, ...]]) -> int:
    """How many folders all of `paths` are in."""
    folders = [path[:-1] for path in paths]
    depth = 0
    # What the first and the last in order have in common, all between them have too.
    for first, last in zip(min(folders, default=()), max(folders, default=()), strict=False):
        if first != last:
            break
        depth += 1
    return depth
