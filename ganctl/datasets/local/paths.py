"""Paths of images, and the names of runs on them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ganctl.datasets.sources.base import Problem
from ganctl.datasets.sources.folder import File, Folder
from ganctl.datasets.sources.idx import is_idx
from ganctl.datasets.sources.opening import KINDS, expand_pattern, files_of
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import printable

_ARCHIVES = (".json", ".npy", ".npz", ".parquet", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


def is_path(name: str) -> bool:
    """Return whether `name` looks like a path, or exists as one."""
    separated = "/" in name or os.sep in name
    return separated or is_archive(name) or os.path.exists(name)  # noqa: PTH110


def is_archive(name: str) -> bool:
    """Return whether `name` ends like an archive or an array of images."""
    return name.lower().endswith(_ARCHIVES) or is_idx(name)


def resolve(path: str) -> str:
    """Return `path` made absolute, so that a run can be resumed from any folder.

    A ~ that no shell has expanded, as in a file of settings, is the home folder. Raises DataError
    if nothing is there.
    """
    if not os.path.lexists(path):
        path = os.path.expanduser(path)  # noqa: PTH111 - which fails without a home folder
    for part in expand_pattern(path):
        if not os.path.lexists(part):
            raise DataError(f"there is nothing at '{printable(part)}'", f"Give {KINDS}.")
    return os.path.abspath(path)  # noqa: PTH100 - links stay as they were named


def stem(path: str) -> str:
    """Return the last part of `path` as a folder's name: 'my-photos' for '/my photos.tar.gz'.

    For '/shards/*.tar', of which the last part says nothing, it is 'shards'.
    """
    name = Path(path).name
    if name.startswith("*"):
        name = Path(path).parent.name
    while name.lower().endswith(_ARCHIVES):
        name = Path(name).stem
    return re.sub(r"[^\w.]+", "-", name)[:60].strip("-.") or "images"


def require_apart(path: str, out: Path) -> None:
    """Raise UsageError if pictures written to `out` would be among the images at `path`."""
    folder = os.path.realpath(path)
    if Path(os.path.realpath(out)).is_relative_to(folder) and os.path.isdir(folder):  # noqa: PTH112
        raise UsageError(
            f"'{out}' lies in the folder of the images; pictures written there would become some",
            Text("Choose another location with {}.", Setting("out")),
        )


def fingerprint(path: str, folder: Folder | None) -> Any:
    """Return a value that changes if names, sizes or times of the files at `path` do.

    `folder` is the folder at `path`, if there is one.
    """
    if folder is not None:
        found = sorted(one for one in folder.found if isinstance(one, File))
        wrong = sorted((one.name, one.reason) for one in folder.found if isinstance(one, Problem))
        return [os.path.realpath(path), [*found, *wrong]]
    return [[os.path.realpath(part), *_size_and_time(part)] for part in files_of(path)]


def _size_and_time(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # opening it later reports why
        return ()
    return status.st_size, status.st_mtime_ns
