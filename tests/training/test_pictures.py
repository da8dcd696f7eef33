"""The pictures of a run, whatever files are in its folder."""

import contextlib
import itertools
import os
from types import SimpleNamespace

import numpy as np
from PIL import Image

import ganctl
from ganctl import images, plots
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import pictures, session
from ganctl.training.pictures import variety


def test_foreign_files_are_not_frames_of_the_animation(tmp_path, tiny_config, train):
    run = RunDirectory(tmp_path / "run")
    train(session.new(tiny_config(epochs=2), run.path, "cpu"))
    made_with = ganctl.inspect(run.sample(1))["made_with"]
    assert (made_with["data"], made_with["epoch"]) == ("mnist", "1")
    assert ganctl.inspect(run.animation)["made_with"]["seeds"] == made_with["seeds"]
    whole = run.sample(1).read_bytes()
    run.sample(1).write_bytes(whole[: len(whole) // 2])
    for epoch, content in enumerate((b"", b"GIF89a", images.png(np.zeros((9, 9, 1), "u1"))), 10):
        run.sample(epoch).write_bytes(content)
    run.sample(20).mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(run.sample(21))  # opening it would wait for a writer
    outcome, recorder = train(session.resume(run.path, {"epochs": 3}, "cpu"))
    assert outcome.finished
    assert recorder.warnings == []
    with Image.open(run.animation) as animation:
        assert animation.n_frames == 2  # of epochs 2 and 3


def test_training_continues_if_a_picture_cannot_be_drawn(tmp_path, tiny_config, train, monkeypatch):
    def broken(*_):
        raise ValueError("no font")

    monkeypatch.setattr(plots, "losses_png", broken)
    outcome, recorder = train(session.new(tiny_config(epochs=2), tmp_path / "run", "cpu"))
    assert outcome.finished
    assert read_checkpoint(tmp_path / "run").step == outcome.history[-1]["step"]
    assert "could not be drawn: ValueError: no font" in recorder.warnings[-1]


def test_the_memory_of_the_animation_is_limited(tmp_path, tiny_config, train, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    train(session.new(tiny_config(epochs=4), run.path, "cpu"))
    with Image.open(run.sample(1)) as picture:
        size = np.asarray(picture).size
    drawn = pictures.Pictures(run, read_checkpoint(run.path).config, print)
    assert len(drawn._frames()) == 4
    monkeypatch.setattr(pictures, "_MAX_FRAME_BYTES", 2 * size)
    assert len(drawn._frames()) == 2


def test_frames_of_the_animation_are_reduced(tmp_path, tiny_config, train, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    train(session.new(tiny_config(epochs=2), run.path, "cpu"))
    monkeypatch.setattr(pictures, "_FRAME_SIDE", 50)
    drawn = pictures.Pictures(run, read_checkpoint(run.path).config, print)
    assert [frame.shape for frame in drawn._frames()] == 2 * [(50, 50, 1)]


def test_variety_is_the_mean_deviation_of_a_pixel():
    pictures = np.zeros((2, 2, 2, 1), np.uint8)
    assert variety(pictures) == 0
    pictures[0, 0, 0] = 200  # one pixel of four: deviations 100, 0, 0, 0
    assert variety(pictures) == 25
    pictures[0], pictures[1] = 0, 255
    assert variety(pictures) == 127.5


def test_previews_take_a_small_share_of_the_time(monkeypatch, tiny_config, tmp_path):
    """There are no more previews once there was no memory for them."""
    now, drawn = [100.0], []
    monkeypatch.setattr(pictures, "time", SimpleNamespace(monotonic=lambda: now[0]))
    shown = pictures.Pictures(RunDirectory(tmp_path), tiny_config(), print)

    def sample(_, __=None):
        now[0] += 0.1
        drawn.append(now[0])
        if len(drawn) == 4:
            raise MemoryError
        return "pixels"

    monkeypatch.setattr(shown, "_sample", sample)
    for _ in range(2000):
        now[0] += 0.1
        with contextlib.suppress(MemoryError):
            assert shown.preview_if_due(None) == ("pixels" if now[0] in drawn else None)
    assert len(drawn) == 4
    assert all(second - first > 0.1 / 0.01 for first, second in itertools.pairwise(drawn))
