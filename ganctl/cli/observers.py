"""Observers of a training run that write lines: warnings, JSON for scripts, text for logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ganctl.cli.streams import stdout_error
from ganctl.cli.terminal import Terminal
from ganctl.files import reason
from ganctl.history import COLUMNS, STEP_METRICS, with_state
from ganctl.text import counted
from ganctl.training.observer import Observer

if TYPE_CHECKING:
    from ganctl.errors import Text
    from ganctl.history import Row, Sign


class QuietObserver(Observer):
    """An observer that prints only warnings; the others extend it. Use it as a context manager."""

    def __init__(self, terminal: Terminal, steps_per_epoch: int) -> None:
        self._terminal = terminal
        self._steps_per_epoch = steps_per_epoch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def on_sign(self, row: Row, sign: Sign) -> None:
        self.warn(f"in epoch {row['epoch']} {sign.meaning}", sign.advice)

    def on_problem(self, problem: str) -> None:
        self.warn(problem, "Training continues without it.")

    def warn(self, message: str, hint: str | Text) -> None:
        """Print a warning and what to do about it to stderr."""
        self._terminal.error(f"warning: {message}", hint)


class JsonObserver(QuietObserver):
    """An observer that prints a JSON document per epoch to stdout."""

    _has_warned = False

    def on_epoch(self, row: Row) -> None:
        self._terminal.document({"event": "epoch", **with_state(row, self._steps_per_epoch)})
        if (error := stdout_error()) and not self._has_warned:
            self._has_warned = True
            self.warn(
                f"stdout cannot be written: {reason(error)}",
                "Training continues, and losses.csv has every epoch. Ctrl-C saves and stops.",
            )


class PlainObserver(QuietObserver):
    """An observer that prints a line of text per epoch to stderr."""

    def on_epoch(self, row: Row) -> None:
        names = (*STEP_METRICS, "frechet_distance", "patch_distance")
        columns = [COLUMNS[name] for name in names if row[name] is not None]
        metrics = ", ".join(f"{column.label} {column.text(row[column.name])}" for column in columns)
        each = self._steps_per_epoch
        steps = row["step"] - (row["epoch"] - 1) * each
        unfinished = "" if steps == each else f" (unfinished, {steps:,} of {counted(each, 'step')})"
        self._terminal.note(
            f"epoch {row['epoch']}{unfinished}: {metrics}, "
            f"{row['seconds']:.1f} s, {row['images_per_sec']:.0f} images/s"
        )
