"""Tar archives of images, WebDataset's shards among them, read in place at the members' offsets.

A compressed one is unpacked to one temporary file first: it can only be read from its start.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganctl.datasets.decoding import UNREADABLE, BadImage
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import Entry, Source, climbs
from ganctl.datasets.sources.bounded import Bounded, Unpacked, Xz
from ganctl.datasets.sources.headers import Archive
from ganctl.datasets.sources.listing import Listing
from ganctl.datasets.sources.samples import is_label, left_out, rank, split
from ganctl.errors import DataError
from ganctl.text import printable

_COMPRESSED: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": Xz,
}
_At = tuple[int, int, int]
"""(which archive, offset, bytes) of a member."""


class Tars(Source):
    """The images in the tar archives at `paths`; of several, each gives its name to a folder.

    Of each sample, as `samples` tells them apart, one image is used. Classes are WebDataset's, told
    by a .cls or .json beside an image, or else as in a folder.
    """

    def __init__(self, paths: Sequence[str], image_key: str | None = None) -> None:
        """With an `image_key`, of each sample the image of that field is used."""
        self._archives = [_unpacked(path) for path in paths]
        self._files: dict[tuple[int, int], Bounded] = {}
        listing: Listing[_At] = Listing(is_sharded=len(paths) > 1)
        beside: dict[tuple[str, str], _At] = {}
        for number, path in enumerate(paths):
            prefix = f"{Path(path).name}/" if len(paths) > 1 else ""
            for name, at in self._members(number, listing):
                if is_label(name, at[2]):
                    beside[split(prefix + name)] = at
                else:
                    listing.add(prefix + name, at[2], at)
        others = _others(listing.places, image_key)
        for name in others:
            listing.leave_out(name, "another image of its sample")
        self._at = listing.places
        self.contents = listing.contents(self._content, self._labels(beside))
        self.contents.notes += left_out(Counter(others.values()))

    def read(self, entry: Entry) -> bytes:
        """A file's bytes. Raises BadImage."""
        return self._content(self._at[entry.name])

    def _content(self, at: _At) -> bytes:
        number, offset, size = at
        key = (number, os.getpid())  # forks share a file's position
        try:
            if key not in self._files:
                archive = self._archives[number]
                self._files = {key: Bounded(archive if isinstance(archive, str) else archive.path)}
            file = self._files[key]
            file.seek(offset)
            content = file.read(size)
        except OSError as error:
            raise BadImage(f"{UNREADABLE}: {error.strerror or error}") from None
        if len(content) < size:
            raise BadImage("truncated")
        return content

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
                raise DataError(
                    f"{printable(str(path))} cannot be read as a tar: {error}"
                ) from None
            listing.refuse(str(path), f"damaged: what follows in it is lost ({error})")

    def _labels(self, beside: Mapping[tuple[str, str], _At]) -> dict[str, str]:
        """The classes that the files beside the images tell, by the images' names."""
        found = {}
        for name in self._at:
            key, _ = split(name)
            for field in labels.BESIDE:
                at = beside.get((key, field))
                if at is not None and (label := self._label(at, field)) is not None:
                    found[name] = label
                    break
        return found

    def _label(self, at: _At, field: str) -> str | None:
        with contextlib.suppress(BadImage):
            return labels.beside(self._content(at), field)
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}


def _unpacked(path: str) -> str | Unpacked:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(6)
        for signature, opener in _COMPRESSED.items():
            if start.startswith(signature):
                with opener(path) as content:
                    return Unpacked(content, Path(path).stat().st_size, printable(path))
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise DataError(f"{printable(path)} cannot be unpacked: {error}") from None
    return path


def _others(names: Iterable[str], image_key: str | None) -> dict[str, str]:
    """Return the fields of those images that are not the image of their sample, by their names."""
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        key, field = split(name)
        place = rank(field, image_key)
        if place is not None and (key not in best or place < best[key][0]):
            best[key] = place, name
    used = {name for _, name in best.values()}
    return {name: split(name)[1] for name in names if name not in used}
