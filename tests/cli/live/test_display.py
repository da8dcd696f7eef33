"""The live screen of a training run in an emulated terminal."""

from __future__ import annotations

import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ganctl.cli.live import screen as screens
from ganctl.cli.live.display import LiveScreen
from ganctl.training.callback import CONTINUES, Progress, Start

emulator = pytest.importorskip("emulator", reason="no pseudo-terminals here")
STOP = "Ctrl-C saves and stops"
HEAD = re.compile(r"epoch +G loss +D loss")
ROW = re.compile(r"^ +\d+ (?:part)? *\d+\.\d{3} +\d+\.\d{3}\b", re.M)
CURVE = re.compile("[\u2801-\u28ff]")


class FakeTerminal:
    """A terminal of any size, in memory."""

    def __init__(self, width=140, height=40):
        self.err = Console(file=io.StringIO(), force_terminal=True, width=width, height=height,
                           color_system="truecolor")  # fmt: skip

    def error(self, message, hint=None):
        self.err.file.write(f"ganctl: {message}\n  {hint}\n")


def row_of(epoch, **changes):
    return {"epoch": epoch, "step": 100 * epoch, "g_loss": 0.5, "d_loss": 1.25, "d_real": 0.75,
            "d_fake": 0.3, "seconds": 61.0, "frechet_distance": 2.5, **changes}  # fmt: skip


def seen(live):
    """Return the terminal's screen after painting."""
    live._screen._paint()
    console = live._terminal.err
    shown = emulator.EmulatedScreen(console.width, console.height)
    emulator.pyte.Stream(shown).feed(console.file.getvalue())
    return shown


def start_of(history=()):
    return Start(
        folder="runs/x", settings={"preset": "fast", "data": "mnist"}, data={}, command="",
        resumed=False, step=0, total_steps=1000, steps_per_epoch=100, history=history,
        quality="frechet_distance",
    )  # fmt: skip


def screen_of(width=140, height=40, preview=True):
    """Return a display that knows what it is about to show."""
    live = LiveScreen(FakeTerminal(width, height), preview=preview)
    live._describe(start_of())
    return live


def filled(width, height, preview=True):
    """Return a display that has seen some epochs, a warning, and samples."""
    live = screen_of(width, height, preview)
    means = {"g_loss": 0.5, "d_loss": 1.25, "d_real": 0.75, "d_fake": 0.3}
    for epoch in range(1, 4):
        for step in range(1, 101):
            done = 100 * (epoch - 1) + step
            live.on_step(Progress(done, 1000, epoch, 10, step, 100, 1234.0, means))
        live.on_epoch(row_of(epoch), None)
    live.on_samples(np.full((16, 28, 28, 1), 200, np.uint8), 300)
    return live


@given(st.integers(1, 300), st.integers(1, 120), st.booleans(), st.booleans())
def test_nothing_overlaps_or_leaves_the_screen(width, height, preview, warned):
    live = screen_of(width, height, preview)
    if warned:
        live.on_warning("something failed", CONTINUES)
    cells = np.zeros((height, width), int)
    regions = live._layout(width, height)
    for region in regions.values():
        bottom, right = region.top + region.height, region.left + region.width
        assert 0 <= region.left <= right <= width
        assert bottom <= height
        assert region.top >= 0
        cells[region.top : bottom, region.left : right] += 1
    assert cells.max() <= 1
    if width >= 40 and height >= 16 + 2 * warned:
        assert regions[live._table].height >= 4
        assert live._losses in regions
    if width >= 60 and height >= 16 + 2 * warned:
        assert live._probabilities in regions
    assert (live._preview in regions) == preview or width < 76 or height < 20


@pytest.mark.parametrize(
    ("size", "curves", "preview"),
    [((140, 40), 2, True), ((80, 24), 2, True), ((60, 32), 2, True), ((60, 16), 2, False),
     ((40, 16), 1, False), ((60, 8), 0, False), ((30, 5), 0, False)],
)  # fmt: skip
def test_a_small_terminal_omits_the_samples_then_the_curves(size, curves, preview):
    shown = seen(filled(*size))
    text = "\n".join(shown.display)
    assert ("samples at step 300" in text) == preview
    assert ("\u2580" in text or any(
        cell.bg == "c5c5c5" for line in shown.buffer.values() for cell in line.values()
    )) == preview  # fmt: skip
    assert sum(name in text for name in (" 1.25 ", " 1.00 ")) == curves  # the highest values
    assert bool(CURVE.search(text)) == bool(curves)
    assert HEAD.search(text)
    assert len(ROW.findall(text)) == min(3, size[1] - 3)
    last, before = shown.display[-1], shown.display[-2]
    assert "epoch 3/10" in before
    assert "30%" in before
    assert "measuring" in last
    assert (STOP in text) == (size[1] >= 10)


def test_without_a_preview_the_table_has_the_whole_width():
    live = filled(80, 24, preview=False)
    assert not live.wants_samples
    text = "\n".join(seen(live).display)
    assert "samples" not in text
    assert "seconds" in text


def test_after_the_run_all_epochs_and_warnings_are_printed(monkeypatch):
    """The screen has room for few rows only. Epochs of earlier sessions are not printed again."""
    monkeypatch.setattr(screens, "_REFRESH_SECONDS", 0.01)
    live = LiveScreen(FakeTerminal(60, 16), preview=True)
    live.on_start(start_of([row_of(epoch) for epoch in range(1, 6)]))
    for epoch in range(6, 40):
        live.on_epoch(row_of(epoch), None)
    live.on_warning("the plot could not be drawn", CONTINUES)
    live.on_epoch(row_of(40, step=3950), None)
    inside = seen(live)
    live.on_end(None)
    assert "warning: the plot could not be drawn" in "\n".join(inside.display)
    assert len(ROW.findall("\n".join(inside.display))) < 20
    assert inside.cursor.hidden
    after = live._terminal.err.file.getvalue().rpartition("\x1b[?1049l")[2]
    rows = [line.split()[0] for line in after.splitlines() if ROW.match(line)]
    assert rows == [str(epoch) for epoch in range(6, 40)]
    assert after.splitlines()[-3:-1] == [
        "ganctl: warning: the plot could not be drawn", "  Training continues without it.",
    ]  # fmt: skip
    assert after.splitlines()[-1].split()[:2] == ["40", "part"]
    assert live._terminal.err.file.getvalue().rindex("\x1b[?25h") > 0


def test_a_failing_display_does_not_end_training(monkeypatch):
    def broken(*_):
        raise ValueError("no such layout")

    monkeypatch.setattr(LiveScreen, "_layout", broken)
    live = LiveScreen(FakeTerminal(), preview=True)
    live.on_start(start_of())
    live._screen._thread.join(10)
    live.on_epoch(row_of(1), None)
    live.on_end(None)
    said = live._terminal.err.file.getvalue()
    assert "warning: the live screen failed: no such layout" in said
    assert ROW.search(said)


def run_of(fast_options, out, *options):
    return [sys.executable, "-m", "ganctl", "train", *fast_options, "--out", str(out), *options]


def is_whole(text, width):
    """Return whether the screen has everything that it always shows, from top to bottom."""
    first, *_, last = text.split("\n")
    return (
        first.find(STOP) == width - len(STOP)
        and HEAD.search(text)
        and ROW.search(text)
        and re.search(r"^step \d/4|^measuring", last)
        and ("samples at" in text or width < 76)
    )


def test_a_run_is_watched_resized_and_stopped(fast_options, tmp_path):
    command = run_of(fast_options, tmp_path / "run", "--steps", "80000")
    with emulator.Emulator(command, 140, 40) as terminal:
        wide = terminal.run(
            lambda text: len(ROW.findall(text)) >= 3 and "samples at" in text and " left" in text
        )
        assert terminal.screen.is_alternate
        assert terminal.screen.cursor.hidden
        assert CURVE.search(wide)
        assert "D(G(z))" in wide
        assert re.search(r"epoch \d+/20000 ━", wide)
        assert " left" in wide
        right = [terminal.screen.buffer[row][column].bg for row in range(40)
                 for column in range(70, 140)]  # fmt: skip
        assert len(set(right)) > 8  # shades of gray

        for width, height in ((60, 16), (100, 30), (40, 12), (110, 20)):
            terminal.resize(width, height)
            narrow = terminal.run(functools.partial(is_whole, width=width))
            assert len(HEAD.findall(narrow)) == 1
            assert narrow.count("epoch ") == 2  # the table's and the bar's
            assert ("samples at" in narrow) == (width >= 76)

        terminal.type("\x03")
        assert terminal.end() == 130
        assert not terminal.screen.is_alternate
        assert not terminal.screen.cursor.hidden
        assert len(ROW.findall(terminal.text)) > 5
        assert not CURVE.search(terminal.text)
        assert "━" not in terminal.text
        assert "ganctl: stopped and saved at step" in terminal.text
        assert b"Traceback" not in terminal.output


_SHOW = """
import sys, threading, time
from types import SimpleNamespace
import numpy as np
from ganctl.cli.live.display import LiveScreen
from ganctl.cli.terminal import Terminal

means = {"g_loss": 0.5, "d_loss": 1.25, "d_real": 0.75, "d_fake": 0.3}
row = {"frechet_distance": 2.5, "seconds": 61.0, **means}
print("BEFORE THE RUN")
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
live = LiveScreen(Terminal(), preview=True)
live.on_start(SimpleNamespace(
    settings={"preset": "fast", "data": "mnist"}, folder="x", history=[], steps_per_epoch=4,
    quality="frechet_distance"))
step = 0
while not over.wait(0.02):
    step += 1
    epoch = 1 + (step - 1) // 4
    live.on_step(SimpleNamespace(
        step=step, total_steps=8000, epoch=epoch, epochs=2000, step_in_epoch=(step - 1) % 4 + 1,
        steps_per_epoch=4, images_per_sec=9.0, recent=means))
    if step % 4 == 0:
        live.on_epoch({"epoch": epoch, "step": step, **row}, None)
        live.on_samples(np.full((16, 28, 28, 1), step % 256, np.uint8), step)
live.on_end(None)
print("THE END")
"""


@pytest.mark.parametrize(
    "sizes",
    [
        [(140, 24)],
        [(80, 50)],
        [(140, 50)],
        [(50, 24), (140, 50)],
        [(80, 12), (80, 40), (60, 16)],
        [(120, 40), (40, 12), (100, 30), (80, 24)],
    ],
    ids=["wider", "taller", "larger", "narrower and larger", "shorter and taller", "to and fro"],
)
def test_a_resized_terminal_keeps_nothing_of_the_live_screen(sizes):
    """The screen of the former size is removed at once, and the last one at the end."""
    with emulator.Emulator([sys.executable, "-c", _SHOW], 80, 24) as terminal:
        terminal.run(functools.partial(is_whole, width=80))
        for width, height in sizes:
            terminal.resize(width, height)
            shown = terminal.run(functools.partial(is_whole, width=width))
            assert len(HEAD.findall(shown)) == 1
            assert shown.count(STOP) == 1
            assert shown.count("epoch ") == 2  # the table's and the bar's
        terminal.type("\n")
        assert terminal.end() == 0
        assert terminal.screen.debris == ""
        assert not CURVE.search(terminal.text)
        assert "━" not in terminal.text
        assert "▀" not in terminal.text
        assert ROW.search(terminal.text)
        assert "THE END" in terminal.text


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_tmux_keeps_nothing_of_the_live_screen_in_its_history(tmp_path):
    """A window that grew during a run used to scroll lines of the screen into the history."""
    (tmp_path / "show.py").write_text(_SHOW)
    sized = ("COLUMNS", "LINES")  # which say another size than the window's
    environment = {name: value for name, value in os.environ.items() if name not in sized}
    tmux = functools.partial(
        subprocess.run, check=True, capture_output=True, text=True,
        env={**environment, "TMUX_TMPDIR": str(tmp_path), "TERM": "xterm-256color"},
    )  # fmt: skip

    def captured(until):
        for _ in range(600):
            text = tmux(["tmux", "capture-pane", "-p", "-S", "-"]).stdout
            if re.search(until, text):
                return text
            time.sleep(0.05)
        raise AssertionError(text)

    command = f"{shlex.quote(sys.executable)} {tmp_path}/show.py; sleep 60"
    tmux(["tmux", "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command])
    try:
        captured(STOP)
        for width, height in ((60, 16), (120, 40), (100, 50)):
            tmux(["tmux", "resize-window", "-x", str(width), "-y", str(height)])
            captured(f"(?m)^.{{{width - len(STOP)}}}{STOP}$")
        tmux(["tmux", "send-keys", "Enter"])
        text = captured("THE END")
    finally:
        tmux(["tmux", "kill-server"])
    assert not CURVE.search(text)
    assert not re.search("[━▀▄]", text)
    assert STOP not in text
    assert text.splitlines()[0] == "BEFORE THE RUN"
    assert HEAD.match(text.splitlines()[1].strip())


def test_ctrl_z_gives_the_terminal_back(fast_options, tmp_path):
    command = run_of(fast_options, tmp_path / "run", "--steps", "80000", "--no-preview")
    script = 'set -m; "$@"; echo "it is stopped"; read line; fg >/dev/null'
    with emulator.Emulator(["bash", "-c", script, "sh", *command], 80, 24) as terminal:
        watched = terminal.run(lambda text: len(ROW.findall(text)) >= 2)
        assert "samples" not in watched
        terminal.type("\x1a")
        stopped = terminal.run(lambda text: "it is stopped" in text)
        assert not terminal.screen.is_alternate
        assert not terminal.screen.cursor.hidden
        assert "━" not in stopped
        terminal.type("\n")
        terminal.run(lambda text: STOP in text and len(ROW.findall(text)) >= 2)
        assert terminal.screen.is_alternate
        terminal.type("\x03")
        assert terminal.end() == 130
