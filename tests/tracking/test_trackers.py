"""The trackers against their libraries, offline: what is logged, and a run that goes on."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import ganctl
from ganctl.errors import GanctlWarning, UsageError
from ganctl.history import COLUMNS
from ganctl.store import read_checkpoint
from ganctl.tracking import NAMES, base, require_known
from ganctl.tracking.base import Pace, Tracker
from ganctl.tracking.trackers import trackers_of
from ganctl.training.callback import Callbacks, Progress, Start

TINY = {"base_channels": 4, "batch_size": 16, "eval_samples": 0, "num_samples": 4,
        "precision": "fp32", "device": "cpu", "threads": 1}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Let every library work in the test's folder, and ask for nothing."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_DISABLE_CODE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def in_tensorboard(run):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    return {
        "epoch": {event.step: event.value for event in scalars["epoch/g_loss"]},
        "step": [event.step for event in scalars["step/d_loss"]],
        "pictures": [event.step for event in events.Images("samples")],
        "config": "| batch_size | `16` |" in str(events.Tensors("settings/text_summary")),
    }


def in_wandb(run):
    logs = sorted(run.parent.glob("wandb/offline-run-*/*.wandb"))
    run_id = json.loads((run / "trackers.json").read_text())["wandb"]
    assert [log.name for log in logs] == [f"run-{run_id}.wandb"] * 2
    return [log.read_bytes() for log in logs], sorted(
        run.parent.glob("wandb/offline-*/files/media/*/*")
    )


def in_mlflow(run):
    mlflow = pytest.importorskip("mlflow")
    run_id = json.loads((run / "trackers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    found = client.get_run(run_id)
    assert (found.info.run_name, found.info.status) == (run.name, "FINISHED")
    return {
        "epoch": {one.step: one.value for one in client.get_metric_history(run_id, "epoch/g_loss")},
        "step": [one.step for one in client.get_metric_history(run_id, "step/d_loss")],
        "pictures": sorted({
            int(file.path.split("+step+")[-1].split("%2B")[0].partition("+")[0])
            for file in client.list_artifacts(run_id, "images")
        }),
        "config": found.data.params["batch_size"] == "16",
    }  # fmt: skip


@pytest.mark.usefixtures("tiny_mnist")
def test_a_run_is_tracked_and_goes_on_in_the_same_place(tmp_path, monkeypatch):
    for name in NAMES:
        pytest.importorskip(name)
    monkeypatch.setattr(base, "_SHARE", 1e9)
    monkeypatch.setattr(base, "_MIN_SECONDS", 0.0)
    run, plain = tmp_path / "run", tmp_path / "plain"
    ganctl.train(out=run, track=NAMES, epochs=1, **TINY)
    ganctl.train(out=run, resume=True, epochs=2, device="cpu")  # tracked as before
    ganctl.train(out=plain, epochs=2, **TINY)
    tracked, untracked = read_checkpoint(run), read_checkpoint(plain)
    for name, tensor in tracked.discriminator.items():
        assert tensor.equal(untracked.discriminator[name])
    assert not (plain / "trackers.json").exists()

    losses = {row["step"]: row["g_loss"] for row in ganctl.inspect(run)["history"]}
    for found in (in_tensorboard(run), in_mlflow(run)):
        assert found["epoch"] == pytest.approx(losses)
        assert (found["step"][-1], found["pictures"], found["config"]) == (6, [3, 6], True)
    (first, second), pictures = in_wandb(run)
    for log in (first, second):
        for text in (b"epoch/g_loss", b"step/d_loss", b"trained_steps", b"batch_size", b"samples"):
            assert text in log
    assert len(pictures) == 2


def start_of(folder, **changes):
    values = {"folder": folder, "settings": {"batch_size": 16}, "command": "ganctl train",
              "data": {"num_images": 48, "digest": "f00"}, "resumed": False, "step": 0,
              "total_steps": 6, "steps_per_epoch": 3, "history": [], "quality": ""}  # fmt: skip
    return Start(**{**values, **changes})


class Listing(Tracker):
    """A tracker that lists what it gets, and fails in one of its methods."""

    name = "listing"

    def __init__(self, failing=""):
        super().__init__(lambda line: self.logged.append(line))
        self.failing, self.logged = failing, []

    def _log(self, what, *values):
        if what == self.failing:
            raise ConnectionError(f"no {what}")
        self.logged.append((what, *values))

    def open(self, start, run_id):
        print("not for stdout")
        self._log("open", run_id)
        return "an-id", "here"

    def log_scalars(self, values, step):
        self._log("log_scalars", values, step)

    def log_picture(self, picture, step):
        self._log("log_picture", picture.shape, step)

    def close(self, end):
        self._log("close")


def row_of(epoch, **changes):
    values = {"epoch": epoch, "step": 3 * epoch, "g_loss": 0.5, "recall": None}
    return {**dict.fromkeys(COLUMNS), **values, **changes}


@pytest.mark.usefixtures("tiny_mnist")
def test_a_tracker_that_fails_never_ends_a_run(tmp_path):
    places = ("open", "log_scalars", "log_picture", "close")
    trackers = [Listing(place) for place in places]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = ganctl.train(out=tmp_path / "run", callbacks=trackers, epochs=2, **TINY)
    assert model.step == 6
    texts = [str(one.message) for one in warned if one.category is GanctlWarning]
    for place in places:
        (text,) = [text for text in texts if f"ConnectionError: no {place}." in text]
        assert text.endswith(". Training continues without it.")
    for tracker in trackers[:3]:
        assert tracker.logged[-1] == ("close",)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name):
    package = "torch.utils.tensorboard" if name == "tensorboard" else name
    monkeypatch.setitem(sys.modules, package, None)
    (tracker,) = trackers_of(tmp_path, [name, name], resumed=False, announce=print)
    other = Listing()
    other.on_warning = lambda *texts: other.logged.append(texts)
    Callbacks([tracker, other]).on_start(start_of(tmp_path))
    (message, hint) = other.logged[0]
    assert f"track='{name}' needs {name}, which is not installed" in str(message)
    assert str(hint).endswith(f"pip install 'ganctl[{name}]'")


def test_without_an_api_key_wandb_asks_for_none(tmp_path, monkeypatch):
    settings = SimpleNamespace(mode="online")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(
        setup=lambda: SimpleNamespace(settings=settings), login=lambda prompt: False,
    ))  # fmt: skip
    (tracker,) = trackers_of(tmp_path, ["wandb"], resumed=False, announce=print)
    with pytest.raises(ganctl.GanctlError, match="has no API key") as caught:
        tracker.on_start(start_of(tmp_path))
    assert "WANDB_MODE=offline" in caught.value.hint


def test_what_is_logged_and_when(tmp_path, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: now[0]))
    tracker = Listing()
    tracker.on_start(start_of(tmp_path))
    assert capsys.readouterr().out == ""
    for step, seconds, loss in ((1, 0.0, 1.0), (2, 0.5, 2.0), (5, 0.6, 4.0)):
        now[0] += seconds
        tracker.on_step(Progress(step, 6, 1, 2, step, 3, 10.0, {"g_loss": loss}))
    tracker.on_epoch(row_of(1), np.zeros((4, 28, 28, 4), np.uint8))
    tracker.on_epoch(row_of(2, step=5), None)  # stopped inside the epoch
    assert tracker.logged == [
        ("open", None),
        "Tracked by listing: here",
        ("log_scalars", {"step/g_loss": 1.0, "step/images_per_sec": 10.0}, 1),
        ("log_scalars", {"step/g_loss": 3.5, "step/images_per_sec": 10.0}, 5),  # (1*2 + 3*4) / 4
        ("log_scalars", {"epoch/g_loss": 0.5}, 3),
        ("log_picture", (56, 56, 3), 3),
    ]
    # A resumed run goes on, or logs the epochs before it if it was not tracked.
    again, new = Listing(), Listing()
    again.on_start(start_of(tmp_path, resumed=True, step=3, history=[row_of(1)]))
    assert again.logged == [("open", "an-id"), "Tracked by listing: here"]
    (tmp_path / "trackers.json").write_text("[]")
    new.on_start(start_of(tmp_path, resumed=True, step=3, history=[row_of(1)]))
    assert new.logged[:2] == [("open", None), ("log_scalars", {"epoch/g_loss": 0.5}, 3)]


def test_slow_logs_are_rare(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace(1.0)
    assert pace.is_due
    with pace.timed():
        now[0] += 0.1
    now[0] = 50.0
    assert not pace.is_due
    now[0] = 50.2
    assert pace.is_due


def test_trackers_of_a_run(tmp_path):
    ids = {"mlflow": "1-a_B.c", "wandb": 2, "tensorboard": "../x", "no such": "x"}
    (tmp_path / "trackers.json").write_text(json.dumps(ids))

    def names(given, resumed):
        return [each.name for each in trackers_of(tmp_path, given, resumed=resumed, announce=print)]

    assert names(None, True) == ["mlflow"]
    assert names(None, False) == names(["none"], True) == []
    assert names(["wandb", "tensorboard"], True) == ["wandb", "tensorboard"]


@pytest.mark.usefixtures("tiny_mnist")
def test_the_callback_of_the_page(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "trackers.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    assert "train(epochs=2, " in code
    exec(code.replace("train(epochs=2, ", "train(out='run', epochs=2, **TINY, "), {"TINY": TINY})
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_names_that_are_not_known_are_refused():
    for names, message in (
        (["wandb", "wandv"], "there is no tracker 'wandv'"),
        (["none", "wandb"], "track='none' excludes other trackers"),
    ):
        with pytest.raises(UsageError, match=message):
            require_known(names)
    require_known([*NAMES, "wandb"])
    require_known(["none"])
