"""A zip of images, read in place: nothing is ever extracted."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

from ganctl.datasets.decoding import BadImage
from ganctl.datasets.sources.base import MAX_BYTES, Entry, Problem, label, shown, unused
from ganctl.errors import DataError


class Zip:
    """The images in the zip at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.problems: list[Problem] = []
        self._archive: zipfile.ZipFile | None = None
        sizes: dict[str, int] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._opened().infolist():
            if info.is_dir():
                continue
            name = shown(info.filename)
            if (problem := unused(info.filename, info.file_size)) is not None:
                self.problems.append(problem)
            else:
                sizes[name] = info.file_size
                self._members[name] = info
        self.entries, self.classes, problems = label(sizes)
        self.problems += problems

    def read(self, entry: Entry) -> bytes:
        """A file's bytes. Raises BadImage."""
        try:
            with self._opened().open(self._members[entry.name]) as file:
                return file.read(MAX_BYTES)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise BadImage(f"damaged in the archive ({error})") from None

    def _opened(self) -> zipfile.ZipFile:
        if self._archive is None:
            try:
                self._archive = zipfile.ZipFile(self._path)
            except (zipfile.BadZipFile, OSError, ValueError) as error:
                raise DataError(f"{shown(self._path)} cannot be read as a zip: {error}") from None
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}
