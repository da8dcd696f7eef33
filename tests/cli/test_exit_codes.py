"""Exit codes: 2 if what was typed is wrong, 1 if something is missing; see ganctl.errors."""

from __future__ import annotations

import re
import sys

import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("_no_plot")

FOREIGN = re.compile(
    r"Input should|argument\(s\)|codec|\b(None|True|False)\b"
    r"|(?<![\d.,])1 (images|files|shards|classes|samples|steps|epochs|runs|seeds|units)\b"
)
"""A pattern for Pydantic's and Python's own words, and for a plural of one."""
MISSING = [
    # files and folders
    "sample nothing.pt", "interpolate nothing.pt", "inspect nothing.pt", "inspect RUN nothing.pt",
    "evaluate nothing.pt", "report nothing", "train --resume --out nothing",
    "train --data ./nothing", "train --data nothing.zip", "train --data nothing", "data nothing",
    "data ./nothing", "data nothing.npz", "data /dev/null", "data notes.txt", "data '{0..3}.tar'",
    "data pack nothing -o '{0..}.tar'", "data index '{0..3}.tar'",
    "config --config nothing.toml", "train --config nothing.toml", "config --config broken.toml",
    "config --config binary.toml", "data SINGLE",
    "data pack SINGLE -o '{0..}.tar'", "train --data SINGLE",
    # what cannot be read
    "sample notes.txt", "inspect empty", "data broken.zip", "data empty", "data broken.npz",
    "data index broken.tar",
    # what is in the way
    "sample RUN -o notes.txt/x.png", "sample RUN -o notes.txt/", "train --out notes.txt",
    "train --out RUN", "data pack PHOTOS -o 'taken/{0..}.tar'", "config --config empty",
    # devices and packages
    "train --device cuda:7", "interpolate RUN -o x.mp4",
    "evaluate RUN -n 10 --features inception", "data 's/{0..1}.tar'", "train --data s3://x/index.json",
]  # fmt: skip
WRONG = [
    # words
    "", "tain", "train --no-such-option", "train surplus",
    "data pack PHOTOS -o '{0..}.tar' --per-shard 0", "train --set =3",
    "train --set epochs=none", "train --epochs", "train --epochs many",
    # values
    "train --preset no", "train --epochs 0", "train --device gpu", "train --size 7",
    "train --fit squeeze", "train --background reddish", "train --set no=1", "train --set seed",
    "train --augment blur", "train --precision fp8", "train --cache-memory much",
    "train --save-every 0", "train --timeout 0", "train --num-processes 0",
    "sample RUN -n 0", "sample RUN --seed -1", "sample RUN --seeds a", "sample RUN --grid 3",
    "sample RUN --truncation 2", "sample RUN --upscale 0", "sample RUN -o x.mp4",
    "interpolate RUN --frames 0", "interpolate RUN --mode x", "interpolate RUN --corners 1",
    "interpolate RUN --fps 0", "interpolate RUN -o x.npz", "inspect RUN RUN RUN",
    "inspect RUN --sort size", "evaluate RUN -n 1", "evaluate RUN --features eyes",
    "report RUN -o x.pdf", "data pack PHOTOS -o x.tar", "data PHOTOS -o x.jpg",
    "data pack PHOTOS -o '{0..}.tar' --shard-size big", "config no", "config --set seed=x",
    "config --config odd.toml", "data ftp://x/index.json",
    # what does not go together, with itself or with this checkpoint and these images
    "train --epochs 1 --steps 1", "train --epochs 1 --set epochs=2", "sample RUN --seeds 1 -n 2",
    "sample RUN --per-class 1 --class 1", "sample DCGAN --class 1", "sample DCGAN --ema",
    "sample RUN --class 99", "interpolate RUN --seeds 1,2 --walk 3", "data PHOTOS -o PHOTOS/x.png",
    "train --resume --seed 9 --out RUN", "train --limit 4 --batch-size 8", "data --clear-cache x",
    "train --data plain --conditional",
]  # fmt: skip


@pytest.fixture
def code_of(cli, run, dcgan_run, photos, tmp_path, monkeypatch):
    """Run a command line in a folder that has some odd files in it; return its exit code."""
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "notes.txt": "none", "broken.zip": "PK none", "broken.npz": "none", "broken.tar": "none",
        "broken.toml": "seed = = 3", "odd.toml": "sead = 3",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
    (tmp_path / "binary.toml").write_bytes(b"\x89PNG")
    for folder in ("empty", "taken", "s", "single"):
        (tmp_path / folder).mkdir()
    for name in ("taken/index.json", "s/0.tar", "s/1.tar"):
        (tmp_path / name).touch()
    for package in ("av", "torch_fidelity", "braceexpand", "s3fs"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "plain").mkdir()
    for number in range(3):
        Image.new("L", (8, 8), 60 * number).save(tmp_path / "plain" / f"{number}.png")
    Image.new("L", (8, 8), 200).save(tmp_path / "single" / "one.png")
    places = {"SINGLE": tmp_path / "single", "RUN": run, "DCGAN": dcgan_run, "PHOTOS": photos}

    def call(line):
        words = [word.strip("'") for word in line.split(" ") if word]
        for name, place in places.items():
            words = [word.replace(name, str(place)) for word in words]
        result = cli(*words)
        lines = result.err.splitlines()
        assert len(lines) <= 2 or not words or "SINGLE" in line, result.err
        assert not words or "ganctl: " in result.err, result.err
        assert "defect" not in result.err, result.err
        assert not FOREIGN.search(result.err), result.err
        return result.code, result.err

    return call


@pytest.mark.parametrize(("code", "lines"), [(1, MISSING), (2, WRONG)])
def test_every_failure_has_the_exit_code_of_its_kind(code_of, code, lines):
    found = {line: code_of(line) for line in lines}
    assert {line: said for line, said in found.items() if said[0] != code} == {}
