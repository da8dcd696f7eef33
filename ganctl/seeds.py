"""Seeds and classes as a caller gives them, checked and converted to numbers."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from ganctl.classes import find
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.text import counted, listed

Class = SupportsIndex | str
"""A class by its name or its number; the number can be of NumPy's or torch's types."""
_KEYFRAMES = (0, 1, 2, 3)
"""The seeds of a walk by default."""


def valid_seeds(seeds: Iterable[int]) -> Sequence[int]:
    """Return the seeds as a tuple, or a range as it is. Raises UsageError for an invalid one."""
    seeds = seeds if isinstance(seeds, range) else tuple(map(operator.index, seeds))
    # A range can be too long to be visited.
    for seed in seeds[:: max(1, len(seeds) - 1)] if isinstance(seeds, range) else seeds:
        if not 0 <= seed <= MAX_SEED:
            raise UsageError(f"seeds must be from 0 to {MAX_SEED:,}, not {seed}")
    return seeds


def as_ranges(seeds: Sequence[int]) -> str:
    """Return the seeds as `ganctl sample --seeds` takes them.

    >>> as_ranges([0, 1, 2, 40])
    '0-2,40'
    """
    if isinstance(seeds, range) and seeds.step == 1:  # it can be too long to list
        return "-".join(map(str, (seeds[0], seeds[-1]) if len(seeds) > 1 else seeds))
    runs = itertools.groupby(enumerate(seeds), lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in ([*pairs] for _, pairs in runs)]
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ends)


def is_single_class(classes: Any) -> bool:
    """Return whether this is one class, not several."""
    return np.ndim(classes) == 0


def class_numbers(classes: Any, names: Sequence[str]) -> list[int]:
    """Return the number of the class, or of each of several. Raises UsageError for unknown ones."""
    return [_number(each, names) for each in ([classes] if is_single_class(classes) else classes)]


def keyframes(
    seeds: Iterable[int] | None, labels: list[int] | None
) -> tuple[Sequence[int], list[int] | None]:
    """Return the seed and the class of each keyframe of a walk; no classes if there are no labels.

    Raises UsageError unless there are as many classes as seeds, or one of either.
    """
    if seeds is None:
        seeds = _KEYFRAMES if labels is None or len(labels) == 1 else _KEYFRAMES[:1]
    return paired(tuple(valid_seeds(seeds)), labels, "seed")


def paired(
    stops: Sequence[int], labels: list[int] | None, noun: str
) -> tuple[Sequence[int], list[int] | None]:
    """Return the stops of a walk and the class of each; a single one of either is repeated.

    `noun` is what the stops are called in messages. Raises UsageError for fewer than two stops, and
    unless there are as many classes as stops, or one of either.
    """
    count = max(len(stops), len(labels or ()))
    if count < 2:
        either = "" if labels is None else " or two classes"
        example = "For example: 3,7" if noun == "seed" else None
        raise UsageError(f"a walk needs at least two {noun}s{either}", example)
    if labels is None:
        return stops, None
    if len(stops) not in (1, count) or len(labels) not in (1, count):
        raise pairing_error(len(labels), len(stops), noun)
    return tuple(stops) * (count // len(stops)), labels * (count // len(labels))


def pairing_error(num_classes: int, num_stops: int, noun: str = "seed") -> UsageError:
    """Return the error for classes and seeds, or latents, that differ in number."""
    return UsageError(
        f"{counted(num_classes, 'class', 'classes')} cannot be paired with "
        f"{counted(num_stops, noun)}",
        f"Give one class, or one for each {noun}, or a single {noun}.",
    )


def _number(each: Class, names: Sequence[str]) -> int:
    if isinstance(each, str):
        return find(each, names)
    number = operator.index(each)
    if not 0 <= number < len(names):
        raise UsageError(
            f"class must be a name or 0 to {len(names) - 1}, not {number}",
            f"Known: {listed(names)}.",
        )
    return number
