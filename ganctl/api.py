"""`ganctl.train`: a training from Python, the one that the command runs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ganctl.config import presets, schema
from ganctl.config.presets import TUNABLE
from ganctl.config.sources import parse
from ganctl.datasets import loading
from ganctl.errors import GanctlWarning
from ganctl.history import Row, Sign
from ganctl.images import Pixels
from ganctl.model import Model, load
from ganctl.training import session as sessions
from ganctl.training.observer import Progress

_LOGGER = logging.getLogger("ganctl")
_SAVE_EVERY = 120.0
"""Seconds: what a crash can cost."""


def train(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    device: str = "auto",
    resume: bool = False,
    on_epoch: Callable[[Row], None] | None = None,
    **settings: Any,
) -> Model:
    """Train a generator and return it: what `ganctl train` does, and into the same run directory.

    `data` is a name or a path of images; without, MNIST. `out` is the run's folder,
    runs/DATA-PRESET unless given. `settings` are those that `ganctl config` shows, by their names.
    `on_epoch` is told each epoch's row, as it stands in losses.csv. What the command would tell of
    the images is logged by the logger `ganctl` at level INFO; what goes wrong is a `GanctlWarning`.
    Prints nothing, leaves torch's number of threads and random state as they were, and leaves
    signals alone: after a KeyboardInterrupt the state that was saved last is
    whole, and `resume` goes on from there; of `settings`, only the run's length may then be
    another. Raises a GanctlError.

    >>> losses = []
    >>> model = train(out="runs/short", limit=32, batch_size=16, epochs=1, eval_samples=0,
    ...               base_channels=4, device="cpu", on_epoch=losses.append)
    >>> model.step, len(losses)
    (2, 1)
    """
    changes = {name: parse(name, value) for name, value in settings.items()}
    if data is not None:
        changes["data"] = loading.resolve(str(data))
    config = schema.override(presets.preset(preset or presets.DEFAULT_PRESET), changes)
    folder = Path(out or Path("runs") / f"{loading.stem(config.data)}-{config.preset}")
    with _host_restored():
        if resume:
            explicit = {**changes, **({"preset": preset} if preset else {})}
            session = sessions.resume(folder, explicit, device)
        else:
            session = sessions.new(
                config, folder, device,
                needs_classes=changes.get("conditional") is True,
                tunable=TUNABLE.difference(changes),
            )  # fmt: skip
        for notice in session.notices:
            _LOGGER.info("%s", notice)
        for warning in session.warnings:
            warnings.warn(warning, GanctlWarning, stacklevel=2)
        watcher = _Watcher(on_epoch)
        if session.state.step >= session.total_steps:
            session.conclude(watcher)
        else:
            session.train(
                watcher, command="ganctl.train()", save_every=_SAVE_EVERY, should_stop=lambda: False
            )
    return load(folder)


@contextlib.contextmanager
def _host_restored() -> Iterator[None]:
    """Put back torch's number of threads and its random state, which are the host program's."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):  # on a GPU only generators of our own draw
            yield
    finally:
        torch.set_num_threads(threads)


class _Watcher:
    """Tells of epochs, and warns of what goes wrong."""

    wants_samples = False

    def __init__(self, on_epoch: Callable[[Row], None] | None) -> None:
        self._on_epoch = on_epoch

    def on_step(self, progress: Progress) -> None: ...

    def on_samples(self, pixels: Pixels, step: int) -> None: ...

    def on_epoch(self, row: Row) -> None:
        if self._on_epoch is not None:
            self._on_epoch(row)

    def on_sign(self, row: Row, sign: Sign) -> None:
        message = f"in epoch {row['epoch']} {sign.meaning}. {sign.advice}"
        warnings.warn(message, GanctlWarning, stacklevel=2)

    def on_problem(self, problem: str) -> None:
        message = f"{problem}; the training goes on without"
        warnings.warn(message, GanctlWarning, stacklevel=2)
