"""The trackers of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ganctl.store import RunDirectory
from ganctl.tracking.base import Tracker
from ganctl.tracking.mlflow import MLflow
from ganctl.tracking.tensorboard import TensorBoard
from ganctl.tracking.wandb import WandB

_KINDS = {kind.name: kind for kind in (TensorBoard, WandB, MLflow)}


def trackers_of(
    folder: Path, names: Sequence[str] | None, *, resumed: bool, announce: Callable[[str], None]
) -> list[Tracker]:
    """Return the trackers of the run in `folder`; each imports its library when the run starts.

    If `names` is None, a resumed run keeps the trackers it had. `announce` gets a line on where
    each one can be looked at.
    """
    if names is None:
        names = [*RunDirectory(folder).read_trackers()] if resumed else []
    return [_KINDS[name](announce) for name in dict.fromkeys(names) if name in _KINDS]
