"""What a person, a log file or a script sees of a training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganctl.cli.terminal import Terminal, duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ganctl.config import TrainConfig
    from ganctl.training.health import Sign
    from ganctl.training.loop import Observer, Progress, Row

_HEADER = (
    f"{'epoch':>7}  {'G loss':>7}  {'D loss':>7}  {'D(x)':>6}  {'D(G(z))':>7}  {'Frechet':>7}"
    f"  {'seconds':>8}"
)
_REFRESH_SECONDS = 0.1


def _line(row: Row) -> str:
    distance = row["frechet_distance"]
    return (
        f"{row['epoch']:>7}  {row['g_loss']:>7.3f}  {row['d_loss']:>7.3f}  {row['d_real']:>6.3f}"
        f"  {row['d_fake']:>7.3f}  {'' if distance is None else f'{distance:.2f}':>7}"
        f"  {row['seconds']:>8.1f}"
    )


class _Warner:
    """What all observers do alike."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def on_sign(self, row: Row, sign: Sign) -> None:
        """Say what is wrong, on stderr."""
        self._terminal.error(f"warning: in epoch {row['epoch']} {sign.meaning}", sign.advice)


class JsonObserver(_Warner):
    """One JSON line an epoch, on stdout."""

    def on_step(self, progress: Progress) -> None:
        """Nothing: a script waits for the epoch."""

    def on_epoch(self, row: Row) -> None:
        self._terminal.document({"event": "epoch", **with_signs(row)})


class PlainObserver(_Warner):
    """One plain line an epoch, on stderr."""

    def on_step(self, progress: Progress) -> None:
        """Nothing: a log is no place for a bar."""

    def on_epoch(self, row: Row) -> None:
        distance = row["frechet_distance"]
        measured = "" if distance is None else f"Frechet distance {distance:.2f}, "
        self._terminal.note(
            f"epoch {row['epoch']}: generator loss {row['g_loss']:.3f}, discriminator loss "
            f"{row['d_loss']:.3f}, D(x) {row['d_real']:.3f}, D(G(z)) {row['d_fake']:.3f}, "
            f"{measured}{row['seconds']:.1f} s, {row['images_per_sec']:.0f} images/s"
        )


class LiveObserver(_Warner):
    """Bars with the time that remains, below a table that gains a row an epoch; on stderr."""

    def __init__(self, terminal: Terminal, bars: Bars) -> None:
        super().__init__(terminal)
        self._bars = bars
        self._run: TaskID | None = None
        self._epoch: TaskID | None = None
        self._epoch_number = 0
        self._shown = 0.0
        bars.console.print(_HEADER, style="bold", highlight=False)

    def on_step(self, progress: Progress) -> None:
        now = time.monotonic()
        ends = progress.step_in_epoch == progress.steps_per_epoch
        if now - self._shown < _REFRESH_SECONDS and not ends:
            return
        self._shown = now
        if self._run is None or self._epoch is None:
            self._run = self._bars.add_task("run", total=progress.total_steps, speed="",
                                            completed=progress.step - 1)  # fmt: skip
            self._epoch = self._bars.add_task("epoch", total=progress.steps_per_epoch, speed="")
        if progress.epoch != self._epoch_number:  # a bar that was full once keeps its times
            self._epoch_number = progress.epoch
            self._bars.reset(self._epoch, total=progress.steps_per_epoch)
        self._bars.update(
            self._run,
            completed=progress.step,
            description=f"epoch {progress.epoch}/{progress.epochs}",
        )
        self._bars.update(
            self._epoch,
            completed=progress.step_in_epoch,
            description=f"step {progress.step_in_epoch}/{progress.steps_per_epoch}",
            speed=f"{progress.images_per_sec:,.0f} images/s",
        )

    def on_epoch(self, row: Row) -> None:
        self._bars.console.print(_line(row), highlight=False, markup=False)


def with_signs(row: Row) -> Row:
    """A row of the history as --json shows it, with what is wrong with the epoch."""
    from ganctl.training.health import signs

    return {**row, "signs": [sign.name for sign in signs(row)]}


@contextlib.contextmanager
def observer(terminal: Terminal) -> Iterator[Observer]:
    """The observer that fits where the output goes."""
    if terminal.json_wanted:
        yield JsonObserver(terminal)
    elif not terminal.live:
        yield PlainObserver(terminal)
    else:
        from rich import progress

        with progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(compact=True, elapsed_when_finished=False),
            progress.TextColumn("{task.fields[speed]}"),
            console=terminal.err,
            transient=True,
        ) as bars:
            yield LiveObserver(terminal, bars)


def summary_epochs(count: int) -> list[int]:
    """First, 40 %, 60 %, 80 % and last of `count` epochs, counted from 1: of 50, 1 20 30 40 50."""
    return sorted({1, *(max(1, round(count * share / 10)) for share in (4, 6, 8, 10))})


def show_summary(history: list[Row], config: TrainConfig, terminal: Terminal) -> None:
    """The losses along the run, and how far the discriminator is from being fooled."""
    rows = [history[epoch - 1] for epoch in summary_epochs(len(history))]
    terminal.heading("losses")
    terminal.table(
        ("epoch", "generator loss", "discriminator loss", "D(x)", "D(G(z))"),
        [
            (row["epoch"], *(f"{row[n]:.3f}" for n in ("g_loss", "d_loss", "d_real", "d_fake")))
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
        f"Trained for {duration(history[-1]['elapsed_seconds'])}, "
        f"{history[-1]['images']:,} images seen."
    )
    measured = [row for row in history if row["frechet_distance"] is not None]
    if measured:
        best = min(measured, key=lambda row: row["frechet_distance"])
        terminal.result(
            f"Its samples were nearest to real images after epoch {best['epoch']}: Frechet "
            f"distance {best['frechet_distance']:.2f} on {config.eval_samples:,} of them."
        )
