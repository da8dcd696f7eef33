"""A zip of images, read in place: nothing is ever extracted."""

from __future__ import annotations

import contextlib
import os
import zipfile
from typing import Any

from ganctl import limits
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.base import Entry, Source, climbs
from ganctl.datasets.sources.bounded import Bounded, is_bomb
from ganctl.datasets.sources.listing import Listing
from ganctl.errors import DataError
from ganctl.text import printable

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _UTF8 = 0x1, 0x800


class Zip(Source):
    """The images in the zip at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._archive: zipfile.ZipFile | None = None
        self._process = 0
        listing: Listing[zipfile.ZipInfo] = Listing()
        for info in self._opened().infolist():
            if info.filename.endswith("/"):
                continue
            name = _name(info)
            if climbs(name):
                listing.refuse(name, "its path leads out of the archive")
            elif info.flag_bits & _ENCRYPTED:
                listing.refuse(name, "encrypted")
            elif info.compress_type not in _METHODS:
                listing.refuse(name, "compressed, but not with deflate")
            elif is_bomb(info.file_size, info.compress_size):
                listing.refuse(
                    name,
                    f"looks like a decompression bomb: {info.file_size / 1e6:,.0f} MB unpacked",
                )
            else:
                listing.add(name, info.file_size, info)
        self._members = listing.places
        self.contents = listing.contents(self._content)

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes. Raises BadImage."""
        return self._content(self._members[entry.name])

    def _content(self, info: zipfile.ZipInfo) -> bytes:
        try:
            with self._opened().open(info) as file:
                return file.read(info.file_size + 1)  # no more, even if the size is wrong
        except DataError as error:  # the archive is gone by now
            raise BadImage(str(error)) from None
        except Exception as error:  # parsers of damaged files can raise anything
            raise BadImage(f"damaged in the archive ({printable(str(error))[:100]})") from None

    def _opened(self) -> zipfile.ZipFile:
        if self._archive is None or self._process != os.getpid():  # forks share a file's position
            self._archive, self._process = open_zip(self._path), os.getpid()
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}


def open_zip(path: str, largest: int = limits.DIRECTORY_BYTES) -> zipfile.ZipFile:
    """Return the zip at `path`, with its directory of at most `largest` bytes read.

    Raises DataError, also if members share their bytes: each could claim the whole file.
    """
    try:
        file = Bounded(path, largest)
        archive = zipfile.ZipFile(file)
        if sum(info.compress_size for info in archive.infolist()) > os.fstat(file.fileno()).st_size:
            raise zipfile.BadZipFile("its members have more bytes than the file")
        return archive
    except Exception as error:
        raise DataError(
            f"{printable(path)} cannot be read as a zip: {printable(str(error))[:100]}",
            "Download or zip it again, or give a folder.",
        ) from None


def _name(info: zipfile.ZipInfo) -> str:
    # Many programs write UTF-8 without saying so, or backslashes.
    name = info.filename
    if not info.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/").removeprefix("./")
