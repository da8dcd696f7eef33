"""A path → the images that are there, by name: a folder, an archive, an array, or tar shards."""

from __future__ import annotations

import os

from ganctl.datasets.sources.base import Entry, Problem, Source
from ganctl.datasets.sources.folder import Folder
from ganctl.datasets.sources.zips import Zip
from ganctl.errors import DataError

__all__ = ["Entry", "Problem", "Source", "open_source"]


def open_source(path: str) -> Source:
    """The images at `path`, listed but not read. Raises DataError, UsageError."""
    if os.path.isdir(path):  # noqa: PTH112 - no path is too odd for it
        return Folder(path)
    if path.lower().endswith(".zip"):
        return Zip(path)
    raise DataError(f"'{path}' holds no images that can be read", "Give a folder or a zip.")
