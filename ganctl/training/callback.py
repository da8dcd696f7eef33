"""The interface through which a training run reports what happens in it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganctl.errors import GanctlError, Text
from ganctl.history import Row
from ganctl.images import Pixels

CONTINUES = "Training continues without it."
_MAX_REASON = 300
_LOGGER = logging.getLogger("ganctl")


@dataclass(frozen=True)
class Start:
    """A training run that starts or is resumed."""

    folder: Path
    """The run directory."""
    settings: Mapping[str, Any]
    """Every setting's value by its name."""
    data: Mapping[str, Any]
    """The images, as a checkpoint describes them: name, num_images, image_shape, classes, ..."""
    command: str
    resumed: bool
    step: int
    """Number of steps that were done before."""
    total_steps: int
    steps_per_epoch: int
    history: Sequence[Row]
    """The rows of earlier epochs."""
    quality: str
    """Name of the metric by which the best epoch is chosen."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run after a step."""

    step: int
    total_steps: int
    epoch: int
    """Number of the current epoch, counted from 1."""
    epochs: int
    step_in_epoch: int
    steps_per_epoch: int
    images_per_sec: float
    recent: Mapping[str, float]
    """Mean of g_loss, d_loss, d_real and d_fake over the steps since the last report."""


@dataclass(frozen=True)
class End:
    """The end of a training session."""

    step: int
    """Number of steps that are done."""
    finished: bool
    """Whether the run reached its planned length."""
    error: BaseException | None
    """The error that ended it; None if it is finished or was stopped and saved."""


class Callback:
    """A receiver of what happens in a training run. This one ignores everything: derive from it.

    A run calls its callbacks one after another in the thread that trains, so their time is the
    run's. One that raises an Exception is turned off with a warning, and training continues. Among
    several processes, only the first one has callbacks.
    """

    wants_samples: bool = False
    """Whether samples are also drawn now and then inside an epoch, for `on_samples`."""

    def on_start(self, start: Start) -> None:
        """Receive the run before its first step."""

    def on_step(self, progress: Progress) -> None:
        """Receive the progress after a step: every 0.1 seconds or, on a GPU, every 50 steps."""

    def on_samples(self, pixels: Pixels, step: int) -> None:
        """Receive the fixed samples after `step` as soon as they are drawn, uint8 (N, H, W, C)."""

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        """Receive the row of an epoch, as in losses.csv, and its samples, uint8 (N, H, W, C).

        If the run was stopped inside the epoch, the row covers the steps so far, and there are no
        samples. There are none either if there was no memory for them.
        """

    def on_save(self, path: Path, step: int) -> None:
        """Receive the path of the checkpoint that was just saved after `step`."""

    def on_warning(self, message: str | Text, hint: str | Text) -> None:
        """Receive a problem that does not end the run, and what to do about it."""

    def on_end(self, end: End) -> None:
        """Receive the end of the run, whatever ended it."""


class Callbacks(Callback):
    """Several callbacks as one, which never fails.

    One that raises an Exception is turned off: the others, and it too, are warned, its `on_end` is
    called, and nothing after that. The logger `ganctl` has the traceback, at level DEBUG.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._active = list(callbacks)
        self._step = 0

    @property
    def wants_samples(self) -> bool:  # type: ignore[override]
        return any(callback.wants_samples for callback in self._active)

    def on_start(self, start: Start) -> None:
        self._step = start.step
        self._call("on_start", start)

    def on_step(self, progress: Progress) -> None:
        self._step = progress.step
        self._call("on_step", progress)

    def on_samples(self, pixels: Pixels, step: int) -> None:
        self._call("on_samples", pixels, step)

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        self._call("on_epoch", row, samples)

    def on_save(self, path: Path, step: int) -> None:
        self._call("on_save", path, step)

    def on_warning(self, message: str | Text, hint: str | Text) -> None:
        self._call("on_warning", message, hint)

    def on_end(self, end: End) -> None:
        self._call("on_end", end)

    def _call(self, event: str, *values: Any) -> None:
        for callback in [*self._active]:
            try:
                getattr(callback, event)(*values)
            except Warning:  # Python was asked to make warnings errors
                raise
            except Exception as error:
                _LOGGER.debug("%s failed in %s", type(callback).__name__, event, exc_info=True)
                self._turn_off(callback, event, error)

    def _turn_off(self, callback: Callback, event: str, error: Exception) -> None:
        if callback in self._active:
            self._active.remove(callback)
        reason, hint = _reason(error, event), None
        if isinstance(error, GanctlError):
            reason, hint = error.message, error.hint
        message = Text("{} is turned off: {}", type(callback).__name__, reason)
        hint = Text("{} {}", CONTINUES, hint) if hint else CONTINUES
        self.on_warning(message, hint)
        with contextlib.suppress(Exception):  # a display shows even why it was turned off
            callback.on_warning(message, hint)
        with contextlib.suppress(Exception):
            if event != "on_end":
                callback.on_end(End(self._step, False, error))


def _reason(error: Exception, event: str) -> str | Text:
    text = " ".join(str(error).split())[:_MAX_REASON]
    return f"{event} raised {type(error).__name__}{f': {text}' if text else ''}"
