"""Experiment trackers: TensorBoard, Weights & Biases and MLflow as callbacks of a run.

This module knows only their names, and loads neither torch nor a tracker.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganctl.errors import Setting, Text, UsageError
from ganctl.text import listed

NAMES = ("tensorboard", "wandb", "mlflow")
"""Names of the trackers, which are also those of the extras that install their libraries."""
NONE = "none"
"""The name that stands for no tracker."""


def require_known(names: Sequence[str]) -> None:
    """Raise UsageError unless each of `names` is that of a tracker, or NONE is the only one."""
    for name in names:
        if name not in (*NAMES, NONE):
            hint = Text("{} takes {}.", Setting("track"), listed([*NAMES, NONE]))
            raise UsageError(f"there is no tracker '{name[:40]}'", hint)
    if NONE in names and set(names) != {NONE}:
        raise UsageError(
            Text("{} excludes other trackers", Setting("track", NONE)),
            "Leave it out, or leave out the others.",
        )
