"""Stopping a training run by signals, without losing work."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from ganctl import store
from ganctl.cli import displays
from ganctl.cli.signals import Stopped, StopSignals, exit_on_signals
from ganctl.files import atomic_writer

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems"),
    pytest.mark.usefixtures("_no_plot"),
]
SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.fixture
def send_after(monkeypatch):
    """Send this process signals right after a step."""

    def prepare(step, *numbers):
        def on_step(self, progress):
            if progress.step == step:
                for number in numbers:
                    os.kill(os.getpid(), number)

        monkeypatch.setattr(displays.PlainLines, "on_step", on_step)
        monkeypatch.setattr(displays.JsonLines, "on_step", on_step)

    return prepare


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_saves_the_run_and_gives_its_exit_code(
    command, fast_options, tmp_path, name, code
):
    out = tmp_path / "a run"
    process = subprocess.Popen(
        [*command, "train", *fast_options, "--steps", "80000", "--out", out],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        said = ""
        while "epoch 1:" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(getattr(signal, name))
        output, rest = process.communicate(timeout=60)
    assert (process.returncode, output) == (code, "")
    step = store.read_checkpoint(out).step
    assert step >= 4
    said, hint = rest.splitlines()[-2:]
    assert said == f"ganctl: stopped and saved at step {step:,}"
    assert hint.startswith("  To resume: ")
    pasted = shlex.split(hint.removeprefix("  To resume: "))
    assert pasted == ["ganctl", "train", "--resume", "--out", str(out)]
    assert "Traceback" not in rest
    (start,) = json.loads((out / "config.json").read_text("utf-8"))["starts"]
    typed = ["train", *fast_options, "--steps", "80000", "--out", str(out)]
    assert shlex.split(start["command"]) == ["ganctl", *typed]


_SIGNAL_AT_IMPORT = """
import os, signal, sys
import ganctl.cli  # the first lines of the program; before them nothing can be done

module, number, *sys.argv = sys.argv[1:]

class Finder:
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))

sys.meta_path.insert(0, Finder())
sys.exit(f"the end was reached: {ganctl.cli.main()}")
"""


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("module", ["typer", "torch.nn"])
def test_a_signal_during_startup_prints_one_line(python, tmp_path, module, name):
    out = tmp_path / "run"
    typed = ["ganctl", "train", "--limit", "8", "--steps", "1", "--out", out]
    done = python(_SIGNAL_AT_IMPORT, module, int(getattr(signal, name)), *typed)
    assert (done.returncode, done.stderr) == (SIGNALS[name], "ganctl: stopped\n")
    assert done.stdout == ""
    assert not out.exists()


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_outside_training_prints_one_line(cli, run, monkeypatch, name):
    monkeypatch.setattr(store, "read_checkpoint", lambda _: signal.raise_signal(
        getattr(signal, name)))  # fmt: skip
    result = cli("inspect", run)
    assert (result.code, result.out, result.err) == (SIGNALS[name], "", "ganctl: stopped\n")


_ON_THIS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_closing_the_terminal_leaves_a_saved_run(ok, command, fast_options, tmp_path):
    """SIGHUP arrives while the live screen is shown, and every later write fails."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    out, (ours, theirs) = tmp_path / "run", pty.openpty()
    options = [*fast_options, "--steps", "80000", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_THIS_TERMINAL, *command, "train", *options],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
    )  # fmt: skip
    os.close(theirs)
    with process:
        shown = b""
        while "━".encode() not in shown or not re.search(rb"epoch ([2-9]|\d\d)", shown):
            shown += os.read(ours, 4096)
        os.close(ours)
        assert process.wait(60) == 129
    step = store.read_checkpoint(out).step
    assert step >= 1
    ok("train", "--resume", "--steps", step + 2, "--out", out)
    assert store.read_checkpoint(out).step == step + 2


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("step", [4, 6])
def test_a_stopped_run_resumes_as_if_never_stopped(
    cli, ok, run, send_after, fast_options, tmp_path, name, step, monkeypatch
):
    out = tmp_path / "run"
    send_after(step, getattr(signal, name))
    result = cli("train", *fast_options, "--epochs", "2", "--out", out)
    assert result.code == SIGNALS[name]
    assert store.read_checkpoint(out).step == step
    monkeypatch.undo()
    pasted = re.search(r"^  To resume: ganctl (.*)$", result.err, re.M).group(1)
    ok(*shlex.split(pasted))
    ended, whole = store.read_checkpoint(out), store.read_checkpoint(run)
    assert ended.step == whole.step
    for part in ("generator", "generator_ema", "discriminator"):
        mine, others = getattr(ended, part), getattr(whole, part)
        assert all(torch.equal(mine[key], others[key]) for key in others)
    last = "samples/epoch-0002.png"
    assert (out / last).read_bytes() == (run / last).read_bytes()


def test_a_signal_in_the_last_step_does_not_stop_the_run(cli, send_after, fast_options, tmp_path):
    send_after(8, signal.SIGINT)
    result = cli("train", *fast_options, "--epochs", "2", "--out", tmp_path / "run")
    assert result.code == 0
    assert store.read_checkpoint(tmp_path / "run").step == 8


def test_json_of_a_stopped_run(cli, send_after, fast_options, tmp_path):
    send_after(6, signal.SIGTERM)
    result = cli("train", *fast_options, "--epochs", "2", "--out", tmp_path / "run", "--json")
    end = json.loads(result.out.splitlines()[-1])
    assert (result.code, end["event"], end["finished"], end["step"]) == (143, "end", False, 6)
    assert result.err.splitlines()[-2] == "ganctl: stopped and saved at step 6"


def test_a_second_ctrl_c_exits_at_once_and_keeps_the_last_checkpoint(
    cli, send_after, fast_options, tmp_path
):
    out = tmp_path / "run"
    send_after(6, signal.SIGINT, signal.SIGINT)
    result = cli("train", *fast_options, "--epochs", "2", "--out", out)
    assert result.code == 130
    assert "Traceback" not in result.err
    assert result.err.splitlines()[-2:] == [
        "ganctl: stopped immediately",
        "  The last checkpoint is intact. "
        f"To resume: ganctl train --resume --out {shlex.quote(str(out))}",
    ]
    assert store.read_checkpoint(out).step == 4
    assert not list(out.rglob("*.tmp"))


def test_a_second_ctrl_c_while_saving_keeps_the_last_checkpoint_intact(
    cli, send_after, fast_options, tmp_path, monkeypatch
):
    def interrupted(path, content, dir_fd=None):
        with atomic_writer(path, dir_fd) as file:
            file.write(content[: len(content) // 2])
            if path.name == "ckpt.pt" and out.joinpath("ckpt.pt").exists() and interrupt:
                os.kill(os.getpid(), signal.SIGINT)
            file.write(content[len(content) // 2 :])

    def on_step(self, progress):
        if progress.step == 6:
            interrupt.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    out, interrupt = tmp_path / "run", []
    monkeypatch.setattr(store, "write_atomic", interrupted)
    monkeypatch.setattr(displays.PlainLines, "on_step", on_step)
    result = cli("train", *fast_options, "--epochs", "2", "--out", out)
    assert result.code == 130
    assert store.read_checkpoint(out).step == 4
    assert not list(out.rglob("*.tmp"))


def test_signal_handlers_are_restored():
    before = {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS}
    with StopSignals() as stop:
        assert not stop()
        assert stop.exit_code == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # a second one changes nothing
        assert stop()
        assert stop.exit_code == 143
    assert {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS} == before


def test_only_a_second_ctrl_c_raises_keyboard_interrupt():
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 143


def test_signals_that_a_system_lacks_are_skipped(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.exit_code == 143
    with exit_on_signals():
        pass


def test_nohup_is_respected():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_sigterm_outside_training_removes_temporary_files(tmp_path):
    target = tmp_path / "x.npz"

    def write() -> None:
        with exit_on_signals(), atomic_writer(target) as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)  # the handler runs at the next bytecode; this line is not waited out

    with pytest.raises(Stopped) as left:
        write()
    assert left.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
