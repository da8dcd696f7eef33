"""A path → the source of images that is there."""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from collections.abc import Sequence

from ganctl import limits
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.sources import columns, hub, parquet
from ganctl.datasets.sources.arrays import Arrays
from ganctl.datasets.sources.base import NOT_AN_IMAGE, Problem, Source, why_unused
from ganctl.datasets.sources.folder import File, Folder
from ganctl.datasets.sources.foreign import require_known
from ganctl.datasets.sources.idx import Idx, is_idx, labels_beside
from ganctl.datasets.sources.tars import Tars
from ganctl.datasets.sources.zips import Zip
from ganctl.errors import DataError, PackageError, Setting, Text, UsageError
from ganctl.text import printable

KINDS = (
    "a folder, .zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .npz, .npy, .parquet, MNIST's idx files, "
    "'shards/*.tar' or 'shards/{000..127}.tar'"
)
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_NAMED = 1000
"""Number of files of a folder without images whose kinds are looked for."""
_DEFAULTS = ImageSettings()
_RANGE = re.compile(r"(-?\d{1,20})\.\.(-?\d{1,20})")


def open_source(path: str, settings: ImageSettings = _DEFAULTS) -> Source:
    """Return the images at `path`, listed but not read.

    `settings` choose among the images of a tar's samples and the columns of a table. Raises
    DataError, UsageError.
    """
    paths = [path] if hub.is_hub(path) else expand_pattern(path)
    is_folder = os.path.isdir(path)  # noqa: PTH112 - it accepts any string
    if settings.image_key is not None and (is_folder or not paths[0].lower().endswith(_TARS)):
        raise UsageError(
            f"'{printable(path)}' is not a tar, and an image key is for samples in tars",
            Text("Leave out {}.", Setting("image_key")),
        )
    if hub.is_hub(path):
        return hub.open_tables(path, settings)
    if is_folder:
        return open_folder(Folder(path), settings)
    for each in paths:
        _require_file(each)
    if parquet.is_parquet(paths[0]) or (paths == [path] and parquet.begins_like_parquet(path)):
        folder = os.path.commonpath([os.path.dirname(each) for each in paths])  # noqa: PTH120
        names = (os.path.relpath(each, folder or ".") for each in paths)
        return parquet.open_tables(folder, names, settings)
    columns.require_none(settings, f"the images of '{printable(path)}'")
    if paths != [path]:
        return Tars(paths, settings.image_key)
    name = path.lower()
    if name.endswith(".zip"):
        return Zip(path)
    if name.endswith((".npz", ".npy")):
        return Arrays(path)
    if name.endswith(_TARS):
        return Tars([path], settings.image_key)
    if is_idx(path):
        return Idx.of_file(path)
    require_known([path])
    raise DataError(f"'{printable(path)}' is not a supported kind of file", f"Give {KINDS}.")


def open_folder(folder: Folder, settings: ImageSettings = _DEFAULTS) -> Source:
    """Return the images in `folder`, or in the tables or idx files there if there are no others.

    Raises DataError, also if there are only images in files that are not read, and UsageError.
    """
    files = [found.name for found in folder.found if isinstance(found, File)]
    if any(not reason or not reason[1] for reason in (why_unused(name, 0) for name in files)):
        columns.require_none(settings, f"the images of '{printable(folder.path)}'")
        return folder
    visible = sorted(name for name in files if why_unused(name, 0) == NOT_AN_IMAGE)
    tables = [name for name in visible if parquet.is_parquet(name)]
    if not tables:
        columns.require_none(settings, f"the images of '{printable(folder.path)}'")
    arrays = sorted(name for name in files if is_idx(name) and why_unused(name, 0) is not None)
    used = tables or arrays
    if not used:
        require_known(f"{folder.path}/{name}" for name in visible[:_MAX_NAMED])
        return folder
    source: Source = (
        parquet.open_tables(folder.path, tables, settings) if tables else Idx(folder.path, arrays)
    )
    source.contents.problems += [
        *(Problem(printable(name), *NOT_AN_IMAGE) for name in sorted({*files} - {*used})),
        *(found for found in folder.found if isinstance(found, Problem)),
    ]
    return source


def files_of(path: str) -> list[str]:
    """Return the paths of the files that the images at `path` come from, if it is no folder.

    Raises UsageError, and DataError if a data set cannot be downloaded.
    """
    if hub.is_hub(path):
        return hub.files_of(path)
    return [*expand_pattern(path), *(labels_beside(path) if is_idx(path) else ())]


def expand_pattern(path: str) -> list[str]:
    """Return the files that a pattern such as 'shards/{000..127}.tar' names, or `path` itself.

    Those that 'shards/*.tar' matches are sorted. Raises UsageError, and DataError if it matches
    none.
    """
    if os.path.lexists(path):
        return [path]
    if "{" not in path:
        return _matches(path) if {"*", "?"} & {*path} and "://" not in path else [path]
    too_many = _too_many(path)
    # braceexpand holds every number of a range in memory.
    ranges = [(int(low), int(high)) for low, high in _RANGE.findall(path)]
    if any(abs(high - low) >= limits.SHARDS for low, high in ranges):
        raise too_many
    try:
        import braceexpand
    except ModuleNotFoundError:
        raise PackageError.missing("a pattern of shards", "braceexpand", "webdataset") from None
    try:
        paths = list(itertools.islice(braceexpand.braceexpand(path), limits.SHARDS + 1))
    except ValueError:
        raise UsageError(
            f"'{printable(path)}' is not a pattern", "Write it as 'shards/{000..127}.tar'."
        ) from None
    if len(paths) > limits.SHARDS:
        raise too_many
    if not _are_alike(paths):
        raise UsageError(
            f"'{printable(path)}' does not name tar archives or Parquet files", f"Give {KINDS}."
        )
    return paths


def _matches(path: str) -> list[str]:
    """Return the files that 'shards/*.tar' matches; brackets stand for themselves."""
    found = glob.iglob(path.replace("[", "[[]"))  # noqa: PTH207
    paths = sorted(itertools.islice(found, limits.SHARDS + 1))
    if len(paths) > limits.SHARDS:
        raise _too_many(path)
    if not paths:
        raise DataError(f"there is nothing at '{printable(path)}'", f"Give {KINDS}.")
    if not _are_alike(paths):
        are_tables = parquet.is_parquet(paths[0])
        suffixes, kind = (".parquet", "Parquet file") if are_tables else (_TARS, "tar")
        other = next(name for name in paths if not name.lower().endswith(suffixes))
        raise UsageError(
            f"'{printable(path)}' matches '{printable(other)}', which is not a {kind}",
            "Write it as 'shards/*.tar' or 'data/*.parquet'. For images in a folder, give the "
            "folder.",
        )
    return paths


def _are_alike(paths: Sequence[str]) -> bool:
    """Return whether all paths are those of tars, or all those of Parquet files."""
    are_tables = {parquet.is_parquet(name) for name in paths}
    return are_tables == {True} or all(name.lower().endswith(_TARS) for name in paths)


def _too_many(path: str) -> UsageError:
    return UsageError(f"'{printable(path)}' names more than {limits.SHARDS:,} shards")


def _require_file(path: str) -> None:
    if "://" in path or path.startswith("pipe:"):
        raise UsageError(f"'{printable(path)}' is not on this machine", "Download it first.")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint: str | Text = f"Give {KINDS}."
        if isinstance(error, FileNotFoundError):  # the path of a checkpoint's images
            hint = Text("If the images have moved, name them with {}.", Setting("data"))
        raise DataError(f"'{printable(path)}' cannot be read: {reason}", hint) from None
    if not stat.S_ISREG(mode):
        raise DataError(f"'{printable(path)}' is a pipe or a device", f"Give {KINDS}.")
