"""Names of classes, and the class that a user means by a name or number."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ganctl.errors import UsageError
from ganctl.text import listed, printable, suggestion

MAX_CLASSES = 1000
"""Largest number of classes that networks can be conditioned on, as one-hot vectors."""
MAX_NAME = 255
"""Number of characters of a class name that are kept: the longest that a folder can have."""


def stored(names: Sequence[str]) -> list[str]:
    """Return `names` as checkpoints store them: shortened, or none if there are too many."""
    return [name[:MAX_NAME] for name in names] if len(names) <= MAX_CLASSES else []


def names_of(num_classes: int, known: Sequence[str]) -> tuple[str, ...]:
    """Return the printable names of a run's classes: `known` if there are as many, or numbers."""
    if len(known) != num_classes:
        return tuple(map(str, range(num_classes)))
    return tuple(map(printable, known))


def find(text: str, names: Sequence[str]) -> int:
    """Return the number of the class that `text` means.

    An exact name comes before a name in another case, and that before a number. Raises
    UsageError, whose hint names similar classes.

    >>> find("Cat", ["dog", "cat"]), find("0", ["dog", "cat"]), find("0", ["1", "0"])
    (1, 0, 1)
    """
    if text in names:
        return names.index(text)
    alike = [number for number, name in enumerate(names) if _folded(name) == _folded(text)]
    if len(alike) == 1:
        return alike[0]
    if text.isdecimal() and len(text) <= len(str(MAX_CLASSES)) and int(text) < len(names):
        return int(text)
    known = f"Known: {listed(names)}."
    if text.lstrip("-").isdecimal():
        last = len(names) - 1
        raise UsageError(f"class must be a name or 0 to {last}, not {text[:80]}", known)
    raise UsageError(
        f"there is no class '{text[:80]}'", known if alike else suggestion(text, names)
    )


def find_several(text: str, names: Sequence[str]) -> list[int]:
    """Return the numbers of the classes in `text`, separated by commas. Raises as `find`.

    >>> find_several("dog,cat", ["cat", "dog"]), find_several("dog, wet", ["dog, wet", "cat"])
    ([1, 0], [0])
    """
    if text in names:  # a name that has a comma itself
        return [names.index(text)]
    return [find(part.strip(), names) for part in text.split(",")]


def _folded(text: str) -> str:
    # Some file systems store an accent as a character of its own.
    return unicodedata.normalize("NFC", text.strip()).casefold()
