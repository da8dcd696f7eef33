"""The display of a training run that fits the output, and the final summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganctl.cli.displays import JsonLines, PlainLines, Warnings
from ganctl.cli.terminal import Terminal
from ganctl.history import COLUMNS, STEP_METRICS, best, epoch_label, is_complete, quality_metric
from ganctl.text import counted, duration

if TYPE_CHECKING:
    from ganctl.config.schema import TrainConfig
    from ganctl.history import Row

_JUDGES = {
    "bce": "takes a generated image for real",
    "relativistic": "takes a generated image for the more real one of a pair",
}
"""The event whose probability D(G(z)) is, by loss."""


def display(terminal: Terminal, *, preview: bool) -> Warnings:
    """Return the display that fits the output; `preview` is for the live screen."""
    if terminal.json_wanted:
        return JsonLines(terminal)
    if terminal.quiet:
        return Warnings(terminal)
    if not terminal.is_live:
        return PlainLines(terminal)
    from ganctl.cli.live.display import LiveScreen

    return LiveScreen(terminal, preview=preview)


def summary_epochs(count: int) -> list[int]:
    """Return the first epoch, those at 40, 60 and 80 %, and the last: of 50, 1 20 30 40 50."""
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
    """Show some epochs' metrics, how often the discriminator is fooled, times, and the best epoch.

    `seconds` is the total time of this session, which began at `since_step`.
    """
    columns = [COLUMNS[name] for name in STEP_METRICS]
    heading = "losses"
    quality = quality_metric(history)
    if best(history):
        columns.append(quality)
        heading += f"; {quality.label} of {counted(config.eval_samples, 'sample')}"
    terminal.heading(heading)
    rows = [
        [epoch_label(row, steps_per_epoch), *(column.text(row[column.name]) for column in columns)]
        for row in (history[epoch - 1] for epoch in summary_epochs(len(history)))
    ]
    terminal.table(("epoch", *(column.short for column in columns)), rows, left=0)
    last = history[-1]
    terminal.result(
        f"Mean D(G(z)) in the last epoch: {last['d_fake']:.2f}, the probability that the "
        f"discriminator {_JUDGES[config.loss]} (0.50 = it cannot tell)."
    )
    trained = f"{duration(last['elapsed_seconds'])} of training"
    images = counted(last["images"], "image")
    terminal.result(
        f"{trained} over the whole run, {images}; this session, from step {since_step:,} on, took "
        f"{duration(seconds)}."
        if since_step
        else f"{trained}, {images}; {duration(seconds)} in all."
    )
    # best.pt is chosen among complete epochs, and this says which one it is.
    if kept := best([row for row in history if is_complete(row, steps_per_epoch)]):
        terminal.result(
            f"Best epoch: {kept['epoch']} ({quality.label} {quality.text(kept[quality.name])}, "
            f"{counted(config.eval_samples, 'sample')})."
        )
