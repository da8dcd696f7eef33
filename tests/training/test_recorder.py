"""The files that a run writes, and the metrics of its samples."""

import csv
import json

import pytest
import torch

from ganctl import features, history, images
from ganctl.errors import DataError, RunError
from ganctl.history import QUALITY_METRICS
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import pictures, readback, session
from ganctl.training.state import restore


def test_history_counts_steps_and_images_and_times_add_up(finished):
    rows = finished[1].history
    assert finished[1].finished
    assert [(row["epoch"], row["step"], row["images"]) for row in rows] == [(1, 3, 40), (2, 4, 56)]
    total = sum(row["seconds"] for row in rows)
    assert rows[-1]["elapsed_seconds"] == pytest.approx(total, abs=0.002)
    assert all(0 < row["d_real"] < 1 and 0 < row["d_fake"] < 1 for row in rows)


def test_an_unfinished_epoch_is_shown_but_is_not_history(finished):
    ready, outcome, _ = finished
    saved = read_checkpoint(ready.run.path)
    assert saved.history == outcome.history[:1]
    assert (saved.step, saved.partial["steps"], saved.partial["images"]) == (4, 1, 16)
    assert [path.name for path in ready.run.samples()] == ["epoch-0001.png", "epoch-0002.png"]


def test_losses_csv_is_the_history(finished):
    ready, outcome, _ = finished
    with (ready.run.path / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("signs") for row in rows] == ["", ""]
    assert [
        {name: float(value) if value else None for name, value in row.items()} for row in rows
    ] == outcome.history


def test_a_resumed_run_removes_rows_past_its_checkpoint(tmp_path, tiny_config, train, recorder):
    def rows():
        with (tmp_path / "run" / "losses.csv").open(newline="") as file:
            return [row["step"] for row in csv.DictReader(file)]

    train(session.new(tiny_config(), tmp_path / "run", "cpu"), recorder(5))
    assert rows() == ["3", "5"]  # of the unfinished epoch, too
    looking, found = recorder(), []
    looking.on_step = lambda _: found.append(rows())
    train(session.resume(tmp_path / "run", {}, "cpu"), looking)
    assert found == [["3"]]
    assert rows() == ["3", "6"]


def test_a_run_directory_has_the_documented_files(finished):
    run = finished[0].run
    names = {path.name for path in run.path.iterdir()} - {".lock"}
    assert names == {
        "config.json", "losses.csv", "losses.png", "samples", "ckpt.pt", "training.gif"
    }  # fmt: skip
    written = json.loads((run.path / "config.json").read_text())
    assert written["config"]["steps"] == 4
    assert written["data"]["num_images"] == 40
    assert [start["from_step"] for start in written["starts"]] == [0]


def test_saved_samples_are_those_of_the_checkpoint(finished):
    ready = finished[0]
    saved = read_checkpoint(ready.run.path)
    sampler = restore(saved, saved.config, torch.device("cpu")).sampler
    chunks = sample_seeds(sampler, range(4), saved.config.network)
    expected = images.enlarge(images.grid(images.concatenate(chunks)), 3)
    with ready.run.sample(2).open("rb") as file:
        assert (images.read_png(file, expected.shape) == expected).all()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"snapshot_every": 1, "keep": 2}, [3, 4]),
        ({"snapshot_every": 2, "keep": 5}, [2, 4]),
        ({"snapshot_every": 3, "keep": 5}, [3]),
        ({"snapshot_every": 0, "keep": 5}, []),
        ({"snapshot_every": 1, "keep": 0}, []),
    ],
)
def test_snapshots_are_kept_as_configured(tmp_path, tiny_config, train, changes, kept):
    ready = session.new(tiny_config(epochs=4, limit=16, **changes), tmp_path / "run", "cpu")
    train(ready)
    assert ready.run.snapshots() == [ready.run.snapshot(epoch) for epoch in kept]
    assert [read_checkpoint(path).step for path in ready.run.snapshots()] == kept


def test_the_best_is_the_first_with_the_lowest_distance(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    distances = iter([None, 3.0, 2.0, None, 2.5, 2.0])
    kept = []

    class Told:
        def __init__(self, *_, **__):
            pass

        def measure(self, samples):
            assert sum(map(len, samples)) == 10
            return {"frechet_distance": next(distances)}

    monkeypatch.setattr(session, "EpochEvaluator", Told)
    run = RunDirectory(tmp_path / "run")
    monkeypatch.setattr(
        recorder,
        "on_epoch",
        lambda *_: kept.append(run.best.exists() and read_checkpoint(run.best).step),
    )
    train(session.new(tiny_config(epochs=6, eval_samples=10), run.path, "cpu"))
    assert kept == [False, 6, 9, 9, 9, 9]


def test_patches_are_compared_without_a_suitable_feature_network(
    tmp_path, tiny_config, train, monkeypatch
):
    monkeypatch.setattr(features, "automatic", lambda *_: "none")
    ready = session.new(tiny_config(epochs=1, eval_samples=10), tmp_path / "run", "cpu")
    assert ready.quality == "patch_distance"
    outcome, _ = train(ready)
    measured = [name for name in QUALITY_METRICS if outcome.history[0][name] is not None]
    assert measured == ["patch_distance"]
    assert RunDirectory(tmp_path / "run").best.exists()


def test_samples_are_measured_every_few_epochs_and_at_the_end(tmp_path, tiny_config, train):
    config = tiny_config(steps=11, eval_samples=10, eval_every=2)  # three steps an epoch
    outcome, _ = train(session.new(config, tmp_path / "run", "cpu"))
    measured = [row["epoch"] for row in outcome.history if row["frechet_distance"] is not None]
    assert measured == [2, 4]
    assert all(row["diversity"] is not None for row in outcome.history)


def test_training_continues_without_weights_of_the_feature_network(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def damaged(*_):
        raise DataError("the weights are damaged")

    monkeypatch.setattr(features, "load", damaged)
    ready = session.new(tiny_config(epochs=2, eval_samples=10), tmp_path / "run", "cpu")
    outcome, watched = train(ready)
    assert outcome.finished
    assert watched.warnings == ["samples are not measured: the weights are damaged"]
    assert all(row["frechet_distance"] is None for row in outcome.history)


def test_training_continues_without_memory_for_samples(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def too_much(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("ganctl.training.pictures.Pictures.draw_samples", too_much)
    watching = recorder()
    outcome, _ = train(session.new(tiny_config(epochs=2), tmp_path / "run", "cpu"), watching)
    assert outcome.finished
    assert watching.warnings == [f"out of memory for the samples of epoch {n}" for n in (1, 2)]
    assert [row["diversity"] for row in outcome.history] == [None, None]


def test_training_continues_without_memory_for_previews(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def too_much(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    monkeypatch.setattr(pictures.Pictures, "preview_if_due", too_much)
    watching = recorder(wants_samples=True)
    outcome, _ = train(session.new(tiny_config(), tmp_path / "run", "cpu"), watching)
    assert (outcome.finished, watching.warnings) == (True, [])


def test_signs_of_an_unfinished_epoch_are_reported(tmp_path, tiny_config, train, recorder,
                                                        monkeypatch):  # fmt: skip
    sign = history.Sign("wrong", "all is", "nothing helps")
    monkeypatch.setattr(history, "signs", lambda row: [sign])
    watching = recorder()
    train(session.new(tiny_config(steps=2), tmp_path / "run", "cpu"), watching)
    assert watching.warnings == ["in epoch 1 all is"]


def test_a_stopped_run_reports_a_table_that_cannot_be_written(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def full(*_):
        raise RunError("losses.csv cannot be written: no space left on device")

    monkeypatch.setattr(RunDirectory, "write_losses", full)
    watching = recorder(2)
    outcome, _ = train(session.new(tiny_config(), tmp_path / "run", "cpu"), watching)
    assert not outcome.finished
    assert read_checkpoint(tmp_path / "run").step == 2
    assert watching.warnings == ["losses.csv cannot be written: no space left on device"]
