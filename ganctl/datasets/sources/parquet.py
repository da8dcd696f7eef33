"""Parquet files of images, as Hugging Face's `datasets` writes them, read a few rows at a time."""

from __future__ import annotations

import bisect
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ganctl import limits
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.bounded import is_bomb
from ganctl.datasets.sources.columns import Columns
from ganctl.datasets.sources.tables import Tables
from ganctl.errors import DataError, PackageError
from ganctl.text import printable

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MAGIC = b"PAR1"
_POINTER = b"version https://git-lfs"
_SHARD = re.compile(r"(.+?)-\d{4,6}-of-\d{4,6}(-\w+)?")
"""Names of the files of a split: 'train-00000-of-00002'."""
_BUFFER_BYTES = 2**20
"""Bytes that are read from a file at once."""
_BATCH_ROWS, _BATCH_BYTES, _LABEL_ROWS = 64, 2**23, 2**14
"""Limits of the rows that are in memory at once."""


def is_parquet(name: str) -> bool:
    """Return whether a file is a Parquet file by its name."""
    return name.lower().endswith(".parquet")


def begins_like_parquet(path: str) -> bool:
    """Return whether the file at `path` has the first bytes of a Parquet file."""
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(len(_MAGIC)) == _MAGIC


def open_tables(folder: str, names: Iterable[str], settings: ImageSettings) -> Tables:
    """Return the images in the Parquet files called `names` below `folder`.

    Raises DataError, UsageError, and PackageError if pyarrow is not installed.
    """
    names = sorted(names)
    _require_pyarrow(os.path.join(folder, names[0]))  # noqa: PTH118
    return Tables([ParquetTable(folder, name) for name in names], settings)


class ParquetTable:
    """A `Table` in a Parquet file.

    Its row groups, which can be as large as the file, are read from their starts, a page and a
    batch of rows at a time.
    """

    def __init__(self, folder: str, name: str) -> None:
        self.name = printable(name)
        self._path = os.path.join(folder, name)  # noqa: PTH118
        self._reader: pq.ParquetFile | None = None
        self._process = 0
        self._rows: _Rows | None = None
        self._lost: dict[int, int] = {}
        """The row from which on a damaged row group cannot be read, by its number."""
        *folders, last = PurePosixPath(name.replace(os.sep, "/")).parts
        stem = last[: -len(".parquet")] if is_parquet(last) else last
        match = _SHARD.fullmatch(stem)
        self.path = (*folders, match[1] if match else stem)
        try:
            metadata = self._opened().metadata
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            counts = [group.num_rows for group in groups]
            unpacked = sum(group.total_byte_size for group in groups)
            size = os.stat(self._path).st_size  # noqa: PTH116
            self.schema: Any = self._opened().schema_arrow
            if min(counts, default=0) < 0 or sum(counts) > limits.FREE_IMAGES + size:
                raise DataError("it claims more rows than it has bytes")
            if is_bomb(unpacked, size):
                raise DataError("it looks like a decompression bomb")
        except Exception as error:  # parsers of damaged files can raise anything
            raise DataError(
                f"{printable(self._path)} cannot be read as Parquet: {self._why(error)}",
                "Download or write it again.",
            ) from None
        self.close()
        self._starts = [0, *itertools.accumulate(counts)]
        self.num_rows = self._starts[-1]
        self.row_bytes = unpacked // max(self.num_rows, 1)
        rows = min(_BATCH_ROWS, max(1, _BATCH_BYTES // max(self.row_bytes, 1)))
        # A dictionary can hold one large value for many rows.
        self._batch_rows = 1 if unpacked > limits.FREE_BYTES and _has_dictionary(groups) else rows

    def values(self, column: str) -> Iterator[Any]:
        """Yield the value of each row in a column of labels. Raises DataError."""
        try:
            batches = self._opened().iter_batches(_LABEL_ROWS, columns=[column], use_threads=False)
            for batch in batches:
                yield from batch.column(0).to_pylist()
        except Exception as error:
            raise DataError(
                f"the column '{printable(column)}' of {self.name} cannot be read: "
                f"{printable(str(error))[:100]}"
            ) from None
        finally:
            self.close()

    def image(self, row: int, columns: Columns) -> bytes | None:
        """Return the content of the file in a row; None if there is none. Raises BadImage."""
        group = bisect.bisect_right(self._starts, row) - 1
        if row >= self._lost.get(group, self.num_rows):
            raise BadImage("damaged in its file")
        try:
            if self._rows is None or not self._rows.can_reach(group, row):
                self._rows = None  # its memory is freed first
                batches = self._opened().iter_batches(
                    self._batch_rows, [group], [columns.leaf], use_threads=False
                )
                self._rows = _Rows(group, self._starts[group], batches)
            value = self._rows.at(row)
        except Exception as error:  # parsers of damaged files can raise anything
            self._lost[group] = row
            self.close()
            raise BadImage(f"damaged in its file ({printable(str(error))[:100]})") from None
        content: bytes | None = next(iter(value.values())) if isinstance(value, dict) else value
        return content

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._reader is not None and self._process == os.getpid():
            self._reader.close()
        self._reader = self._rows = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None, "_rows": None}

    def _opened(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        if self._reader is None or self._process != os.getpid():  # forks share a file's position
            self._reader = pq.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            self._process = os.getpid()
        return self._reader

    def _why(self, error: Exception) -> str:
        with Path(self._path).open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                return "a Git LFS pointer; git lfs pull fetches the file"
        return printable(str(error).splitlines()[0] if str(error) else type(error).__name__)[:100]


class _Rows:
    """The rows of a row group, read forward in batches."""

    def __init__(self, group: int, first: int, batches: Iterator[Any]) -> None:
        self._group, self._first, self._process = group, first, os.getpid()
        self._batches = batches
        self._values: Any = ()

    def can_reach(self, group: int, row: int) -> bool:
        """Return whether a row is not before the current batch, in this process and group."""
        return (group, os.getpid()) == (self._group, self._process) and row >= self._first

    def at(self, row: int) -> Any:
        """Return the value of a row that is not before the current batch."""
        while row >= self._first + len(self._values):
            self._first += len(self._values)
            self._values = ()
            self._values = next(self._batches).column(0)
        return self._values[row - self._first].as_py()


def _has_dictionary(groups: Iterable[Any]) -> bool:
    return any(
        group.column(number).has_dictionary_page
        for group in groups
        for number in range(group.num_columns)
    )


def _require_pyarrow(path: str) -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        raise PackageError.missing(
            f"'{printable(path)}', a Parquet file,", "pyarrow", "parquet"
        ) from None
