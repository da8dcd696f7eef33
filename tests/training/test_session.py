"""Errors before anything is written, and the notices and warnings of a resumed run."""

import dataclasses
import errno
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl import checkpoint
from ganctl.checkpoint import encode
from ganctl.config import resolve, schema
from ganctl.config.schema import SETTINGS
from ganctl.datasets import mnist
from ganctl.distributed.group import Group
from ganctl.errors import (
    CheckpointError,
    DataError,
    DeviceError,
    RunError,
    UnreadableError,
    UsageError,
)
from ganctl.files import write_atomic
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import session

EVERYTHING = {*SETTINGS}
ALL_BUT_BATCH = EVERYTHING - {"batch_size", "conditional"}


@pytest.fixture
def stopped(tmp_path, tiny_config, train, recorder):
    """A run stopped after 4 of its 6 steps, with a snapshot of step 3."""
    config = tiny_config(snapshot_every=1)
    train(session.new(config, tmp_path / "run", "cpu"), recorder(4))
    return tmp_path / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "device", "error", "complaint"),
    [
        ({"data": "mnits"}, "cpu", DataError, "unknown data 'mnits'"),
        ({}, "cdua", UsageError, "unknown device 'cdua'"),
        ({}, "cuda:99", DeviceError, "no CUDA device"),
        ({"batch_size": 41}, "cpu", UsageError, "a batch of 41 is larger than the data, 40"),
        ({"limit": 15}, "cpu", UsageError, "a batch of 16 is larger than the data, 15"),
    ],
)
def test_an_impossible_run_is_refused_before_anything_is_written(
    tmp_path, tiny_config, changes, device, error, complaint
):
    with pytest.raises(error, match=complaint):
        session.new(tiny_config(**changes), tmp_path / "run", device)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
@pytest.mark.parametrize("count", [2, 3])
def test_an_unchosen_batch_size_shrinks_to_the_number_of_images(
    tmp_path, tiny_config, train, recorder, preset, count
):
    config = tiny_config(preset, limit=count, epochs=2)
    ready = session.new(config, tmp_path / "run", "cpu", chosen=ALL_BUT_BATCH)
    assert ready.config.batch_size == count
    assert f"The batch size is {count}, not 16: there are no more images." in ready.notices
    assert ready.total_steps == 2
    train(ready, recorder())
    assert ready.state.step == 2
    again = session.resume(tmp_path / "run", {"epochs": 3}, "cpu")
    assert (again.config.batch_size, again.total_steps) == (count, 3)


def test_a_shrunk_batch_is_split_over_at_most_as_many_processes(tmp_path, tiny_config):
    many = Group()
    many.size = 3
    with pytest.raises(UsageError, match="a batch of 2 images cannot be split over 3 processes"):
        session.new(
            tiny_config(limit=2),
            tmp_path / "run",
            "cpu",
            group=many,
            chosen=ALL_BUT_BATCH,
        )


def test_unusable_labels_are_refused_only_for_a_conditional_run(tmp_path, tiny_config):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    path = tmp_path / "many.npz"
    np.savez(path, train_images=images, train_labels=np.ones((20, 14), np.uint8))
    config = tiny_config(data=str(path))
    with pytest.raises(DataError, match="train_labels is uint8") as caught:
        session.new(config, tmp_path / "run", "cpu")
    assert "train without classes: conditional=False" in str(caught.value.hint)
    without = schema.override(config, {"conditional": False})
    ready = session.new(without, tmp_path / "run", "cpu")
    assert ready.config.network.num_classes == 0
    assert any("No classes: train_labels is uint8" in str(notice) for notice in ready.notices)


def test_the_config_of_a_new_run_is_resolved(tmp_path, tiny_config):
    ready = session.new(tiny_config(precision="auto", limit=20), tmp_path / "run", "auto")
    assert ready.config.precision in ("fp32", "bf16")
    assert ready.config.network.image_shape == (1, 28, 28)
    assert (len(ready.dataset), ready.total_steps) == (20, 4)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("limit", "wanted", "expected"),
    [
        (20, "auto", "color,translation,cutout"),
        (30, "auto", "translation"),
        (None, "auto", "none"),
        (20, "none", "none"),
        (None, "cutout", "cutout"),
    ],
)
def test_few_images_are_augmented(tmp_path, tiny_config, monkeypatch, limit, wanted, expected):
    monkeypatch.setattr(resolve, "_VERY_FEW_IMAGES", 25)
    monkeypatch.setattr(resolve, "_FEW_IMAGES", 40)
    config = tiny_config(augment=wanted, limit=limit)
    assert session.new(config, tmp_path / "run", "cpu").config.augment == expected


def test_images_bring_their_own_shape(tmp_path, tiny_config, monkeypatch, train):
    colour = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    monkeypatch.setattr(mnist, "load_train", lambda: (colour, np.zeros(20, np.uint8)))
    ready = session.new(tiny_config("dcgan", steps=1), tmp_path / "run", "cpu")
    assert ready.config.network.image_shape == (3, 32, 32)
    train(ready)
    assert read_checkpoint(tmp_path / "run").data["image_shape"] == [3, 32, 32]


def test_a_new_run_does_not_touch_an_old_one(stopped, tiny_config):
    before = contents(stopped)
    with pytest.raises(RunError, match="already holds a run"):
        session.new(tiny_config(), stopped, "cpu")
    assert contents(stopped) == before


def test_a_folder_that_was_taken_meanwhile_is_not_touched(tmp_path, tiny_config, train):
    ready, late = (session.new(tiny_config(steps=1), tmp_path / "run", "cpu") for _ in range(2))
    train(ready)
    before = contents(tmp_path / "run")
    with pytest.raises(RunError, match="already holds a run"):
        train(late)
    assert contents(tmp_path / "run") == before


def test_two_runs_never_share_a_folder(stopped, train):
    ready = session.resume(stopped, {}, "cpu")
    with RunDirectory(stopped).lock(), pytest.raises(RunError, match="another training"):
        train(ready)


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_was_trained_meanwhile_is_not_touched(stopped, train, lost):
    if lost:  # both continue from the snapshot, which stays as it is
        (stopped / "ckpt.pt").unlink()
    early, late = (session.resume(stopped, {}, "cpu") for _ in range(2))
    train(early)
    before = contents(stopped)
    with pytest.raises(RunError, match="was trained further in the meantime"):
        train(late)
    assert contents(stopped) == before


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(RunError, match="no run to resume") as caught:
        session.resume(tmp_path / "none", {}, "cpu")
    assert "resume=True" in str(caught.value.hint)
    assert not (tmp_path / "none").exists()


def test_a_resumed_run_keeps_its_settings(stopped):
    before = contents(stopped)
    changes = {"lr_g": 0.5, "latent_dim": 9, "seed": 0, "epochs": 3}
    old = schema.settings(read_checkpoint(stopped).config)["lr_g"]
    with pytest.raises(UsageError) as caught:
        session.resume(stopped, changes, "cpu")
    assert f"lr_g ({old} -> 0.5), latent_dim (8 -> 9)" in str(caught.value)
    assert "seed" not in str(caught.value)
    assert contents(stopped) == before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 0, "latent_dim": 8},
        {"precision": "auto", "augment": "auto"},
        {"image_size": "28", "image_channels": 1},
    ],
)
def test_equal_and_open_settings_are_no_change(stopped, changes):
    ready = session.resume(stopped, changes, "cpu")
    assert ready.config == read_checkpoint(stopped).config
    assert (ready.state.step, len(ready.history), ready.notices) == (4, 1, [])


def test_a_run_resumes_only_if_its_batch_fits_into_memory(stopped, train, monkeypatch):
    before = contents(stopped)
    with monkeypatch.context() as small:
        small.setattr("ganctl.devices.free_memory", lambda _: 100_000)
        with pytest.raises(DeviceError, match="a batch of 16 takes") as caught:
            session.resume(stopped, {}, "cpu")
        assert contents(stopped) == before
        assert "batch_size" not in str(caught.value.hint)  # which it cannot change
    train(session.resume(stopped, {}, "cpu"))
    monkeypatch.setattr("ganctl.devices.free_memory", lambda _: 100_000)
    session.resume(stopped, {}, "cpu")  # complete: no step is left to do


def test_only_the_length_may_change(stopped):
    assert session.resume(stopped, {"epochs": 5}, "cpu").total_steps == 15
    assert session.resume(stopped, {"steps": 5}, "cpu").total_steps == 5
    with pytest.raises(UsageError, match="already has 1 epoch; epochs must be more than 1"):
        session.resume(stopped, {"epochs": 1}, "cpu")


def test_a_run_resumes_only_with_its_own_images(stopped, monkeypatch):
    images, labels = mnist.load_train()
    images = images.copy()
    images[0, 0, 0] ^= 1
    monkeypatch.setattr(mnist, "load_train", lambda: (images, labels))
    with pytest.raises(RunError, match="not those this run was trained on"):
        session.resume(stopped, {}, "cpu")


def test_a_run_resumes_with_images_that_have_moved(photos, tmp_path, tiny_config, train, recorder):
    config = tiny_config(data=str(photos), image_size="8", batch_size=4)
    train(session.new(config, tmp_path / "run", "cpu"), recorder(2))
    moved = shutil.move(photos, tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"photos' cannot be read|nothing at"):
        session.resume(tmp_path / "run", {}, "cpu")
    ready = session.resume(tmp_path / "run", {"data": str(moved)}, "cpu")
    assert ready.config.data == str(moved)
    train(ready)
    assert read_checkpoint(tmp_path / "run").config.data == str(moved)

    (moved / "cat" / "0.png").unlink()
    with pytest.raises(RunError, match="elsewhere' are not those this run was trained on"):
        session.resume(tmp_path / "run", {"data": str(moved), "epochs": 3}, "cpu")
    with pytest.raises(UsageError, match="lies in the folder of the images"):
        session.resume(tmp_path / "run", {"data": str(tmp_path)}, "cpu")


def test_epochs_are_measured_against_held_out_images(photos, tmp_path, tiny_config, monkeypatch):
    (tmp_path / "set").mkdir()
    shutil.copytree(photos / "dog", tmp_path / "set" / "test")
    shutil.move(photos, tmp_path / "set" / "train")
    given = {}
    monkeypatch.setattr(session.features, "load", lambda *_: None)
    monkeypatch.setattr(session, "MIN_MEASURED", 7)
    monkeypatch.setattr(session, "EpochEvaluator", lambda _, test: given.update(test=test))
    how = {"image_size": "8", "image_channels": 3, "batch_size": 4, "eval_samples": 10}
    ready = session.new(tiny_config(data=str(tmp_path / "set"), **how), tmp_path / "run", "cpu")
    ready.evaluator()
    dogs = np.flatnonzero(ready.dataset.labels.numpy())
    pictures = (given["test"][:], ready.dataset.images.numpy()[dogs])
    assert len(given["test"]) == 7
    assert len({*(image.tobytes() for image in np.concatenate(pictures))}) == 7

    given.clear()
    alone = tiny_config(data=str(tmp_path / "set" / "train"), **{**how, "eval_samples": 12})
    ready = session.new(alone, tmp_path / "other", "cpu")
    ready.evaluator()
    assert given["test"].tobytes() == ready.dataset.images.numpy().tobytes()
    monkeypatch.setattr(session, "MIN_MEASURED", 13)
    assert ready.evaluator() is None, "too few images"


def test_a_checkpoint_of_images_of_another_shape_is_refused(stopped):
    run = RunDirectory(stopped)
    found = read_checkpoint(run.latest)
    network = dataclasses.replace(found.config.network, channels=3)
    forged = dataclasses.replace(found.config, network=network)
    write_atomic(run.latest, encode(dataclasses.replace(found, config=forged)))
    with pytest.raises(CheckpointError, match="does not fit the images"):
        session.resume(stopped, {}, "cpu")


def test_a_run_with_a_damaged_latest_resumes_from_a_snapshot(
    stopped, tmp_path, tiny_config, train, train_with_stops
):
    whole = train_with_stops(tiny_config(snapshot_every=1), tmp_path / "whole")
    latest = RunDirectory(stopped).latest
    latest.write_bytes(latest.read_bytes()[:-1000])
    ready = session.resume(stopped, {}, "cpu")
    assert ready.state.step == 3
    assert str(latest) in ready.warnings[0]
    assert "newest undamaged checkpoint, step 3" in ready.warnings[1]
    train(ready)
    found = read_checkpoint(stopped)
    assert all(found.generator[name].equal(whole.generator[name]) for name in whole.generator)


def test_a_damaged_latest_is_kept_aside(stopped, train):
    run = RunDirectory(stopped)
    run.latest.write_bytes(b"damaged")
    train(session.resume(stopped, {}, "cpu"))
    assert (stopped / "ckpt.pt.damaged").read_bytes() == b"damaged"
    assert read_checkpoint(run.latest).step == 6


@pytest.mark.parametrize("trouble", ["a newer schema", "a disk that fails"])
def test_an_unreadable_latest_is_never_replaced(stopped, monkeypatch, trouble):
    latest = RunDirectory(stopped).latest
    if trouble == "a newer schema":
        found = read_checkpoint(latest)
        with monkeypatch.context() as newer:
            newer.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
            latest.write_bytes(encode(found))
    else:

        def fails(path):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(type(latest), "open", lambda path, *_: fails(path))
    before = {path: path.stat().st_mtime_ns for path in stopped.rglob("*")}
    with pytest.raises(UnreadableError, match=r"newer ganctl|cannot be read"):
        session.resume(stopped, {}, "cpu")
    assert {path: path.stat().st_mtime_ns for path in stopped.rglob("*")} == before


def test_a_run_without_an_intact_checkpoint_cannot_be_resumed(stopped):
    for path in stopped.glob("*.pt"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"ckpt\.pt is empty"):
        session.resume(stopped, {}, "cpu")


def test_a_resumed_run_knows_its_origin_its_device_and_its_notices(stopped, monkeypatch):
    monkeypatch.setattr(session.private_folders, "notices", lambda: ["no private folder"])
    resumed = session.resume(stopped, {}, "cpu")
    assert resumed.made_by == read_checkpoint(stopped).made_by
    assert resumed.dataset.device == torch.device("cpu")
    assert "no private folder" in resumed.notices


def test_every_start_is_recorded(stopped, train):
    train(session.resume(stopped, {}, "cpu"))
    starts = json.loads((stopped / "config.json").read_text())["starts"]
    assert [(start["command"], start["from_step"]) for start in starts] == [
        ("test", 0),
        ("test", 4),
    ]
    made_by = read_checkpoint(stopped).made_by
    assert made_by["command"] == "test"
    assert {"ganctl", "torch", "numpy", "python", "device", "machine"} <= made_by.keys()
    assert {"date", "last_command"} <= made_by.keys()


@pytest.mark.parametrize(
    "content", [b'{"starts": 5}', b'{"starts": "x"}', b"[" * 100_000, b"\xff"], ids=range(4)
)
def test_a_damaged_record_of_starts_is_replaced(stopped, train, content):
    (stopped / "config.json").write_bytes(content)
    assert train(session.resume(stopped, {}, "cpu"))[0].finished
    (start,) = json.loads((stopped / "config.json").read_text())["starts"]
    assert start["from_step"] == 4


def test_a_run_resumes_with_its_own_number_of_threads(stopped, train):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        ready = session.resume(stopped, {}, "cpu")
        assert ready.notices == []
        assert torch.get_num_threads() == ready.config.threads == threads
        assert train(ready)[0].finished
    finally:
        torch.set_num_threads(threads)


def test_a_warning_names_another_device(stopped, monkeypatch):
    monkeypatch.setattr("ganctl.devices.describe", lambda *_: "another machine")
    (notice,) = session.resume(stopped, {}, "cpu").warnings
    assert "may differ in rounding" in notice
    assert "another machine" in notice


@pytest.mark.parametrize(
    ("target", "value", "said"),
    [
        ("torch.__version__", "99.0", "torch was {torch}, now 99.0."),
        ("ganctl.__version__", "99.0", "ganctl was {ganctl}, now 99.0."),
        ("numpy.__version__", "99.0", "numpy was {numpy}, now 99.0."),
        ("ganctl.devices.describe_machine", lambda: "Pear", "machine was {machine}, now Pear."),
        ("platform.platform", lambda: "Linux-99", None),  # a kernel does not compute
    ],
)
def test_a_warning_names_what_computes_differently(stopped, monkeypatch, target, value, said):
    made_by = read_checkpoint(stopped).made_by
    monkeypatch.setattr(target, value)
    notices = session.resume(stopped, {}, "cpu").warnings
    start = "Results may differ in rounding: "
    assert notices == ([start + said.format(**made_by)] if said else [])


def test_one_warning_names_all_changes(stopped, monkeypatch):
    monkeypatch.setattr("ganctl.devices.describe", lambda *_: "cuda:0")
    monkeypatch.setattr("torch.__version__", "99.0")
    (notice,) = session.resume(stopped, {}, "cpu").warnings
    assert "now cuda:0; torch was" in notice


def test_what_was_not_recorded_is_not_reported_as_changed(stopped):
    found = read_checkpoint(stopped)
    made_by = {name: found.made_by[name] for name in ("ganctl", "torch", "device")}
    write_atomic(stopped / "ckpt.pt", encode(dataclasses.replace(found, made_by=made_by)))
    assert session.resume(stopped, {}, "cpu").notices == []


def with_classes(monkeypatch, names, labels=None):
    """Put the images of the tiny data into classes called `names`."""
    images, own = mnist.load_train()
    monkeypatch.setattr(mnist, "load_train", lambda: (images, own if labels is None else labels))
    monkeypatch.setattr(mnist, "CLASSES", tuple(names))


def test_a_run_keeps_the_names_of_its_classes(tmp_path, tiny_config, monkeypatch, train):
    names = [f"kind {number}" for number in range(10)]
    with_classes(monkeypatch, names)
    ready = session.new(tiny_config(), tmp_path / "run", "cpu")
    assert (ready.config.network.num_classes, ready.notices) == (10, [])
    train(ready)
    assert read_checkpoint(tmp_path / "run").data["classes"] == names


def test_a_notice_says_that_classes_are_not_used(tmp_path, tiny_config):
    ready = session.new(tiny_config(conditional=False), tmp_path / "run", "cpu")
    assert ready.config.network.num_classes == 0
    assert [*map(str, ready.notices)] == [
        "The images have 10 classes, which are not used; conditional=True trains with them."
    ]


def test_a_notice_names_a_size_that_networks_can_halve_more_often(tmp_path, tiny_config):
    config = tiny_config(image_size="100x68", conditional=True)
    (notice,) = session.new(config, tmp_path / "run", "cpu").notices
    assert str(notice).startswith("Images of 100x68 can be halved only 2 times, to 25x17 pixels")
    assert "image_size='96x64'" in str(notice)


@pytest.mark.parametrize("names", [(), ("all of them",)])
def test_at_most_one_class_trains_unconditionally(tmp_path, tiny_config, monkeypatch, names):
    with_classes(monkeypatch, names, np.zeros(40, np.uint8))
    ready = session.new(tiny_config(conditional=True), tmp_path / "run", "cpu")
    assert (ready.config.network.num_classes, ready.notices) == (0, [])
    assert session.new(tiny_config(conditional=False), tmp_path / "run", "cpu").notices == []
    with pytest.raises(UsageError, match="have no classes"):
        session.new(
            tiny_config(conditional=True),
            tmp_path / "run",
            "cpu",
            chosen=EVERYTHING,
        )
    assert not (tmp_path / "run").exists()


def test_the_error_says_why_there_are_no_classes(tmp_path, tiny_config):
    for name in ("cat/1.png", "dog/2.png", "stray.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(tmp_path / "photos" / name)
    config = tiny_config(conditional=True, data=str(tmp_path / "photos"), limit=None)
    with pytest.raises(UsageError, match="have no classes") as caught:
        session.new(
            config,
            tmp_path / "run",
            "cpu",
            chosen=EVERYTHING,
        )
    (why,) = caught.value.details
    assert why.startswith("No classes: stray.png lies beside the folders cat, dog.")


def test_a_conditional_run_refuses_too_many_classes(tmp_path, tiny_config, monkeypatch, train):
    with_classes(monkeypatch, map(str, range(1001)))
    with pytest.raises(
        UsageError, match="1,001 classes, and conditional networks take at most 1,000"
    ) as caught:
        session.new(tiny_config(conditional=True), tmp_path / "run", "cpu")
    assert "conditional=False" in str(caught.value.hint)
    ready = session.new(tiny_config(conditional=False), tmp_path / "run", "cpu")
    assert [*map(str, ready.notices)] == ["The images have 1,001 classes, which are not used."]
    train(ready)
    assert read_checkpoint(tmp_path / "run").data["classes"] == []
    session.resume(tmp_path / "run", {"epochs": 3}, "cpu")


def test_classes_may_be_of_very_different_sizes(tmp_path, tiny_config, monkeypatch, train):
    """The classes have 1, 39 and 0 images."""
    with_classes(monkeypatch, ("rare", "common", "absent"), np.arange(40) > 0)
    outcome, _ = train(session.new(tiny_config(), tmp_path / "run", "cpu"))
    assert outcome.finished
    assert read_checkpoint(tmp_path / "run").config.network.num_classes == 3
