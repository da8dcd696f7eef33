"""Training on the command line: the display while it runs, and the summary at the end."""

from __future__ import annotations

import math
import time
from typing import Any

from ganctl import devices
from ganctl.cli.displays import Warnings
from ganctl.cli.option_names import pasteable
from ganctl.cli.signals import StopSignals
from ganctl.cli.terminal import Terminal
from ganctl.cli.watch import display, show_summary
from ganctl.errors import StoppedError
from ganctl.history import Row, with_state
from ganctl.text import counted, counted_images
from ganctl.tracking.trackers import trackers_of
from ganctl.training.session import Session

_STOPPED_BY_ANOTHER = 143
"""The exit code of a process that stops because another one got a signal."""


def run(
    session: Session,
    terminal: Terminal,
    *,
    trackers: list[str] | None,
    preview: bool,
    **how: Any,
) -> StoppedError | None:
    """Train as `Session.train` does and show the progress; return what stopped it, if anything."""
    if session.is_complete:
        _conclude(session, terminal)
        return None
    config, folder = session.config, session.run.path
    again = f"To resume: ganctl train --resume --out {pasteable(folder)}"
    first_step, started = session.state.step, time.monotonic()
    images = counted_images(len(session.dataset), session.dataset.num_held_out)
    device = devices.describe(session.state.device, session.num_threads)
    terminal.note(
        f"Training '{config.preset}' on {config.data} ({images}), "
        f"{counted(session.total_steps, 'step')} of {config.batch_size}"
        f"{f', from step {first_step:,} on' if first_step else ''}; "
        f"{device}, {config.precision}; into {folder}"
    )
    is_resumed = session.resumed_from is not None
    tracked = trackers_of(folder, trackers, resumed=is_resumed, announce=terminal.note)
    shown = display(terminal, preview=preview)
    try:
        with StopSignals(interrupts=session.group.size == 1) as stop:
            outcome = session.train([*tracked, shown], should_stop=stop, **how)
    except KeyboardInterrupt:
        hint = f"The last checkpoint is intact. {again}"
        raise StoppedError("stopped immediately", hint, exit_code=130) from None
    stopped = None
    if not outcome.finished:
        code = stop.exit_code or _STOPPED_BY_ANOTHER
        stopped = StoppedError(f"stopped and saved at step {session.state.step:,}", again, code)
    if not session.group.is_first:
        return stopped
    if terminal.json_wanted:
        _print_end(session, outcome.history, terminal)
    elif outcome.finished:
        show_summary(
            outcome.history, session.config, terminal, steps_per_epoch=session.steps_per_epoch,
            seconds=time.monotonic() - started, since_step=first_step,
        )  # fmt: skip
        _show_files(session, terminal)
    return stopped


def _conclude(session: Session, terminal: Terminal) -> None:
    """Show that there is nothing left to train, and write files that may be missing."""
    step = session.state.step
    terminal.note(
        f"The run in {session.run.path} is complete: step {step} of {session.total_steps}. To "
        f"train further, give for example --epochs {2 * math.ceil(step / session.steps_per_epoch)}."
    )
    if session.group.is_first:
        outcome = session.conclude(Warnings(terminal))
        if terminal.json_wanted:
            _print_end(session, outcome.history, terminal)


def _print_end(session: Session, history: list[Row], terminal: Terminal) -> None:
    last = with_state(history[-1], session.steps_per_epoch) if history else None
    terminal.document({
        "event": "end", "finished": session.is_complete, "out": str(session.run.path),
        "step": session.state.step, "total_steps": session.total_steps, "last": last,
    })  # fmt: skip


def _show_files(session: Session, terminal: Terminal) -> None:
    run, quoted = session.run, pasteable(session.run.path)
    files = {
        "samples of each epoch": run.path / "samples",
        "animation of them": run.animation,
        "plot of the losses": run.losses_plot,
        "table of metrics": run.losses_table,
        "latest checkpoint": run.latest,
        "best checkpoint": run.best,
    }
    terminal.heading("files")
    rows = [(name, str(path)) for name, path in files.items() if path.exists()]
    terminal.table(("", ""), rows, left=2)
    terminal.heading("next")
    terminal.result(f"  ganctl sample {quoted} -n 100 -o grid.png")
    terminal.result(f"  ganctl interpolate {quoted} --loop -o walk.gif")
    terminal.result(f"  ganctl inspect {quoted}")
    terminal.result(f"  ganctl evaluate {quoted}")
