"""The short version of kills.py: real processes, really killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kills
import pytest

from ganctl.checkpoint import encode
from ganctl.store import RunDirectory

_RANDOM = ["--kills", "12"]
_POINTS = ["--points", "--every", "3", "--epochs", "1"]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("options", [_RANDOM, _POINTS])
def test_killed_runs_end_with_the_same_bits(options: list[str]) -> None:
    """A dozen kills at random moments, and one in place of every third call to the disk."""
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run(
        [sys.executable, str(script), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all ended equal" in done.stdout


def test_what_a_kill_must_not_do_is_noticed(tmp_path: Path, tiny_checkpoint) -> None:
    run, step = RunDirectory(tmp_path), tiny_checkpoint.step
    kills.witness.forget()
    run.write(run.latest, encode(tiny_checkpoint))
    seen = kills.look(tmp_path, kills.Seen(step))
    assert seen.step == step
    with pytest.raises(AssertionError, match=f"step {step}, not in"):
        kills.look(tmp_path, kills.Seen(step + 1))
    run.write_config({"starts": [{"from_step": 0}]})
    with pytest.raises(AssertionError, match="from_step"):
        kills.look(tmp_path, seen)
    run.latest.unlink()
    with pytest.raises(AssertionError, match=f"step {step} was saved and is lost"):
        kills.look(tmp_path, seen)
