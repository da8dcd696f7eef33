"""Panels of text on the live screen: lines, the table of epochs, and progress bars."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from ganctl import palette
from ganctl.history import COLUMNS

if TYPE_CHECKING:
    from ganctl.training.callback import Progress

WIDTHS = {
    "epoch": 7, "g_loss": 7, "d_loss": 7, "d_real": 6, "d_fake": 7, "frechet_distance": 7,
    "seconds": 8,
}  # fmt: skip
"""Widths of the table's columns."""
_OMITTED_FIRST = ("seconds", "d_real", "d_fake", "frechet_distance")
"""Columns that a narrow table omits, in this order."""
_PACE_SECONDS = 60.0
_NARROW = 60


class Lines:
    """A panel of a heading and lines of text; it shows the last ones if not all fit."""

    def __init__(self, heading: Callable[[int], Sequence[Text]] = lambda _: ()) -> None:
        self._heading = heading
        self._lines: list[Callable[[int], Text]] = []

    @property
    def version(self) -> object:
        return len(self._lines)  # none is ever removed

    def add(self, line: Callable[[int], Text]) -> None:
        """Add a line, given as a function that returns it for the width of the panel."""
        self._lines.append(line)

    def render(self, width: int, height: int) -> Text:
        heading = list(self._heading(width))
        first = max(0, len(self._lines) - max(0, height - len(heading)))
        return _stacked([*heading, *(line(width) for line in self._lines[first:])])


class Bars:
    """A panel of two progress bars, of the run and of the epoch, with times and speed."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._started = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque()
        """Times and steps of the last minute."""

    @property
    def version(self) -> object:
        return self._progress, int(time.monotonic() - self._started)

    def update(self, progress: Progress) -> None:
        """Replace the progress that the bars show."""
        self._progress = progress
        now = time.monotonic()
        self._recent.append((now, progress.step))
        while self._recent[0][0] < now - _PACE_SECONDS:
            self._recent.popleft()

    def remaining(self) -> float | None:
        """Return the estimated seconds to the end of the run, at the last minute's pace."""
        if self._progress is None or self._recent[0] == self._recent[-1]:
            return None
        (first, before), (last, step) = self._recent[0], self._recent[-1]
        return (self._progress.total_steps - step) * (last - first) / max(1, step - before)

    def render(self, width: int, height: int) -> Text:
        progress = self._progress
        if progress is None:
            return Text("starting ...")
        # An epoch ends with seconds in which no step is done: samples are drawn and measured.
        is_measuring = progress.step_in_epoch == progress.steps_per_epoch or (
            progress.step == progress.total_steps
        )
        left = self.remaining()
        times = [] if left is None else [f"{clock(left)} left"]
        speed = f"{progress.images_per_sec:,.0f} images/s"
        if width >= _NARROW:
            times.insert(0, clock(time.monotonic() - self._started))
        else:
            speed = speed.replace(" images", "")
        step = f"step {progress.step_in_epoch}/{progress.steps_per_epoch}"
        lines = (
            (f"epoch {progress.epoch}/{progress.epochs}",
             progress.step / progress.total_steps, ", ".join(times)),
            ("measuring" if is_measuring else step,
             progress.step_in_epoch / progress.steps_per_epoch, speed),
        )  # fmt: skip
        # Widths that change neither with the step nor with the time.
        name_width = max(len(lines[0][0]), len(f"step {progress.steps_per_epoch}") * 2 - 4)
        bar_width = max(0, width - name_width - (28 if width >= _NARROW else 20))
        return _stacked(
            Text.assemble(f"{name:<{name_width}} ", bar(share, bar_width), f" {share:>4.0%}  {end}")
            for name, share, end in lines
        )


def bar(share: float, width: int) -> Text:
    """Return a bar of `width` cells that is filled to `share`, a number in [0, 1]."""
    halves = round(max(0.0, min(1.0, share)) * 2 * width)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble(
        (filled, palette.SERIES[0].terminal), ("━" * (width - len(filled)), "bright_black")
    )


def clock(seconds: float) -> str:
    """Return seconds as '2:05' or '1:02:05'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def fitting(width: int) -> list[str]:
    """Return the columns of the table of epochs that fit into `width` cells."""
    columns = list(WIDTHS)
    for name in _OMITTED_FIRST:
        if sum(WIDTHS[column] for column in columns) + 2 * (len(columns) - 1) > width:
            columns.remove(name)
    return columns


def table_line(cells: Mapping[str, str], width: int, style: str = "") -> Text:
    """Return a line of the table of epochs, given its cells by column."""
    return Text("  ".join(cells[name].rjust(WIDTHS[name]) for name in fitting(width)), style)


def table_head(width: int, quality: str = "frechet_distance") -> Text:
    """Return the headings of the table; `quality` is the metric in the Frechet distance's place."""
    names = {name: COLUMNS[name].short for name in WIDTHS}
    return table_line({**names, "frechet_distance": COLUMNS[quality].short}, width, "bold")


def _stacked(lines: Iterable[Text]) -> Text:
    return Text("\n", no_wrap=True, overflow="crop").join(lines)
