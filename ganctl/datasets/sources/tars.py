"""Tar archives of images, WebDataset's shards among them, read in place at the members' offsets.

A compressed one is unpacked to one temporary file first: it can only be read from its start.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ganctl import limits
from ganctl.datasets.decoding import UNREADABLE, BadImage
from ganctl.datasets.sources.base import Entry, Listing, class_order, climbs, shown
from ganctl.datasets.sources.careful import Bounded, Unpacked
from ganctl.datasets.sources.headers import Archive
from ganctl.errors import DataError

_COMPRESSED: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_At = tuple[int, int, int]
"""(which archive, offset, bytes) of a member."""


class Tars:
    """The images in the tar archives at `paths`; of several, each gives its name to a folder.

    Labels are WebDataset's, the .cls or .json beside an image, where there are any; else, in one
    archive, they are its folders.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._archives = [_unpacked(path) for path in paths]
        self._files: dict[tuple[int, int], Bounded] = {}
        listing: Listing[_At] = Listing()
        beside: dict[str, _At] = {}
        for number, path in enumerate(paths):
            prefix = f"{Path(path).name}/" if len(paths) > 1 else ""
            for name, at in self._members(number, listing):
                if name.lower().endswith((".cls", ".json")) and at[2] <= limits.LABEL_BYTES:
                    beside[prefix + name] = at
                    continue
                listing.add(prefix + name, at[2], at)
        self._at = listing.places
        self.entries, self.classes = listing.entries()
        labels = self._labels(beside)
        if labels or len(paths) > 1:  # an archive is no class
            for entry in self.entries if labels else ():
                if entry.name not in labels:
                    listing.refuse(entry.name, "no .cls or .json with its label beside it")
            self.entries = [
                Entry(entry.name, labels.get(entry.name), entry.size)
                for entry in self.entries
                if not labels or entry.name in labels
            ]
            self.classes = class_order(labels.values())
        self.problems = listing.problems

    def read(self, entry: Entry) -> bytes:
        """A file's bytes. Raises BadImage."""
        try:
            content = self._content(self._at[entry.name])
        except OSError as error:
            raise BadImage(f"{UNREADABLE}: {error.strerror or error}") from None
        if len(content) < entry.size:
            raise BadImage("truncated")
        return content

    def _content(self, at: _At) -> bytes:
        number, offset, size = at
        key = (number, os.getpid())  # forks share a file's position
        if key not in self._files:
            archive = self._archives[number]
            self._files = {key: Bounded(archive if isinstance(archive, str) else archive.path)}
        file = self._files[key]
        file.seek(offset)
        return file.read(size)

    def _members(self, number: int, listing: Listing[_At]) -> Iterator[tuple[str, _At]]:
        """The regular files of one archive; `listing` is told of the others, and of its damage."""
        archive = self._archives[number]
        path = archive if isinstance(archive, str) else archive.path
        try:
            with Bounded(path) as file, Archive(fileobj=file) as tar:
                for member in tar.each():
                    name = member.name.removeprefix("./")
                    if climbs(name):
                        listing.refuse(name, "its path leads out of the archive")
                    elif member.issym() or member.islnk():
                        listing.refuse(name, "a link inside an archive is not followed")
                    elif member.issparse() or not (member.isreg() or member.isdir()):
                        listing.refuse(name, "not a plain file")
                    elif member.isreg():
                        yield name, (number, member.offset_data, member.size)
                # tarfile takes whatever is no header for the end.
                file.seek(tar.offset)
                if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                    raise tarfile.ReadError("no member where one should begin")
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            if not listing.places:
                raise DataError(f"{shown(str(path))} cannot be read as a tar: {error}") from None
            listing.refuse(str(path), f"damaged: what follows in it is lost ({error})")

    def _labels(self, beside: dict[str, _At]) -> dict[str, str]:
        """The labels that WebDataset's files give, by the images' names."""
        labels = {}
        for name in self._at:
            key = key_of(name)
            for companion in (f"{key}.cls", f"{key}.json"):
                if companion in beside:
                    label = label_of(self._content(beside[companion]), companion)
                    if label is not None:
                        labels[name] = label
                        break
        return labels

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}


def _unpacked(path: str) -> str | Unpacked:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(6)
        for signature, opener in _COMPRESSED.items():
            if start.startswith(signature):
                with opener(path) as content:
                    return Unpacked(content, Path(path).stat().st_size, shown(path))
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise DataError(f"{shown(path)} cannot be unpacked: {error}") from None
    return path


def key_of(name: str) -> str:
    """What a sample's files have in common: everything before the first dot of the file's name."""
    folders, slash, file = name.rpartition("/")
    return folders + slash + file.partition(".")[0]


def label_of(content: bytes, name: str) -> str | None:
    """The class's name, or number as text; None where there is none."""
    try:
        value = content.decode().strip()
        if name.endswith(".json"):
            value = json.loads(value).get("label")
    except (ValueError, AttributeError, RecursionError):
        return None
    return shown(str(value)) if isinstance(value, str | int) and str(value) else None
