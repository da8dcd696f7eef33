"""Broken pipes, full disks and closed streams: no result is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ganctl import store
from ganctl.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
FULL = Path("/dev/full")


def broken_pipe():
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def full_disk():
    if not FULL.exists():
        pytest.skip("no /dev/full here")
    return os.open(FULL, os.O_WRONLY)


LOST = {"a full disk": full_disk, "a broken pipe": broken_pipe}


@pytest.fixture
def call():
    """Run `ganctl` in this process with one broken stream; return its code and the other stream."""

    def go(*arguments, stream, kind):
        descriptor, other = LOST[kind](), io.StringIO()
        lost = os.fdopen(descriptor, "w", closefd=False)
        out, err = (lost, other) if stream == "stdout" else (other, lost)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        os.close(descriptor)
        return code, other.getvalue()

    return go


def is_finished(out, steps=8):
    assert store.read_checkpoint(out).step == steps
    return (out / "training.gif").exists()


@pytest.mark.parametrize("kind", LOST)
def test_training_continues_without_stderr(call, fast_options, tmp_path, kind):
    out = tmp_path / "run"
    options = [*fast_options, "--epochs", "2", "--out", out]
    code, shown = call("train", *options, stream="stderr", kind=kind)
    assert (code, "losses" in shown) == (0, True)
    assert is_finished(out)


@pytest.mark.parametrize("kind", LOST)
def test_training_continues_without_stdout_and_warns(call, fast_options, tmp_path, kind):
    out = tmp_path / "run"
    options = [*fast_options, "--epochs", "2", "--out", out, "--json"]
    code, said = call("train", *options, stream="stdout", kind=kind)
    _training, warning, advice, *rest = said.splitlines()
    assert code == 1
    assert warning.startswith("ganctl: warning: stdout cannot be written: ")
    assert "Training continues" in advice
    ended = ["ganctl: stdout cannot be written: no space left on device"]
    assert rest == (ended if kind == "a full disk" else [])
    assert is_finished(out)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["inspect"], ["inspect", "--json"]]
)
def test_a_result_that_cannot_be_written_is_a_failure_in_one_line(call, run, arguments):
    arguments = [*arguments, run] if "inspect" in arguments else arguments
    said = "ganctl: stdout cannot be written: no space left on device\n"
    assert call(*arguments, stream="stdout", kind="a full disk") == (1, said)
    assert call(*arguments, stream="stdout", kind="a broken pipe") == (1, "")


@pytest.mark.parametrize(
    ("streams", "expected"), [("2>&-", 0), ("<&- >&- 2>&-", 1), (">/dev/full 2>/dev/full", 1)]
)
def test_a_process_without_streams_finishes_the_run(
    command, fast_options, tmp_path, streams, expected
):
    """Nothing fails even at the interpreter's exit, which flushes its buffers."""
    if "/dev/full" in streams and not FULL.exists():
        pytest.skip("no /dev/full here")
    out = tmp_path / "run"
    words = [*command, "train", *fast_options, "--epochs", "2", "--out", str(out)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", *words], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (expected, b"")
    assert is_finished(out)


@pytest.mark.parametrize("arguments", ["config", "config --json", "--version", "--help"])
def test_a_result_for_a_closed_stdout_is_a_failure_in_one_line(command, arguments):
    words = [*command, *arguments.split()]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"ganctl: stdout cannot be written: it is closed\n"


def test_writes_to_a_full_non_blocking_pipe_wait(run):
    """Another program that shares the pipe may have made it non-blocking."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:  # until not a byte more goes in
            os.write(theirs, b"\n")
    read = []

    def slowly():
        time.sleep(1)
        with os.fdopen(ours, "rb") as file:
            read.append(file.read())

    reader = threading.Thread(target=slowly)
    reader.start()
    with os.fdopen(theirs, "w") as pipe, contextlib.redirect_stdout(pipe):
        code = main(["inspect", "--json", str(run)])
    reader.join()
    assert code == 0
    assert json.loads(read[0])["step"] == 8
