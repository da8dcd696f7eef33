"""Displays of a training run that write lines: warnings, JSON for scripts, text for logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganctl.cli.option_names import spelled
from ganctl.cli.streams import stdout_error
from ganctl.cli.terminal import Terminal
from ganctl.files import reason
from ganctl.history import COLUMNS, STEP_METRICS, with_state
from ganctl.text import counted
from ganctl.training.callback import Callback

if TYPE_CHECKING:
    from ganctl.errors import Text
    from ganctl.history import Row
    from ganctl.images import Pixels
    from ganctl.training.callback import Start


class Warnings(Callback):
    """A display that prints only warnings; the others extend it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def on_warning(self, message: str | Text, hint: str | Text) -> None:
        self._terminal.error(f"warning: {spelled(message)}", hint)


class JsonLines(Warnings):
    """A display that prints a JSON document per epoch to stdout."""

    _has_warned = False

    def on_start(self, start: Start) -> None:
        self._steps_per_epoch = start.steps_per_epoch

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        self._terminal.document({"event": "epoch", **with_state(row, self._steps_per_epoch)})
        if (error := stdout_error()) and not self._has_warned:
            self._has_warned = True
            self.on_warning(
                f"stdout cannot be written: {reason(error)}",
                "Training continues, and losses.csv has every epoch. Ctrl-C saves and stops.",
            )


class PlainLines(Warnings):
    """A display that prints a line of text per epoch to stderr."""

    def on_start(self, start: Start) -> None:
        self._steps_per_epoch = start.steps_per_epoch

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
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
