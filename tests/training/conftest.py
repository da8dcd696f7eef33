"""Training on the tiny data, without drawing plots."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganctl import plots
from ganctl.checkpoint import Checkpoint
from ganctl.errors import Text
from ganctl.history import Row
from ganctl.images import Pixels
from ganctl.store import read_checkpoint
from ganctl.training import session
from ganctl.training.callback import Callback, End, Progress, Start
from ganctl.training.loop import Outcome
from ganctl.training.session import Session

TIMES = {"seconds", "elapsed_seconds", "images_per_sec"}


class Recorder(Callback):
    """A callback that remembers everything, and asks to stop after step `stop_after`."""

    def __init__(self, stop_after: int | None = None, *, wants_samples: bool = False) -> None:
        self.stop_after = stop_after
        self.wants_samples = wants_samples
        self.steps: list[Progress] = []
        self.samples: list[tuple[int, Pixels]] = []
        self.rows: list[Row] = []
        self.epoch_samples: list[Pixels | None] = []
        self.warnings: list[str] = []
        self.saves: list[tuple[Path, int]] = []
        self.starts: list[Start] = []
        self.ends: list[End] = []

    def on_start(self, start: Start) -> None:
        self.starts.append(start)

    def on_step(self, progress: Progress) -> None:
        self.steps.append(progress)

    def on_samples(self, pixels: Pixels, step: int) -> None:
        self.samples.append((step, pixels))

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        self.rows.append(row)
        self.epoch_samples.append(samples)

    def on_save(self, path: Path, step: int) -> None:
        self.saves.append((path, step))

    def on_warning(self, message: str | Text, hint: str | Text) -> None:
        self.warnings.append(str(message))

    def on_end(self, end: End) -> None:
        self.ends.append(end)

    def should_stop(self) -> bool:
        return bool(self.steps) and self.steps[-1].step == self.stop_after


@pytest.fixture(autouse=True)
def quick(tiny_mnist, monkeypatch):
    """Use tiny data instead of MNIST, and no plots: these take longer than tiny runs."""
    monkeypatch.setattr(plots, "losses_png", lambda history, title: b"a plot")


@pytest.fixture(scope="session")
def train():
    """Return a function that trains a session and returns its outcome and recorder."""

    def go(
        ready: Session, recorder: Recorder | None = None, *, save_every: float = 1e9
    ) -> tuple[Outcome, Recorder]:
        recorder = recorder or Recorder()
        outcome = ready.train(
            [recorder], command="test", save_every=save_every, should_stop=recorder.should_stop
        )
        return outcome, recorder

    return go


@pytest.fixture(scope="session")
def train_with_stops(train):
    """Return a function that trains a new run, stopped after each of `stops` and resumed."""

    def go(config, out, stops=(), changes=None) -> Checkpoint:
        ready = session.new(config, out, "cpu")
        for stop in stops:
            outcome, _ = train(ready, Recorder(stop))
            assert not outcome.finished
            assert read_checkpoint(out).step == stop
            ready = session.resume(out, {}, "cpu")
        if changes:
            train(ready)
            ready = session.resume(out, changes, "cpu")
        assert train(ready)[0].finished
        return read_checkpoint(out)

    return go


@pytest.fixture(scope="session")
def without_times():
    """Return a function that removes times from rows of the history or of losses.csv."""

    def strip(rows):
        return [{key: row[key] for key in row if key not in TIMES} for row in rows]

    return strip


@pytest.fixture
def recorder():
    """Return the class Recorder."""
    return Recorder


@pytest.fixture
def finished(tmp_path, tiny_config, train):
    """A run of 4 steps: an epoch of 3 and the first step of the next."""
    ready = session.new(tiny_config(steps=4), tmp_path / "run", "cpu")
    outcome, recorder = train(ready)
    return ready, outcome, recorder
