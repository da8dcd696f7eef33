"""Data sets of Hugging Face's hub, hf://USER/NAME, which `datasets` downloads and caches."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.columns import BYTES, Columns
from ganctl.datasets.sources.folder import read_file
from ganctl.datasets.sources.tables import Tables
from ganctl.errors import DataError, PackageError, UsageError
from ganctl.text import printable

_PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/([\w.-]+))?", re.ASCII)
_SAMPLE_ROWS, _LABEL_ROWS = 64, 2**14
"""Number of rows whose sizes stand for those of all, and of labels that are read at once."""


def is_hub(name: str) -> bool:
    """Return whether `name` is written like the address of a data set on the hub."""
    return name.startswith(_PREFIX)


def require_hub(name: str) -> None:
    """Raise UsageError for an address of another form, PackageError without `datasets`."""
    if _ADDRESS.fullmatch(name) is None:
        raise UsageError(
            f"'{printable(name[:200])}' is not a data set on Hugging Face's hub",
            "Write it as hf://USER/NAME, or as hf://USER/NAME/CONFIGURATION where it has several.",
        )
    if importlib.util.find_spec("datasets") is None:  # importing it takes a second
        raise PackageError.missing(f"'{printable(name)}'", "datasets", "hf")


def open_tables(name: str, settings: ImageSettings) -> Tables:
    """Return the images of the data set `name`. Raises DataError, UsageError."""
    return Tables([HubTable(split, rows) for split, rows in _load(name).items()], settings)


def files_of(name: str) -> list[str]:
    """Return the paths of the files in which `datasets` has cached the data set `name`."""
    return sorted(file["filename"] for rows in _load(name).values() for file in rows.cache_files)


class HubTable:
    """A `Table` that is a split of a data set; `rows` is a Dataset, mapped from its file."""

    def __init__(self, split: str, rows: Any) -> None:
        self.name = printable(split)
        self.path: tuple[str, ...] = (split,)
        self.num_rows = len(rows)
        self.schema: Any = rows.features.arrow_schema
        self.row_bytes = rows.with_format("arrow")[:_SAMPLE_ROWS].nbytes // min(
            max(len(rows), 1), _SAMPLE_ROWS
        )
        self._rows = rows
        self._images: Any = None

    def values(self, column: str) -> Iterator[Any]:
        """Yield the value of each row in a column of labels."""
        for batch in self._rows.with_format("arrow", columns=[column]).iter(_LABEL_ROWS):
            yield from batch.column(0).to_pylist()

    def image(self, row: int, columns: Columns) -> bytes | None:
        """Return the content of the file in a row; None if there is none. Raises BadImage."""
        if self._images is None:
            self._images = self._rows.with_format("arrow", columns=[columns.image])
        found = self._images[row : row + 1].column(0)[0].as_py()
        if not isinstance(found, dict):
            content: bytes | None = found
        elif (content := found.get(BYTES)) is None and found.get("path"):
            content = _cached_file(found["path"])
        return content

    def close(self) -> None:
        """Forget the column that was read; the file stays mapped."""
        self._images = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}


def _cached_file(path: str) -> bytes:
    """Return the content of a file that `datasets` downloaded. Raises BadImage for others."""
    import datasets

    cache = os.path.realpath(datasets.config.HF_CACHE_HOME)
    if not Path(os.path.realpath(path)).is_relative_to(cache):
        raise BadImage("its row has only the path of an image that was not downloaded")
    return read_file(path)


@functools.lru_cache(maxsize=1)
def _load(name: str) -> dict[str, Any]:
    """Return the splits of the data set `name`, downloaded unless it is cached.

    Raises DataError.
    """
    require_hub(name)
    import datasets
    import huggingface_hub

    match = _ADDRESS.fullmatch(name)
    assert match is not None
    loggers = (datasets.logging, huggingface_hub.logging)
    levels, is_quiet = (
        [each.get_verbosity() for each in loggers],
        datasets.are_progress_bars_disabled(),
    )
    for each in loggers:
        each.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        return dict(datasets.load_dataset(match[1], match[2]))
    except ConnectionError:
        raise DataError(
            f"{name} cannot be reached, and is not in the cache of 'datasets'",
            "Check the network, and HF_HUB_OFFLINE, which must not be set for a download.",
        ) from None
    except FileNotFoundError:
        raise DataError(
            f"{name} does not exist on the hub, or may not be read",
            "Check its name. If it is private or gated, log in first: hf auth login",
        ) from None
    except Exception as error:  # whatever reading a data set of unknown origin raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{name} cannot be read: {printable(lines[0], 200)}",
            "Where it has several configurations, choose one: hf://USER/NAME/CONFIGURATION",
        ) from None
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.set_verbosity(level)
        if not is_quiet:
            datasets.enable_progress_bars()
