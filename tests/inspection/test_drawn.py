"""What drawn files say about their origin; the commands that draw them are in tests/cli."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image

import ganctl
from ganctl import latents_file
from ganctl.errors import DataError, PackageError, UsageError
from ganctl.latents_file import Latents
from ganctl.samples import Walk

TEXT = {"checkpoint": "ab" * 32, "seeds": "3,7", "class": "été", "command": "ganctl sample run"}


@pytest.fixture
def walk():
    """Three frames, whose files carry TEXT."""
    frames = np.arange(3 * 48, dtype=np.uint8).reshape(3, 4, 4, 3)
    return Walk(lambda: iter([frames]), frames.shape, (3, 7), text=TEXT)


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "apng", "mp4", "npz"])
def test_every_kind_of_file_says_how_it_was_made(walk, tmp_path, kind):
    path = tmp_path / f"walk.{kind}"
    walk.save(path)
    assert ganctl.inspect(path) == {"path": str(path), "kind": kind, "made_with": TEXT}


def test_latents_say_how_they_were_made(tmp_path):
    path = tmp_path / "two.npz"
    latents_file.write(path, Latents(np.zeros((2, 8), np.float32), provenance=TEXT))
    assert ganctl.inspect(path)["made_with"] == TEXT


def test_files_of_other_programs_say_nothing(tmp_path):
    for name in ("a.png", "a.gif", "a.webp"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=f"{path.name}' does not say how it was made"):
            ganctl.inspect(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    for kind in ("png", "gif", "webp", "apng", "mp4", "npz"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(b"\x00\x00\x00 something else")
        with pytest.raises(DataError, match=rf"a\.{kind}.* cannot be read"):
            ganctl.inspect(path)
    with pytest.raises(DataError, match=r"b\.png' cannot be read: No such file"):
        ganctl.inspect(tmp_path / "b.png")


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes there")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png' is not a file"):
        ganctl.inspect(tmp_path / "a.png")


def test_options_of_checkpoints_are_refused(walk, tmp_path):
    walk.save(tmp_path / "a.gif")
    for options in ({"weights": True}, {"sort": "date"}):
        with pytest.raises(UsageError, match="is for checkpoints"):
            ganctl.inspect(tmp_path / "a.gif", **options)


def test_a_video_needs_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PackageError, match=r"reading an \.mp4 needs PyAV"):
        ganctl.inspect(tmp_path / "a.mp4")
