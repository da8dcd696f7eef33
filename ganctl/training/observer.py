"""The interface through which a training run reports its progress and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganctl.history import Row, Sign
from ganctl.images import Pixels


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
    """Mean of each of STEP_METRICS over the steps since the last report."""


class Observer:
    """A receiver of the reports of a run; this one ignores them all."""

    wants_samples = False
    """Whether samples are also drawn now and then inside an epoch."""

    def on_step(self, progress: Progress) -> None:
        """Receive the progress after a step."""

    def on_samples(self, pixels: Pixels, step: int) -> None:
        """Receive the fixed samples after `step`, uint8 (N, H, W, C)."""

    def on_epoch(self, row: Row) -> None:
        """Receive the row of an epoch, incomplete if the run ended inside it."""

    def on_sign(self, row: Row, sign: Sign) -> None:
        """Receive a sign of trouble that no earlier epoch had."""

    def on_problem(self, problem: str) -> None:
        """Receive a failure that the run can continue without."""
