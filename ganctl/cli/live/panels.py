"""What a training that is watched looks like: the table of losses, bars, lines of text."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from ganctl import palette
from ganctl.history import COLUMNS

if TYPE_CHECKING:
    from ganctl.training.loop import Progress

WIDTHS = {
    "epoch": 7, "g_loss": 7, "d_loss": 7, "d_real": 6, "d_fake": 7, "frechet_distance": 7,
    "seconds": 8,
}  # fmt: skip
"""The table's columns."""
_LEAST_NEEDED = ("seconds", "d_real", "d_fake", "frechet_distance")
"""What a narrow table goes without, the first of them first."""
_PACE_SECONDS = 60.0
_NARROW = 60


class Lines:
    """Lines of text as a part of a screen, below a head: the last ones where not all fit."""

    def __init__(self, head: Callable[[int], Sequence[Text]] = lambda _: ()) -> None:
        self._head = head
        self._rows: list[Callable[[int], Text]] = []

    @property
    def version(self) -> object:
        """Nothing is ever taken away."""
        return len(self._rows)

    def add(self, row: Callable[[int], Text]) -> None:
        """One more line, made for the width that there is."""
        self._rows.append(row)

    def render(self, width: int, height: int) -> Text:
        """The head, and as many of the last lines as there is room for."""
        head = list(self._head(width))
        first = max(0, len(self._rows) - max(0, height - len(head)))
        return _stack([*head, *(row(width) for row in self._rows[first:])])


class Bars:
    """How far the run and the epoch are, and the time that remains, on two lines."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._is_measuring = False
        self._started = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque()

    @property
    def version(self) -> object:
        """The time goes on where nothing else does."""
        return self._progress, int(time.monotonic() - self._started)

    def update(self, progress: Progress) -> None:
        """Where the training is now."""
        self._progress = progress
        now = time.monotonic()
        self._seen.append((now, progress.step))
        while self._seen[0][0] < now - _PACE_SECONDS:
            self._seen.popleft()

    def remaining(self) -> float | None:
        """Seconds to the run's end at the pace of the last minute, epochs' ends included."""
        if self._progress is None or self._seen[0] == self._seen[-1]:
            return None
        (first, before), (last, step) = self._seen[0], self._seen[-1]
        return (self._progress.total_steps - step) * (last - first) / max(1, step - before)

    def render(self, width: int, height: int) -> Text:
        """The run's line, and the epoch's below it."""
        progress = self._progress
        if progress is None:
            return Text("starting ...")
        # Samples are drawn and measured at an epoch's end, for seconds in which no step is done.
        ends = progress.step_in_epoch == progress.steps_per_epoch or (
            progress.step == progress.total_steps
        )
        left = self.remaining()
        times = [] if left is None else [f"{clock(left)} left"]
        speed = f"{progress.images_per_sec:,.0f} images/s"
        if width >= _NARROW:
            times.insert(0, clock(time.monotonic() - self._started))
        else:
            speed = speed.replace(" images", "")
        lines = (
            (f"epoch {progress.epoch}/{progress.epochs}",
             progress.step / progress.total_steps, ", ".join(times)),
            ("measuring" if ends else f"step {progress.step_in_epoch}/{progress.steps_per_epoch}",
             progress.step_in_epoch / progress.steps_per_epoch, speed),
        )  # fmt: skip
        # So wide that they change neither with the step nor with the time.
        names = max(len(lines[0][0]), len(f"step {progress.steps_per_epoch}") * 2 - 4)
        values = 20 if width >= _NARROW else 12
        room = max(0, width - names - values - 8)
        return _stack(
            Text.assemble(f"{name:<{names}} ", bar(share, room), f" {share:>4.0%}  {value}")
            for name, share, value in lines
        )


def bar(share: float, width: int) -> Text:
    """A bar of `width` cells, `share` of it filled, to half a cell."""
    halves = round(max(0.0, min(1.0, share)) * 2 * width)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble(
        (filled, palette.SERIES[0].terminal), ("━" * (width - len(filled)), "bright_black")
    )


def clock(seconds: float) -> str:
    """Seconds as '2:05' or '1:02:05'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def fitting(width: int) -> list[str]:
    """The columns of the table that `width` has room for."""
    columns = list(WIDTHS)
    for name in _LEAST_NEEDED:
        if sum(WIDTHS[column] for column in columns) + 2 * (len(columns) - 1) > width:
            columns.remove(name)
    return columns


def table_line(cells: Mapping[str, str], width: int, style: str = "") -> Text:
    """A line of the table, from its cells by column."""
    return Text("  ".join(cells[name].rjust(WIDTHS[name]) for name in fitting(width)), style)


def table_head(width: int) -> Text:
    """The line above the table."""
    return table_line({name: COLUMNS[name].short for name in WIDTHS}, width, "bold")


def _stack(lines: Iterable[Text]) -> Text:
    return Text("\n", no_wrap=True, overflow="crop").join(lines)
