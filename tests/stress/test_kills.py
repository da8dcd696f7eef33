"""The short version of kills.py: real processes, really killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("options", [["--kills", "12"], ["--points", "--epochs", "1"]])
def test_killed_trainings_end_with_the_same_bits(options: list[str]) -> None:
    """A dozen at random moments; and one in place of, and one after, each call to the disk."""
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run(
        [sys.executable, str(script), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all ended equal" in done.stdout
