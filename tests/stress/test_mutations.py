"""The short version of mutations.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_mutated_checkpoints_are_equal_or_refused(tmp_path: Path) -> None:
    script = Path(__file__).with_name("mutations.py")
    done = subprocess.run(
        [sys.executable, str(script), "--count", "270", "--keep", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = {line[:16].strip(): line[16:].split() for line in done.stdout.splitlines()}
    files, equal, refused, accepted, failed = map(int, table["all"][:5])
    assert files >= 250
    assert failed == 0
    assert min(equal, refused, accepted) > 0, "something is judged the same, whatever it is"
    assert not list(tmp_path.iterdir())
