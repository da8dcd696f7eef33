"""What a person, a log file or a script sees of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ganctl.cli.streams import stdout_error
from ganctl.cli.terminal import Terminal
from ganctl.files import reason
from ganctl.history import COLUMNS, STEP_METRICS, best, epoch_label, is_complete, with_state
from ganctl.text import counted, duration

if TYPE_CHECKING:
    from ganctl.config.schema import TrainConfig
    from ganctl.errors import Text
    from ganctl.history import Row, Sign
    from ganctl.images import Pixels
    from ganctl.training.loop import Observer, Progress


class Warner:
    """What all observers do alike; by itself it tells of nothing but what is wrong."""

    wants_samples = False

    def __init__(self, terminal: Terminal, steps_per_epoch: int) -> None:
        self._terminal = terminal
        self._steps_per_epoch = steps_per_epoch

    def on_step(self, progress: Progress) -> None:
        """Nothing: a log is no place for a bar, and a script waits for the epoch."""

    def on_samples(self, pixels: Pixels, step: int) -> None:
        """Nothing: lines of text show no pictures."""

    def on_epoch(self, row: Row) -> None:
        """Nothing, for --quiet."""

    def on_sign(self, row: Row, sign: Sign) -> None:
        """Say what is wrong."""
        self.warn(f"in epoch {row['epoch']} {sign.meaning}", sign.advice)

    def on_problem(self, problem: str) -> None:
        """Say what failed."""
        self.warn(problem, "The training goes on without.")

    def warn(self, message: str, hint: str | Text) -> None:
        """Say what is wrong and what to do, on stderr."""
        self._terminal.error(f"warning: {message}", hint)


class JsonObserver(Warner):
    """One JSON line an epoch, on stdout."""

    _said = False

    def on_epoch(self, row: Row) -> None:
        self._terminal.document({"event": "epoch", **with_state(row, self._steps_per_epoch)})
        if (lost := stdout_error()) and not self._said:
            self._said = True
            self._terminal.error(
                f"warning: stdout cannot be written: {reason(lost)}",
                "The training goes on; losses.csv has what is lost here. Ctrl-C saves and stops.",
            )


class PlainObserver(Warner):
    """One plain line an epoch, on stderr."""

    def on_epoch(self, row: Row) -> None:
        names = (*STEP_METRICS, "frechet_distance")
        columns = [COLUMNS[name] for name in names if row[name] is not None]
        metrics = ", ".join(f"{column.label} {column.text(row[column.name])}" for column in columns)
        each = self._steps_per_epoch
        steps = row["step"] - (row["epoch"] - 1) * each
        unfinished = "" if steps == each else f" (unfinished, {steps} of {counted(each, 'step')})"
        self._terminal.note(
            f"epoch {row['epoch']}{unfinished}: {metrics}, "
            f"{row['seconds']:.1f} s, {row['images_per_sec']:.0f} images/s"
        )


@contextlib.contextmanager
def observer(
    terminal: Terminal,
    steps_per_epoch: int,
    *,
    title: str = "",
    history: Sequence[Row] = (),
    preview: bool = False,
) -> Iterator[Observer]:
    """The observer that fits where the output goes; a person sees the `history` as well."""
    if terminal.json_wanted:
        yield JsonObserver(terminal, steps_per_epoch)
    elif terminal.quiet:
        yield Warner(terminal, steps_per_epoch)
    elif not terminal.is_live:
        yield PlainObserver(terminal, steps_per_epoch)
    else:
        from ganctl.cli.live.observer import LiveObserver

        with LiveObserver(
            terminal, steps_per_epoch, title=title, history=history, preview=preview
        ) as live:
            yield live


def summary_epochs(count: int) -> list[int]:
    """First, 40 %, 60 %, 80 % and last of `count` epochs, counted from 1: of 50, 1 20 30 40 50."""
    return sorted({1, *(max(1, round(count * share / 10)) for share in (4, 6, 8, 10))})


def show_summary(
    history: list[Row],
    config: TrainConfig,
    terminal: Terminal,
    *,
    steps_per_epoch: int,
    seconds: float,
    since_step: int,
) -> None:
    """The losses along the run, and how far the discriminator is from being fooled.

    `seconds` is the time that all of it took from `since_step` on, not the updates alone.
    """
    rows = [history[epoch - 1] for epoch in summary_epochs(len(history))]
    columns = [COLUMNS[name] for name in STEP_METRICS]
    heading = "losses"
    if best(history):
        columns.append(COLUMNS["frechet_distance"])
        heading += f"; Frechet distance of {counted(config.eval_samples, 'sample')}"
    terminal.heading(heading)
    terminal.table(
        ("epoch", *(column.short for column in columns)),
        [
            (epoch_label(row, steps_per_epoch), *(c.text(row[c.name]) for c in columns))
            for row in rows
        ],
        left=0,
    )
    fooled = history[-1]["d_fake"]
    verb = {
        "bce": "takes a generated image for real",
        "relativistic": "takes a generated image for the more real one of a pair",
    }[config.loss]
    terminal.result(
        f"The discriminator {verb} with probability {fooled:.2f} (D(G(z)) in the last epoch); "
        f"fooled half of the time would be 0.50, {abs(0.5 - fooled):.2f} away."
    )
    terminal.result(
        f"Trained for {duration(history[-1]['elapsed_seconds'])} of updates, "
        f"{counted(history[-1]['images'], 'image')} seen; {duration(seconds)} in all"
        + (f" since step {since_step}." if since_step else ".")
    )
    # best.pt is chosen among complete epochs, and this says which one it is.
    kept = best([row for row in history if is_complete(row, steps_per_epoch)])
    if kept:
        terminal.result(
            f"Best epoch: {kept['epoch']} (Frechet distance {kept['frechet_distance']:.2f}, "
            f"{counted(config.eval_samples, 'sample')})."
        )
