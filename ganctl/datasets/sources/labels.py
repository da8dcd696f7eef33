"""Files with the classes of images: a list of all of them, or a file beside each image."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from ganctl import limits
from ganctl.datasets.sources.base import why_unused
from ganctl.text import printable

LISTS = ("dataset.json", "metadata.jsonl", "metadata.csv", "labels.csv")
"""Names of files that list the classes of all images, by StyleGAN's dataset_tool, by Hugging Face's
ImageFolder, and by custom; the first one that is there is used."""
BESIDE = ("cls", "json")
"""Suffixes of WebDataset's files beside an image; the first one that is there is used."""
FILES_BESIDE, FOLDERS = "files beside the images", "folders"
"""Names in `Contents.labels_from` of sources of classes that are not lists."""
_FILE_KEYS = ("file_name", "filename", "file", "image", "path")
_CLASS_KEYS = ("label", "class")
_DELIMITERS = ",;\t"


class NoLabels(Exception):  # noqa: N818 - classes may come from elsewhere
    """A file that has the name of a list of labels but is none; the text says why."""


class BadLabels(Exception):  # noqa: N818
    """A list of labels that cannot be understood; the text says why."""


def parse(name: str, content: bytes) -> dict[str, str]:
    """Return the classes in the list called `name`, by the `comparable` paths of the images.

    The paths are relative to the folder of the list. The result is empty if the list says that
    there are no classes. Raises NoLabels and BadLabels.
    """
    rows = {"json": _json, "jsonl": _jsonl, "csv": _csv}[name.rpartition(".")[2]]
    classes: dict[str, str] = {}
    try:
        for path, value in rows(content.decode("utf-8-sig")):
            if not isinstance(path, str):
                raise BadLabels(f"{_brief(path)} is not a file name")
            if len(path) > limits.NAME_CHARS:
                raise BadLabels(f"{_brief(path)} is too long for a file name")
            if (label := _class(value)) is None:
                continue
            path = comparable(path.replace("\\", "/").removeprefix("./"))
            if classes.setdefault(path, label) != label:
                raise BadLabels(f"{_brief(path)} has two classes")
    except (ValueError, csv.Error, RecursionError) as error:
        raise BadLabels(f"cannot be understood: {_brief(str(error))}") from None
    return classes


def comparable(path: str) -> str:
    """Return `path` in the form that is the same for an image and its mention in a list."""
    text = printable(path)
    if text.isascii():
        return text
    accents = groupby(text, lambda char: unicodedata.combining(char) > 0)
    longest = max((len(list(group)) for is_accent, group in accents if is_accent), default=0)
    # Some file systems store accents apart from their letters. Normalizing many takes long.
    return text if longest > limits.ACCENTS else unicodedata.normalize("NFC", text)


def beside(content: bytes, suffix: str) -> str | None:
    """Return the class in a file beside an image, a name or a number as text, or None.

    A .cls file holds nothing else, and a .json file has it as its 'label'.
    """
    try:
        value = content.decode().strip()
        return _class(json.loads(value).get("label") if suffix == "json" else value)
    except (ValueError, AttributeError, RecursionError, BadLabels):
        return None


def _json(text: str) -> Iterator[tuple[Any, Any]]:
    """Yield (name, class) from {"labels": [["00000/img0.png", 3], ...]}, or {"labels": null}."""
    data = json.loads(text)
    if not isinstance(data, dict) or "labels" not in data:
        raise NoLabels("it has no 'labels'")
    pairs = data["labels"] or []
    if not isinstance(pairs, list):
        raise BadLabels("its 'labels' are not a list")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadLabels(f"{_brief(pair)} is not a file and its class")
        yield pair[0], pair[1]


def _jsonl(text: str) -> Iterator[tuple[Any, Any]]:
    """Yield (name, class) from lines such as {"file_name": "0.png", "label": "cat"}."""
    has_labels = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise BadLabels(f"line {number:,} is not an object")
        file, label = _first(_FILE_KEYS, row), _first(_CLASS_KEYS, row)
        if file is not None and label is not None:
            has_labels = True
            yield row[file], row[label]
    if not has_labels:
        raise NoLabels("no line has a 'file_name' and a 'label'")


def _csv(text: str) -> Iterator[tuple[Any, Any]]:
    """Yield (name, class) from lines such as 0.png,cat below a heading, file_name,label.

    The separator can also be ; or a tab. Without a heading there must be two columns: an image's
    name and its class.
    """
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = next(rows, [])
    columns = [name.strip().lower() for name in first]
    file, label = _first(_FILE_KEYS, columns), _first(_CLASS_KEYS, columns)
    if file is not None and label is not None:
        places = columns.index(file), columns.index(label)
    elif len(columns) == 2 and why_unused(columns[0], 0) is None:
        places = 0, 1
        yield first[0].strip(), first[1]
    else:
        raise NoLabels("its first line names no columns 'file_name' and 'label'")
    for row in rows:
        if len(row) > max(places):
            yield row[places[0]].strip(), row[places[1]]


def _first(known: Iterable[str], keys: Iterable[str]) -> str | None:
    return next((key for key in known if key in keys), None)


def _class(value: Any) -> str | None:
    """Return the name of a class, or its number as text; None if there is none."""
    if value is None or isinstance(value, str):
        name = printable((value or "").strip())
        if len(name) > limits.LABEL_NAME_BYTES:
            raise BadLabels(f"{_brief(name)} is too long for a class name")
        return name or None
    if type(value) is not int:
        raise BadLabels(f"{_brief(value)} is neither the name nor the number of a class")
    return str(value)


def _brief(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
