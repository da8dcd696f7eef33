"""The classes of images: what they are called, and which one a user means."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ganctl.errors import UsageError
from ganctl.text import listed, nearest, printable

MAX_CLASSES = 1000
"""More are too many for networks that are told the class as a one-hot vector."""
MAX_NAME = 255
"""Characters of a name that are kept: the longest that a folder can have."""


def stored(names: Sequence[str]) -> list[str]:
    """`names` as a checkpoint keeps them; none where there are more than networks can be told."""
    return [name[:MAX_NAME] for name in names] if len(names) <= MAX_CLASSES else []


def names_of(num_classes: int, known: Sequence[str]) -> tuple[str, ...]:
    """What the `num_classes` classes of a run are called: their `known` names, or else numbers.

    Names are as `printable` gives them: they are shown, and written into other files.
    """
    if len(known) != num_classes:
        return tuple(map(str, range(num_classes)))
    return tuple(map(printable, known))


def find(text: str, names: Sequence[str]) -> int:
    """The number of the class that `text` means. Raises UsageError, which names the nearest.

    A name as it is written, or else one that differs in case alone, or else a number.

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
    raise UsageError(f"there is no class '{text[:80]}'", known if alike else nearest(text, names))


def find_several(text: str, names: Sequence[str]) -> list[int]:
    """The numbers of the classes that `text` means, between commas. Raises as `find`.

    >>> find_several("dog,cat", ["cat", "dog"]), find_several("dog, wet", ["dog, wet", "cat"])
    ([1, 0], [0])
    """
    if text in names:  # a name that has a comma itself
        return [names.index(text)]
    return [find(part.strip(), names) for part in text.split(",")]


def _folded(text: str) -> str:
    # Some file systems keep an accent apart from its letter.
    return unicodedata.normalize("NFC", text.strip()).casefold()
