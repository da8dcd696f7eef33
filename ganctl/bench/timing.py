"""Rates of several pieces of work that take turns, so that a slow minute slows all of them down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ganctl.datasets.dataset import Progress
from ganctl.errors import GanctlError

Repeat = Callable[[int], None]
"""Do a piece of work so many times, and return when all of it is done."""
_MAX_CHARS = 200


class Rate(NamedTuple):
    """How often per second a piece of work was done, or why it could not be done."""

    per_sec: float | None
    problem: str | None = None


def alternate(
    works: Sequence[Callable[[], Repeat]],
    seconds: float,
    num_rounds: int,
    progress: Callable[[int, int], None],
) -> list[Rate]:
    """Return the best rate of each of `works`, functions that prepare a piece of work.

    They take turns in up to `num_rounds` rounds, which last about `seconds` in all, preparing and
    warming up included, but everything is timed at least once. What fails is left out from then on.
    """
    deadline = time.perf_counter() + seconds
    ready: dict[int, Repeat] = {}
    estimates: dict[int, float] = {}
    problems: dict[int, str] = {}
    for number, prepare in enumerate(works):
        progress(number, len(works))
        try:
            ready[number] = prepare()
            ready[number](1)
            estimates[number] = _seconds(ready[number], 1)
        except Exception as error:
            problems[number] = explain(error)
    left = max(0.0, deadline - time.perf_counter())
    turn = left / (num_rounds * max(1, len(estimates)))
    best: dict[int, float] = {}
    for number_of_round in range(num_rounds):
        for number, estimate in estimates.items():
            late = time.perf_counter() >= deadline
            if number in problems or (late and number_of_round):
                continue
            count = 1 if late else max(1, math.floor(turn / estimate))
            try:
                taken = _seconds(ready[number], count) / count
            except Exception as error:
                problems[number] = explain(error)
            else:
                best[number] = min(best.get(number, math.inf), taken)
    return [
        Rate(None, problems[number]) if number in problems else Rate(1 / best[number])
        for number in range(len(works))
    ]


def explain(error: Exception) -> str:
    """Return in a line what went wrong."""
    if isinstance(error, GanctlError):
        return str(error.message)
    first_line = next(iter(str(error).splitlines()), "")[:_MAX_CHARS]
    return f"{type(error).__name__}: {first_line}"


def part_of(progress: Progress, task: str) -> Callable[[int, int], None]:
    """Return what reports the progress of one task."""
    return lambda done, total: progress(task, done, total)


def _seconds(repeat: Repeat, count: int) -> float:
    started = time.perf_counter()
    repeat(count)
    return time.perf_counter() - started
