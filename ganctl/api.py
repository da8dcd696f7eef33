"""`ganctl.train`: training from Python, with the same result as the command."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ganctl import tracking
from ganctl.config.sources import merge, parse, require_one_beginning
from ganctl.datasets import loading
from ganctl.errors import GanctlWarning, Text
from ganctl.model import Model, load
from ganctl.tracking.trackers import trackers_of
from ganctl.training import origin as origins
from ganctl.training import session as sessions
from ganctl.training.callback import Callback

_LOGGER = logging.getLogger("ganctl")


def train(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    device: str = "auto",
    resume: bool = False,
    init_from: str | Path | None = None,
    track: Sequence[str] | None = None,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Model:
    """Train a generator as `ganctl train` does, into a run directory, and return it.

    `data` is the name of a dataset or a path of images (MNIST if left out), `out` the run's folder
    (if left out, runs/DATA-PRESET, or runs/DATA where the images decide on the preset). `init_from`
    is a checkpoint whose weights a new run begins with; its preset, size and networks are taken
    over, too, but for what you choose. `settings` are those
    that `ganctl config` lists, by their names. `track` names trackers ("tensorboard", "wandb",
    "mlflow"; if left out, a resumed run keeps its own), and `callbacks` receive what happens in the
    run. Notices about the images go to the logger `ganctl` at level INFO; problems
    are `GanctlWarning`s. Prints nothing, restores torch's number of threads and random state, and
    handles no signals: after a KeyboardInterrupt, `resume` continues from the last checkpoint. With
    `resume`, `settings` can change only the run's length. Raises a GanctlError.

    >>> model = train(out="runs/short", limit=32, batch_size=16, epochs=1, eval_samples=0,
    ...               base_channels=4, device="cpu")
    >>> model.step
    2
    """
    tracking.require_known(track or ())
    changes = {name: parse(name, value) for name, value in settings.items()}
    if data is not None:
        changes["data"] = loading.resolve(str(data))
    require_one_beginning(resume, init_from)
    origin = None if init_from is None else origins.read(Path(init_from))
    preset = preset or (origin.preset if origin else None)
    config = merge(preset, changes).config
    is_chosen = preset is not None
    folder = Path(out or loading.default_run_folder(config, is_preset_chosen=is_chosen))
    with _host_restored():
        if resume:
            named = {"preset": preset} if preset else {}
            session = sessions.resume(folder, changes | named, device)
        else:
            how: Any = {"chosen": changes, "origin": origin, "is_preset_chosen": is_chosen}
            session = sessions.new(config, folder, device, **how)
        for notice in session.notices:
            _LOGGER.info("%s", notice)
        for warning in session.warnings:
            warnings.warn(warning, GanctlWarning, stacklevel=2)
        if session.is_complete:
            session.conclude(_Warner())
        else:
            trackers = trackers_of(folder, track, resumed=resume, announce=_LOGGER.info)
            session.train([*trackers, *callbacks, _Warner()], command="ganctl.train()")
    return load(folder)


@contextlib.contextmanager
def _host_restored() -> Iterator[None]:
    """Restore the host program's number of threads and random state of torch after this context."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):  # on a GPU only generators of our own draw
            yield
    finally:
        torch.set_num_threads(threads)


class _Warner(Callback):
    """A callback that turns problems into Python's warnings."""

    def on_warning(self, message: str | Text, hint: str | Text) -> None:
        warnings.warn(f"{message}. {hint}", GanctlWarning, stacklevel=2)
