"""What a person, a log file or a script sees of a training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ganctl.cli.terminal import Terminal, duration
from ganctl.files import reason

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ganctl.config import TrainConfig
    from ganctl.training.health import Sign
    from ganctl.training.loop import Observer, Progress, Row

_WIDTHS = {
    "epoch": 7, "G loss": 7, "D loss": 7, "D(x)": 6, "D(G(z))": 7, "Frechet": 7, "seconds": 8,
}  # fmt: skip
"""The live table's columns."""
_LEAST_NEEDED = ("seconds", "D(x)", "D(G(z))", "Frechet")
"""What a narrow terminal goes without, the first of them first."""
_REFRESH_SECONDS = 0.1


def is_whole(row: Row, steps_per_epoch: int) -> bool:
    """Whether a row is of a whole epoch: a run can end inside one."""
    return bool(row["step"] == row["epoch"] * steps_per_epoch)


def with_state(row: Row, steps_per_epoch: int) -> Row:
    """A row of the history as --json shows it: whether it is whole, what is wrong with it."""
    from ganctl.training.health import signs

    return {
        **row,
        "complete": is_whole(row, steps_per_epoch),
        "signs": [sign.name for sign in signs(row)],
    }


def _label(row: Row, steps_per_epoch: int) -> str:
    """An epoch's number, as a table has it."""
    return f"{row['epoch']}{'' if is_whole(row, steps_per_epoch) else ' part'}"


class _Warner:
    """What all observers do alike."""

    def __init__(self, terminal: Terminal, steps_per_epoch: int) -> None:
        self._terminal = terminal
        self._steps_per_epoch = steps_per_epoch

    def on_sign(self, row: Row, sign: Sign) -> None:
        """Say what is wrong, on stderr."""
        self._terminal.error(f"warning: in epoch {row['epoch']} {sign.meaning}", sign.advice)

    def on_problem(self, problem: str) -> None:
        """Say what failed, on stderr."""
        self._terminal.error(f"warning: {problem}", "The training goes on without.")


class JsonObserver(_Warner):
    """One JSON line an epoch, on stdout."""

    _said = False

    def on_step(self, progress: Progress) -> None:
        """Nothing: a script waits for the epoch."""

    def on_epoch(self, row: Row) -> None:
        self._terminal.document({"event": "epoch", **with_state(row, self._steps_per_epoch)})
        if self._terminal.unheard and not self._said:
            self._said = True
            self._terminal.error(
                f"warning: stdout cannot be written: {reason(self._terminal.unheard)}",
                "The training goes on; losses.csv has what is lost here. Ctrl-C saves and stops.",
            )


class PlainObserver(_Warner):
    """One plain line an epoch, on stderr."""

    def on_step(self, progress: Progress) -> None:
        """Nothing: a log is no place for a bar."""

    def on_epoch(self, row: Row) -> None:
        distance = row["frechet_distance"]
        measured = "" if distance is None else f"Frechet distance {distance:.2f}, "
        each = self._steps_per_epoch
        steps = row["step"] - (row["epoch"] - 1) * each
        unfinished = "" if steps == each else f" (unfinished, {steps} of {each} steps)"
        self._terminal.note(
            f"epoch {row['epoch']}{unfinished}: generator loss {row['g_loss']:.3f}, "
            f"discriminator loss {row['d_loss']:.3f}, D(x) {row['d_real']:.3f}, "
            f"D(G(z)) {row['d_fake']:.3f}, "
            f"{measured}{row['seconds']:.1f} s, {row['images_per_sec']:.0f} images/s"
        )


class LiveObserver(_Warner):
    """Bars with the time that remains, below a table that gains a row an epoch; on stderr."""

    def __init__(self, terminal: Terminal, steps_per_epoch: int, bars: Bars) -> None:
        super().__init__(terminal, steps_per_epoch)
        self._bars = bars
        self._run: TaskID | None = None
        self._epoch: TaskID | None = None
        self._epoch_number = 0
        self._shown = 0.0
        self._columns = _fitting(bars.console.width)
        self._print({name: name for name in self._columns}, style="bold")

    def on_step(self, progress: Progress) -> None:
        now = time.monotonic()
        ends = progress.step_in_epoch == progress.steps_per_epoch or (
            progress.step == progress.total_steps
        )
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
            # Samples are drawn and measured now, for seconds in which no step is done.
            description="measuring"
            if ends
            else f"step {progress.step_in_epoch}/{progress.steps_per_epoch}",
            speed=f"{progress.images_per_sec:,.0f} images/s",
        )

    def on_epoch(self, row: Row) -> None:
        distance = row["frechet_distance"]
        self._print(
            {
                "epoch": _label(row, self._steps_per_epoch),
                "G loss": f"{row['g_loss']:.3f}",
                "D loss": f"{row['d_loss']:.3f}",
                "D(x)": f"{row['d_real']:.3f}",
                "D(G(z))": f"{row['d_fake']:.3f}",
                "Frechet": "" if distance is None else f"{distance:.2f}",
                "seconds": f"{row['seconds']:.1f}",
            }
        )

    def _print(self, cells: Mapping[str, str], style: str | None = None) -> None:
        line = "  ".join(cells[name].rjust(_WIDTHS[name]) for name in self._columns)
        self._bars.console.print(line, style=style, highlight=False, markup=False)


def _fitting(width: int) -> list[str]:
    """The columns of the live table that `width` has room for."""
    columns = list(_WIDTHS)
    for name in _LEAST_NEEDED:
        if sum(_WIDTHS[column] for column in columns) + 2 * (len(columns) - 1) > width:
            columns.remove(name)
    return columns


@contextlib.contextmanager
def observer(terminal: Terminal, steps_per_epoch: int) -> Iterator[Observer]:
    """The observer that fits where the output goes."""
    if terminal.json_wanted:
        yield JsonObserver(terminal, steps_per_epoch)
    elif not terminal.live:
        yield PlainObserver(terminal, steps_per_epoch)
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
            yield LiveObserver(terminal, steps_per_epoch, bars)


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
    terminal.heading("losses")
    terminal.table(
        ("epoch", "generator loss", "discriminator loss", "D(x)", "D(G(z))"),
        [
            (
                _label(row, steps_per_epoch),
                *(f"{row[name]:.3f}" for name in ("g_loss", "d_loss", "d_real", "d_fake")),
            )
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
        f"{history[-1]['images']:,} images seen; {duration(seconds)} in all"
        + (f" since step {since_step}." if since_step else ".")
    )
    measured = [
        row
        for row in history
        # best.pt is chosen among whole epochs, and this says which one it is
        if row["frechet_distance"] is not None and is_whole(row, steps_per_epoch)
    ]
    if measured:
        best = min(measured, key=lambda row: row["frechet_distance"])
        terminal.result(
            f"Its samples were nearest to real images after epoch {best['epoch']}: Frechet "
            f"distance {best['frechet_distance']:.2f} on {config.eval_samples:,} of them."
        )
