"""Files that tell the classes of images: one that lists all of them, or one beside each image."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from ganctl import limits
from ganctl.datasets.sources.base import unused
from ganctl.text import printable

LISTS = ("dataset.json", "metadata.jsonl", "metadata.csv", "labels.csv")
"""Names of files that list all images' classes, as StyleGAN's dataset_tool and Hugging Face's
ImageFolder call them, and people; where there are several, the first is used."""
BESIDE = ("cls", "json")
"""Suffixes of WebDataset's files beside an image; where there are both, the first is used."""
FILES_BESIDE, FOLDERS = "files beside the images", "folders"
"""What else may tell the classes, as it is called for people."""
_FILE_KEYS = ("file_name", "filename", "file", "image", "path")
_CLASS_KEYS = ("label", "class")
_DELIMITERS = ",;\t"


class NoLabels(Exception):  # noqa: N818 - classes may be told elsewhere
    """A list that tells no classes, though it is called like one that does; the text says how."""


class BadLabels(Exception):  # noqa: N818
    """A list that cannot be understood; the text says why."""


def parse(name: str, content: bytes) -> dict[str, str]:
    """Return the classes in the list called `name`, by the `comparable` paths of the images.

    The paths begin in the list's folder. Empty where the list says that there are no classes.
    Raises NoLabels and BadLabels.
    """
    kind = {"json": _json, "jsonl": _jsonl, "csv": _csv}[name.rpartition(".")[2]]
    classes: dict[str, str] = {}
    try:
        for path, value in kind(content.decode("utf-8-sig")):
            if not isinstance(path, str):
                raise BadLabels(f"{_brief(path)} is not a file's name")
            if len(path) > limits.NAME_CHARS:
                raise BadLabels(f"{_brief(path)} is too long for a file's name")
            if (label := _class(value)) is None:
                continue
            path = comparable(path.replace("\\", "/").removeprefix("./"))
            if classes.setdefault(path, label) != label:
                raise BadLabels(f"{_brief(path)} has two classes")
    except (ValueError, csv.Error, RecursionError) as error:
        raise BadLabels(f"cannot be understood: {_brief(str(error))}") from None
    return classes


def comparable(path: str) -> str:
    """Return `path` in the form in which an image and its mention in a list are the same text."""
    text = printable(path)
    if text.isascii() or _longest_run(text) > limits.ACCENTS:
        return text
    # Some file systems keep an accent apart from its letter.
    return unicodedata.normalize("NFC", text)


def _longest_run(text: str) -> int:
    """Return how many accents follow one another, which normalizing takes quadratic time for."""
    groups = groupby(text, lambda char: unicodedata.combining(char) > 0)
    return max((len(list(group)) for is_accent, group in groups if is_accent), default=0)


def beside(content: bytes, suffix: str) -> str | None:
    """Return the class in a file beside an image, a name or a number as text; None if it has none.

    A .cls holds nothing else, a .json has it as its 'label'.
    """
    try:
        value = content.decode().strip()
        return _class(json.loads(value).get("label") if suffix == "json" else value)
    except (ValueError, AttributeError, RecursionError, BadLabels):
        return None


def _json(text: str) -> Iterator[tuple[Any, Any]]:
    """{"labels": [["00000/img00000000.png", 3], ...]}, or {"labels": null}."""
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
    """{"file_name": "0.png", "label": "cat"}, a line each."""
    is_told = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise BadLabels(f"line {number:,} is not an object")
        file, label = _key(_FILE_KEYS, row), _key(_CLASS_KEYS, row)
        if file is not None and label is not None:
            is_told = True
            yield row[file], row[label]
    if not is_told:
        raise NoLabels("no line has a 'file_name' and a 'label'")


def _csv(text: str) -> Iterator[tuple[Any, Any]]:
    """file_name,label in the first line, 0.png,cat in others; ; or a tab will do, too.

    Without such a first line, two columns are an image's name and its class.
    """
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = next(rows, [])
    columns = [name.strip().lower() for name in first]
    file, label = _key(_FILE_KEYS, columns), _key(_CLASS_KEYS, columns)
    if file is not None and label is not None:
        places = columns.index(file), columns.index(label)
    elif len(columns) == 2 and unused(columns[0], 0) is None:
        places = 0, 1
        yield first[0].strip(), first[1]
    else:
        raise NoLabels("its first line names no columns 'file_name' and 'label'")
    for row in rows:
        if len(row) > max(places):
            yield row[places[0]].strip(), row[places[1]]


def _key(known: Iterable[str], keys: Iterable[str]) -> str | None:
    return next((key for key in known if key in keys), None)


def _class(value: Any) -> str | None:
    """Return the name of a class, or its number as text; None where there is none."""
    if value is None or isinstance(value, str):
        name = printable((value or "").strip())
        if len(name) > limits.LABEL_NAME_BYTES:
            raise BadLabels(f"{_brief(name)} is too long for a class's name")
        return name or None
    if type(value) is not int:
        raise BadLabels(f"{_brief(value)} is neither a class's name nor its number")
    return str(value)


def _brief(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
