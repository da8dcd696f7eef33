"""Tar archives of images, such as WebDataset's shards, whose members are read in place.

A compressed one is unpacked to a temporary file first, as it can only be read from its start.
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

from ganctl.datasets.decoding.decode import UNREADABLE, BadImage
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import Entry, Source, climbs
from ganctl.datasets.sources.bounded import Bounded, Unpacked, Xz
from ganctl.datasets.sources.headers import Archive
from ganctl.datasets.sources.listing import Listing
from ganctl.datasets.sources.samples import describe_others, is_label, rank, split
from ganctl.errors import DataError
from ganctl.text import printable

_COMPRESSED: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": Xz,
}
_Place = tuple[int, int, int]
"""(number of the archive, offset, bytes) of a member."""


class Tars(Source):
    """The images in the tar archives at `paths`; each of several is like a folder of its name.

    One image of each sample is used: see `samples`. Classes come from a .cls or .json file beside
    each image, as WebDataset has them, or else as in a folder.
    """

    def __init__(self, paths: Sequence[str], image_key: str | None = None) -> None:
        """List the members; `image_key` is the field of the image in each sample."""
        self._archives = [_unpacked(path) for path in paths]
        self._files: dict[tuple[int, int], Bounded] = {}
        listing: Listing[_Place] = Listing(is_sharded=len(paths) > 1)
        beside: dict[tuple[str, str], _Place] = {}
        for number, path in enumerate(paths):
            prefix = f"{Path(path).name}/" if len(paths) > 1 else ""
            for name, place in self._members(number, listing):
                if is_label(name, place[2]):
                    beside[split(prefix + name)] = place
                else:
                    listing.add(prefix + name, place[2], place)
        others = _other_images(listing.places, image_key)
        for name in others:
            listing.leave_out(name, "another image of its sample")
        self._places = listing.places
        self.contents = listing.contents(self._content, self._labels(beside))
        self.contents.notes += describe_others(Counter(others.values()))

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes. Raises BadImage."""
        return self._content(self._places[entry.name])

    def _content(self, place: _Place) -> bytes:
        number, offset, size = place
        key = (number, os.getpid())  # forks share a file's position
        try:
            if key not in self._files:
                self._files = {key: Bounded(self._archives[number])}
            file = self._files[key]
            file.seek(offset)
            content = file.read(size)
        except OSError as error:
            raise BadImage(f"{UNREADABLE}: {error.strerror or error}") from None
        if len(content) < size:
            raise BadImage("truncated")
        return content

    def _members(self, number: int, listing: Listing[_Place]) -> Iterator[tuple[str, _Place]]:
        """Yield the regular files of one archive; others, and damage, are added to `listing`."""
        path = os.fspath(self._archives[number])
        try:
            with Bounded(path) as file, Archive(fileobj=file) as tar:
                for member in tar.iter_members():
                    name = member.name.removeprefix("./")
                    if climbs(name):
                        listing.refuse(name, "its path leads out of the archive")
                    elif member.issym() or member.islnk():
                        listing.refuse(name, "links inside an archive are not followed")
                    elif member.issparse() or not (member.isreg() or member.isdir()):
                        listing.refuse(name, "not a plain file")
                    elif member.isreg():
                        yield name, (number, member.offset_data, member.size)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            if not listing.places:
                raise DataError(f"{printable(path)} cannot be read as a tar: {error}") from None
            listing.refuse(path, f"damaged: the rest of it is lost ({error})")

    def _labels(self, beside: Mapping[tuple[str, str], _Place]) -> dict[str, str]:
        """Return the classes in the files beside the images, by the names of the images."""
        found = {}
        for name in self._places:
            key, _ = split(name)
            candidates = (self._label(beside.get((key, field)), field) for field in labels.BESIDE)
            if (label := next(filter(None, candidates), None)) is not None:
                found[name] = label
        return found

    def _label(self, place: _Place | None, field: str) -> str | None:
        with contextlib.suppress(BadImage):
            return labels.beside(self._content(place), field) if place is not None else None
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


def _other_images(names: Iterable[str], image_key: str | None) -> dict[str, str]:
    """Return {name: field} of the images that are not chosen as the image of their sample."""
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        key, field = split(name)
        order = rank(field, image_key)
        if order is not None and (key not in best or order < best[key][0]):
            best[key] = order, name
    used = {name for _, name in best.values()}
    return {name: split(name)[1] for name in names if name not in used}
