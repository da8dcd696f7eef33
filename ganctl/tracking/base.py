"""What all trackers have in common: what they log, how often, and under which names."""

from __future__ import annotations

import abc
import contextlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from ganctl import images
from ganctl.history import COLUMNS, Row, is_complete
from ganctl.images import Pixels
from ganctl.store import RunDirectory
from ganctl.training.callback import Callback, End, Progress, Start

_SHARE = 0.002
"""Share of the time that logging metrics by step, and logging samples, may take each."""
_MIN_SECONDS = 1.0
"""Minimum time between two logs of metrics by step."""
_PLACES = ("epoch", "step")
"""Columns that say where a row belongs, which are no metrics."""


class Pace:
    """A limit on how often something is done: rests follow from how long it takes."""

    def __init__(self, min_seconds: float = 0.0) -> None:
        self._min_seconds = min_seconds
        self._next = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it may be done again."""
        return time.monotonic() >= self._next

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Time what is done in this context."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = ended + max(self._min_seconds, (ended - started) / _SHARE)


class Tracker(Callback, abc.ABC):
    """A callback that passes a run on to a tracker; a subclass is a thin file over its library.

    Metrics by step are means over the steps since the last log, metrics by epoch those of
    losses.csv. A resumed run goes on in the same run of the tracker, whose id is in its folder.
    """

    name: ClassVar[str]
    """Name on the command line, and of the extra that installs the library."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._steps, self._samples = Pace(_MIN_SECONDS), Pace()
        self._sums: dict[str, float] = {}
        self._since = self._seen = 0

    @abc.abstractmethod
    def open(self, start: Start, run_id: str | None) -> tuple[str, str]:
        """Open a run, or that of `run_id` again; return its id, and where it can be looked at."""

    @abc.abstractmethod
    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by their names."""

    @abc.abstractmethod
    def log_picture(self, picture: Pixels, step: int) -> None:
        """Log the grid of samples, uint8 (H, W, C) with C of 1 or 3."""

    @abc.abstractmethod
    def close(self, end: End) -> None:
        """Close the run; it may not be open."""

    def on_start(self, start: Start) -> None:
        run = RunDirectory(start.folder)
        ids = run.read_trackers()
        known = ids.get(self.name) if start.resumed else None
        self._steps_per_epoch, self._total_steps = start.steps_per_epoch, start.total_steps
        self._since = self._seen = start.step
        with _quiet():
            run_id, address = self.open(start, known)
        run.write_trackers({**ids, self.name: run_id})
        for row in start.history if known is None else ():  # it was not tracked before
            self._log_row(row)
        self._announce(f"Tracked by {self.name}: {address}")

    def on_step(self, progress: Progress) -> None:
        steps, self._seen = progress.step - self._seen, progress.step
        for name, value in progress.recent.items():
            self._sums[name] = self._sums.get(name, 0.0) + steps * value
        if self._seen == self._since or not self._steps.is_due:
            return
        means = {name: total / (self._seen - self._since) for name, total in self._sums.items()}
        values = {**means, "images_per_sec": progress.images_per_sec}
        self._sums, self._since = {}, self._seen
        with self._steps.timed(), _quiet():
            self.log_scalars(_named("step", values), progress.step)

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        is_last = row["step"] >= self._total_steps
        if not is_complete(row, self._steps_per_epoch) and not is_last:
            return  # resumed, the run reports the whole epoch
        self._log_row(row)
        if samples is not None and (is_last or self._samples.is_due):
            with self._samples.timed(), _quiet():
                self.log_picture(images.over_white(images.grid(samples)), row["step"])

    def _log_row(self, row: Row) -> None:
        values = {name: row[name] for name in COLUMNS if name not in _PLACES}
        found = {name: value for name, value in values.items() if value is not None}
        with _quiet():
            self.log_scalars(_named("epoch", found), row["step"])

    def on_end(self, end: End) -> None:
        with _quiet():
            self.close(end)


def described(start: Start) -> dict[str, Any]:
    """Return what a tracker shows as the configuration of a run: plain values by name."""
    return {
        **start.settings, "num_images": start.data["num_images"],
        "images_digest": start.data["digest"], "command": start.command,
        "folder": str(start.folder),
    }  # fmt: skip


def _named(kind: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{kind}/{name}": float(value) for name, value in values.items()}


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep what libraries print off stdout, which is for results."""
    return contextlib.redirect_stdout(io.StringIO())
