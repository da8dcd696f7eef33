"""Held-out images are never trained on: each image is of one color, which tells which one it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl import checkpoint
from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.datasets import loading
from ganctl.datasets.dataset import Batch
from ganctl.errors import RunError, UsageError
from ganctl.evaluation import evaluate
from ganctl.files import write_atomic
from ganctl.model import load
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import session
from ganctl.training.data import with_default_preset

MANY, FEW = 1000, 100
"""Numbers of images: of many, a tenth is held out by default."""


def write(folder, count):
    """Write images of 8x8 pixels in three classes of 60, 30 and 10 %, each of its own color."""
    for number in range(count):
        name = "a" if number < 0.6 * count else "b" if number < 0.9 * count else "c"
        path = folder / name / f"{number:04}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number // 256, number % 256, 50)).save(path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def many(tiny_config, folder):
    write(folder, MANY)
    how = {"image_size": "8", "image_channels": 3, "batch_size": 100, "epochs": 2, "num_samples": 1}
    return tiny_config(data=str(folder), **how)


@pytest.fixture
def few(tiny_config, folder):
    write(folder, FEW)
    how = {"image_size": "8", "image_channels": 3, "batch_size": 20, "epochs": 2, "num_samples": 1}
    return tiny_config(data=str(folder), holdout=0.1, **how)


def numbers(pixels):
    """Return the numbers of images, uint8 (n, H, W, C)."""
    red, green, _ = np.asarray(pixels[:, 0, 0]).astype(int).T
    return (red * 256 + green).tolist()


@pytest.fixture
def seen(monkeypatch):
    """The numbers of all images that reach a training step."""
    found, images = [], Batch.images

    def noting(batch, mirrored=None):
        found.extend(numbers(batch.pixels))
        return images(batch, mirrored)

    monkeypatch.setattr(Batch, "images", noting)
    return found


@pytest.mark.parametrize(
    ("which", "count", "cache_memory"), [("many", MANY, session.CACHE_MEMORY), ("few", FEW, 0)]
)
def test_a_run_sees_every_image_but_those_held_out_also_when_resumed(
    request, tmp_path, train, recorder, seen, folder, which, count, cache_memory
):
    config, tenth = request.getfixturevalue(which), count // 10
    ready = session.new(config, tmp_path / "run", "cpu", cache_memory=cache_memory)
    assert ready.config.holdout == 0.1
    assert (len(ready.dataset), ready.dataset.num_held_out) == (9 * tenth, tenth)
    assert ready.steps_per_epoch == -(-9 * tenth // config.batch_size)
    assert ready.dataset.is_mapped == (cache_memory == 0)
    held_out = loading.load_held_out(ready.dataset, ready.config.image_settings)
    kept_back = numbers(held_out.images)
    assert np.bincount(held_out.labels).tolist() == [0.6 * tenth, 0.3 * tenth, 0.1 * tenth]
    said = f"{tenth} of the {count:,} images are held out"
    assert any(said in str(line) for line in ready.notices)

    train(ready, recorder(4))
    again = session.resume(tmp_path / "run", {"holdout": None}, "cpu", cache_memory=cache_memory)
    train(again)
    assert sorted(seen) == sorted(2 * [*({*range(count)} - {*kept_back})])
    whole = session.new(config, tmp_path / "whole", "cpu")
    train(whole)
    for (name, one), (_, other) in zip(again.state.tensors(), whole.state.tensors(), strict=True):
        assert one.equal(other), name

    written = read_checkpoint(tmp_path / "run")
    assert (written.data["num_images"], written.data["num_held_out"]) == (9 * tenth, tenth)
    compared = evaluate._real_images(load(tmp_path / "run"), str(folder), lambda *_: None)
    assert numbers(compared[1][:]) == kept_back
    assert sorted(numbers(compared[0][:])) == sorted({*seen})
    assert compared[2] == "held-out images"


def test_every_run_holds_out_the_same_images(many, tmp_path):
    config = many
    one = session.new(config, tmp_path / "run", "cpu").dataset
    other = session.new(override(config, {"seed": 5, "preset": "dcgan"}), tmp_path / "b", "cpu")
    assert one.held_out_digest == other.dataset.held_out_digest != ""
    half = session.new(override(config, {"limit": 300, "holdout": 0.5}), tmp_path / "c", "cpu")
    assert (len(half.dataset), half.dataset.num_held_out) == (150, 150)
    all_of_them = session.new(override(config, {"holdout": 0.0}), tmp_path / "d", "cpu")
    assert len(all_of_them.dataset) == MANY
    assert not loading.has_held_out(all_of_them.dataset)
    assert not any("held out" in str(line) for line in all_of_them.notices)


def test_labels_that_would_hold_out_others_are_refused(few, tmp_path, train, recorder, folder):
    """Also without classes in training: the held-out images depend on them."""
    config = override(few, {"conditional": False})
    train(session.new(config, tmp_path / "run", "cpu"), recorder(1))
    lines = [f"a/{path.name},{len(path.name) % 2}" for path in sorted((folder / "a").iterdir())]
    lines += [f"{path.parent.name}/{path.name},1" for path in sorted(folder.glob("[bc]/*"))]
    lines[0] = lines[0][:-1] + "2"
    (folder / "labels.csv").write_text("file,label\n" + "\n".join(lines))
    with pytest.raises(RunError, match=r"the classes of .* are not those"):
        session.resume(tmp_path / "run", {}, "cpu")


def test_another_share_is_refused_on_resume(few, tmp_path, train, recorder):
    train(session.new(few, tmp_path / "run", "cpu"), recorder(1))
    with pytest.raises(UsageError, match="cannot change settings on resume: holdout"):
        session.resume(tmp_path / "run", {"holdout": 0.2}, "cpu")


def test_a_checkpoint_that_says_otherwise_is_refused(few, tmp_path, train, recorder):
    train(session.new(few, tmp_path / "run", "cpu"), recorder(1))
    run = RunDirectory(tmp_path / "run")
    found = read_checkpoint(run.latest)
    forged = dataclasses.replace(found, config=override(found.config, {"holdout": 0.0}))
    write_atomic(run.latest, checkpoint.encode(forged))
    with pytest.raises(RunError, match="are not those this run was trained on"):
        session.resume(tmp_path / "run", {}, "cpu")


def test_built_in_datasets_hold_out_nothing(tiny_config, tmp_path):
    ready = session.new(tiny_config(), tmp_path / "run", "cpu")
    assert (ready.config.holdout, ready.dataset.num_held_out) == (0.0, 0)
    assert ready.reasons["holdout"] == "the dataset has test images"
    assert isinstance(ready.dataset.stored, torch.Tensor)
    with pytest.raises(UsageError, match="they have test images"):
        session.new(tiny_config(holdout=0.1), tmp_path / "other", "cpu")


@pytest.mark.parametrize(
    ("data", "side", "is_installed", "expected"),
    [
        ("mnist", 28, True, "fast"),
        ("mnist", 64, True, "fast"),
        ("stacked-mnist", 28, True, "fast"),
        ("cifar10", 32, True, "fast"),
        ("/somewhere/photos", 64, True, "guided"),
        ("/somewhere/photos", 64, False, "fast"),
    ],
)
def test_the_default_preset_depends_on_the_images(monkeypatch, data, side, is_installed, expected):
    monkeypatch.setattr("ganctl.efficientnet.is_installed", lambda: is_installed)
    config = override(preset("fast"), {"data": data, "seed": 3, "epochs": 2})
    found = with_default_preset(config, (3, side, side), ["data", "seed"])
    assert (found.preset, found.network.architecture) == (expected, expected)
    assert (found.data, found.seed) == (data, 3), "these were chosen"
    assert found.epochs == preset(expected).epochs, "this was not"
