"""A single image file."""

from __future__ import annotations

import os

from ganctl.datasets.sources.base import Contents, Entry, Source, why_unused
from ganctl.datasets.sources.folder import read_file
from ganctl.errors import DataError
from ganctl.text import printable


class Single(Source):
    """The image in the file at `path`. Raises DataError for a file that is none by its name."""

    def __init__(self, path: str) -> None:
        self._path = path
        name = printable(os.path.basename(path))  # noqa: PTH119 - it accepts any string
        try:
            size = os.stat(path).st_size  # noqa: PTH116
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"'{printable(path)}' cannot be read: {reason}") from None
        if (unused := why_unused(name.lstrip("."), size)) is not None:
            raise DataError(f"'{printable(path)}' cannot be used: {unused[0]}")
        self.contents = Contents([Entry(name, None, size)])

    def read(self, entry: Entry) -> bytes:
        """Return the file's bytes, without waiting for a pipe. Raises BadImage."""
        return read_file(self._path)
