"""The images in the columns of tables, each a file or a split of a data set, with their classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from ganctl import limits
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.dataset import NO_CLASSES
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources import layout
from ganctl.datasets.sources.base import (
    Contents,
    Entry,
    Problem,
    Source,
    class_order,
    too_large,
)
from ganctl.datasets.sources.columns import Columns, find
from ganctl.datasets.sources.layout import Layout, Parts
from ganctl.errors import DataError, UsageError
from ganctl.text import counted, listed, printable

_NO_CLASS = -1
"""The number that stands for an unknown class in tables of `datasets`."""
_FIRST_ROWS = 64
"""Number of first rows of which one must have an image."""
_EMBED_FILES = (
    "from datasets.table import embed_table_storage",
    "dataset.with_format('arrow').map(embed_table_storage, batched=True).to_parquet('new.parquet')",
)


class Table(Protocol):
    """A table of images, of which a few rows are in memory. It can be pickled."""

    name: str
    """Name that is unique and safe to print."""
    path: Parts
    """The folders that the table is in and, as the last part, the split that its name gives."""
    num_rows: int
    row_bytes: int
    """Mean size of an image's file, in bytes."""
    schema: Any
    """Arrow's schema."""

    def values(self, column: str) -> Iterator[Any]:
        """Yield the value of each row in a column of labels. Raises DataError."""

    def image(self, row: int, columns: Columns) -> bytes | None:
        """Return the content of the file in a row; None if there is none. Raises BadImage."""

    def close(self) -> None:
        """Close the files that reading has opened; reading opens them again."""


class Tables(Source):
    """The images in `tables`, called NAME[ROW]."""

    def __init__(self, tables: Sequence[Table], settings: ImageSettings) -> None:
        """List the rows. Raises DataError, UsageError."""
        self.contents = Contents()
        self._tables = {table.name: table for table in tables if table.num_rows}
        self._columns: dict[str, Columns] = {}
        self._current: Table | None = None
        if sum(table.num_rows for table in tables) > limits.MEMBERS:
            raise DataError(f"there are more than {limits.MEMBERS:,} rows, which is too many")
        splits = self._splits()
        train, held_out = [], []
        for table in self._tables.values():
            if splits.is_train(table.path):
                train.append(table)
            elif splits.is_held_out(table.path):
                held_out.append(table)
        if not train:
            return
        first = train[0]
        chosen = find(first.schema, first.name, settings)
        for table in train:
            self._columns[table.name] = _same(table, chosen, chosen.label, first.name)
        for table in held_out:
            self._columns[table.name] = _same(table, chosen, None, first.name)
            self.contents.held_out += _entries(table, None)
        if chosen.label is None:
            for table in train:
                self.contents.entries += _entries(table, None)
        else:
            self._label(train, chosen.label)
        _require_images(first, chosen)

    def read(self, entry: Entry) -> bytes:
        """Return the content of an image's file. Raises BadImage."""
        name, _, row = entry.name[:-1].rpartition("[")
        table = self._tables[name]
        if self._current is not table:  # thousands of tables must not all be open
            if self._current is not None:
                self._current.close()
            self._current = table
        content = table.image(int(row), self._columns[name])
        if not content:
            raise BadImage("its row has no image, or only the path of one")
        if (reason := too_large(len(content))) is not None:
            raise BadImage(reason[0])
        return content

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_current": None}

    def _splits(self) -> Layout:
        """Return which tables are trained on and held out; others are removed, with a note."""
        paths = {name: table.path for name, table in self._tables.items()}
        depth = len(layout.common(paths.values()))
        tops = {name: "".join(path[depth : depth + 1]) for name, path in paths.items()}
        ranks = {top: layout.rank(top) for top in tops.values()}
        if 0 in ranks.values():  # then every other name is that of a split, too
            unused = sorted(top for top, rank in ranks.items() if rank is None)
            for name in [name for name, top in tops.items() if top in unused]:
                del self._tables[name]
            if unused:
                self.contents.notes.append(f"Not used, as they are other splits: {listed(unused)}.")
        folders: dict[Parts, layout.Folder] = {}
        for name, table in self._tables.items():
            folder = folders.setdefault(table.path, layout.Folder())
            folder.first, folder.count = name, folder.count + table.num_rows
        splits, notes = layout.find_splits(folders, len(layout.common(folders)))
        inner = {tuple(filter(_is_split, path[depth + 1 :])) for path in folders}
        if not splits.has_splits and len(inner) > 1:
            names = listed(sorted({path[depth] for path in folders if len(path) > depth}))
            raise UsageError(
                f"there are several data sets with splits of their own: {names}",
                "Give the folder of one of them.",
            )
        self.contents.notes += notes
        return splits

    def _label(self, train: Sequence[Table], column: str) -> None:
        """Set the entries and the classes, which are in the `column` of the tables to train on."""
        contents = self.contents
        entries: list[Entry] = []
        classes: dict[str, None] = {}
        for table in train:
            names = self._columns[table.name].names
            classes |= dict.fromkeys(names)
            try:
                labels = [_class(value, names) for value in table.values(column)]
            except ValueError as error:
                contents.labels_problem = f"the column '{printable(column)}': {error}"
                contents.notes.append(f"{NO_CLASSES}{contents.labels_problem}.")
                labels = []
            if contents.labels_problem:
                break
            entries += _entries(table, labels)
        if contents.labels_problem or all(entry.label is None for entry in entries):
            if not contents.labels_problem:
                contents.notes.append(f"{NO_CLASSES}the column '{printable(column)}' has none.")
            contents.entries = [each for table in train for each in _entries(table, None)]
            return
        contents.entries = [entry for entry in entries if entry.label is not None]
        contents.problems += [
            Problem(entry.name, f"no class in the column '{printable(column)}'")
            for entry in entries
            if entry.label is None
        ]
        contents.labels_from = f"the column '{printable(column)}'"
        found = class_order(entry.label for entry in contents.entries if entry.label is not None)
        contents.classes = list(classes) if classes.keys() >= {*found} else found


def _entries(table: Table, labels: Sequence[str | None] | None) -> Iterable[Entry]:
    for row in range(table.num_rows):
        label = labels[row] if labels is not None else None
        yield Entry(f"{table.name}[{row}]", label, table.row_bytes)


def _require_images(table: Table, columns: Columns) -> None:
    """Raise DataError if the first rows have no image, as where only paths were saved."""
    try:
        for row in range(min(table.num_rows, _FIRST_ROWS)):
            if table.image(row, columns):
                return
    except BadImage:  # there is something, which the survey of all images reports
        return
    finally:
        table.close()
    raise DataError(
        f"{table.name} has no images in the column '{printable(columns.image)}', or only their "
        "paths",
        "These two lines of Python put the files into a table of Hugging Face's datasets.",
        details=_EMBED_FILES,
    )


def _same(table: Table, chosen: Columns, label: str | None, first: str) -> Columns:
    """Return the chosen columns of `table`. Raises DataError if it is not like the `first` one."""
    if not {chosen.image, label or chosen.image} <= {*table.schema.names}:
        raise DataError(
            f"{table.name} has other columns than {first}", "Give tables of one data set."
        )
    settings = ImageSettings(image_column=chosen.image, label_column=label)
    return find(table.schema, table.name, settings, labeled=label is not None)


def _is_split(name: str) -> bool:
    return layout.rank(name) is not None


def _class(value: Any, names: Sequence[str]) -> str | None:
    """Return the name of a class; None if there is none. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, str):
        name = printable(value.strip())
        if len(name) > limits.LABEL_NAME_BYTES:
            raise ValueError(f"{name[:60]}... is too long for the name of a class")
        return name or None
    if not names or not isinstance(value, int):
        return str(value).lower()
    if value == _NO_CLASS:
        return None
    if not 0 <= value < len(names):
        raise ValueError(f"{value} is not the number of one of {counted(len(names), 'name')}")
    return names[value]
