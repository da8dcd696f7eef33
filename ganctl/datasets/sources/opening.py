"""A path → the source of images that is there."""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat

from ganctl import limits
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
    "a folder, .zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .npz, .npy, MNIST's idx files, "
    "'shards/*.tar' or 'shards/{000..127}.tar'"
)
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_NAMED = 1000
"""Number of files of a folder without images whose kinds are looked for."""
_RANGE = re.compile(r"(-?\d{1,20})\.\.(-?\d{1,20})")


def open_source(path: str, image_key: str | None = None) -> Source:
    """Return the images at `path`, listed but not read.

    `image_key` is the field of the image in each sample of a tar. Raises DataError, UsageError.
    """
    if (paths := expand_pattern(path)) != [path]:
        for shard in paths:
            _require_file(shard)
        return Tars(paths, image_key)
    is_folder = os.path.isdir(path)  # noqa: PTH112 - it accepts any string
    if image_key is not None and (is_folder or not path.lower().endswith(_TARS)):
        raise UsageError(
            f"'{printable(path)}' is not a tar, and an image key is for samples in tars",
            Text("Leave out {}.", Setting("image_key")),
        )
    if is_folder:
        return open_folder(Folder(path))
    _require_file(path)
    name = path.lower()
    if name.endswith(".zip"):
        return Zip(path)
    if name.endswith((".npz", ".npy")):
        return Arrays(path)
    if name.endswith(_TARS):
        return Tars([path], image_key)
    if is_idx(path):
        return Idx.of_file(path)
    require_known([path])
    raise DataError(f"'{printable(path)}' is not a supported kind of file", f"Give {KINDS}.")


def open_folder(folder: Folder) -> Source:
    """Return the images in `folder`, or in the idx files there if there are no others.

    Raises DataError, also if there are only images in files that are not read.
    """
    files = [found.name for found in folder.found if isinstance(found, File)]
    arrays = sorted(name for name in files if is_idx(name) and why_unused(name, 0) is not None)
    if any(not reason or not reason[1] for reason in (why_unused(name, 0) for name in files)):
        return folder
    if not arrays:
        names = sorted(name for name in files if why_unused(name, 0) == NOT_AN_IMAGE)
        require_known(f"{folder.path}/{name}" for name in names[:_MAX_NAMED])
        return folder
    source = Idx(folder.path, arrays)
    source.contents.problems += [
        *(Problem(printable(name), *NOT_AN_IMAGE) for name in sorted({*files} - {*arrays})),
        *(found for found in folder.found if isinstance(found, Problem)),
    ]
    return source


def files_of(path: str) -> list[str]:
    """Return the paths of the files that the images at `path` come from, if it is no folder.

    Raises UsageError.
    """
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
    if not all(name.lower().endswith(_TARS) for name in paths):
        raise UsageError(f"'{printable(path)}' does not name tar archives", f"Give {KINDS}.")
    return paths


def _matches(path: str) -> list[str]:
    """Return the files that 'shards/*.tar' matches; brackets stand for themselves."""
    found = glob.iglob(path.replace("[", "[[]"))  # noqa: PTH207
    paths = sorted(itertools.islice(found, limits.SHARDS + 1))
    if len(paths) > limits.SHARDS:
        raise _too_many(path)
    if not paths:
        raise DataError(f"there is nothing at '{printable(path)}'", f"Give {KINDS}.")
    if other := next((name for name in paths if not name.lower().endswith(_TARS)), None):
        raise UsageError(
            f"'{printable(path)}' matches '{printable(other)}', which is not a tar",
            "Write it as 'shards/*.tar'. For images in a folder, give the folder.",
        )
    return paths


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
