"""Samples over the epochs, embedded within a budget of bytes."""

import base64
import dataclasses
import io
import os

import numpy as np
import pytest
from PIL import Image

from ganctl import images
from ganctl.config import schema
from ganctl.report import pictures
from ganctl.report.pictures import frames

PLENTY = 1_000_000


def opened(frame):
    kind, _, content = frame.uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("L")


def size(found):
    return sum(len(base64.b64decode(frame.uri.partition(",")[2])) for frame in found)


@pytest.fixture
def noisy(make_run):
    """A run whose samples no file format can make small."""
    run = make_run(pictures=0, epochs=16)
    config = schema.override(run.checkpoint.config, {"epochs": 16, "num_samples": 25})
    rng = np.random.default_rng(0)
    for epoch in range(1, 17):
        pixels = rng.integers(0, 256, (25, 28, 28, 1), np.uint8)
        content = images.png(images.enlarge(images.grid(pixels), 3))
        run.folder.sample(epoch).write_bytes(content)
    return dataclasses.replace(run, checkpoint=dataclasses.replace(run.checkpoint, config=config))


def test_the_samples_of_every_epoch_are_shown_unchanged(make_run):
    found = frames(make_run(epochs=3), PLENTY)
    assert [frame.epoch for frame in found] == [1, 2, 3]
    for frame in found:
        picture = opened(frame)
        assert (frame.width, frame.height, frame.sharp) == (56, 56, True)
        assert picture.size == (56, 56)
        assert picture.getextrema() == (60 * frame.epoch,) * 2


def test_pictures_of_epochs_past_the_checkpoint_are_skipped(make_run):
    assert [frame.epoch for frame in frames(make_run(epochs=2, pictures=4), PLENTY)] == [1, 2]


def test_a_run_without_pictures_has_none(make_run):
    run = make_run(pictures=0)
    assert frames(run, PLENTY) == []
    (run.path / "samples").rmdir()
    assert frames(run, PLENTY) == []


def test_files_that_are_not_pictures_of_this_run_are_skipped(make_run, monkeypatch):
    run = make_run(epochs=6, pictures=6)
    monkeypatch.setattr(pictures, "MAX_FRAMES", 60)
    run.folder.sample(1).write_bytes(b"no picture")
    run.folder.sample(2).write_bytes(images.png(np.zeros((20, 20, 1), np.uint8)))
    run.folder.sample(3).unlink()
    run.folder.sample(3).mkdir()
    run.folder.sample(6).unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(run.folder.sample(6))
    (run.path / "samples/epoch-4.png").write_bytes(b"")
    assert [frame.epoch for frame in frames(run, PLENTY)] == [4, 5]


@pytest.mark.parametrize("budget", [150_000, 100_000, 12_000])
def test_a_budget_is_kept_by_fewer_pictures_and_then_by_lower_quality(noisy, budget):
    found = frames(noisy, budget)
    assert 0 < size(found) <= budget
    assert found[-1].epoch == 16
    assert len(found) < 16


def test_one_picture_is_kept_for_any_budget(noisy):
    assert [frame.epoch for frame in frames(noisy, 1)] == [16]


def test_many_epochs_are_thinned_out(make_run, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FRAMES", 4)
    assert [frame.epoch for frame in frames(make_run(epochs=10), PLENTY)] == [1, 4, 7, 10]


def test_large_pictures_are_shrunk(make_run, monkeypatch):
    monkeypatch.setattr(pictures, "_QUALITIES", ((20, None),))
    frame = frames(make_run(epochs=1), PLENTY)[0]
    assert (opened(frame).size, frame.sharp) == ((20, 20), False)
