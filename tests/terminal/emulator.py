"""An emulated terminal that a program runs in, cell by cell."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte

_ON_THIS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class EmulatedScreen(pyte.Screen):
    """A screen with an alternate screen as in tmux, which pyte lacks."""

    is_alternate = False
    debris = ""
    """Text of the alternate screen that scrolled into the history when it was left.

    tmux gives the screen the height back that it had at first: it takes lines away below the
    cursor, and where these are too few, the first ones scroll away.
    """

    def set_mode(self, *modes, **options):
        super().set_mode(*modes, **options)
        if 1049 in modes and options.get("private") and not self.is_alternate:
            self.is_alternate = True
            self._main = copy.deepcopy(self.buffer), self.cursor.x, self.cursor.y
            self._main_lines = self.lines
            self.erase_in_display(2)

    def reset_mode(self, *modes, **options):
        super().reset_mode(*modes, **options)
        if 1049 in modes and options.get("private") and self.is_alternate:
            self.is_alternate = False
            below = self.lines - 1 - self.cursor.y
            scrolled = max(0, self.lines - self._main_lines - below)
            self.debris += "".join(self.display[:scrolled]).strip()
            self.buffer, self.cursor.x, self.cursor.y = self._main
            self.dirty.update(range(self.lines))


class Emulator:
    """A program in a terminal of `width` x `height` cells, as the leader of its session."""

    def __init__(
        self,
        command: Sequence[str],
        width: int,
        height: int,
        environment: Mapping[str, str] | None = None,
        *,
        emulate: bool = True,
    ) -> None:
        self._emulate = emulate  # costs more than most programs' output
        self.screen = EmulatedScreen(width, height)
        self.output = b""
        """All bytes that the program wrote."""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        self._set_size(width, height)
        cleaned = {k: v for k, v in os.environ.items()
                   if k not in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_THIS_TERMINAL, *command],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**cleaned, "TERM": "xterm-256color", "COLORTERM": "truecolor",
                 **(environment or {})},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _set_size(self, width: int, height: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        """Resize the terminal: cells outside are lost, those inside stay as they are."""
        self.screen.resize(height, width)
        self._set_size(width, height)  # SIGWINCH comes with it

    def type(self, text: str) -> None:
        """Send text as the keyboard does."""
        os.write(self._ours, text.encode())

    @property
    def lines(self) -> list[str]:
        """Lines of the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """Text of the screen."""
        return "\n".join(self.lines)

    def run(self, until: Callable[[str], object] | None = None, seconds: float = 60.0) -> str:
        """Read until `until(text)` is true, or else until the program ends; return the text."""
        deadline = time.monotonic() + seconds
        while not (until and until(self.text)):
            assert time.monotonic() < deadline, self.text
            ready, _, _ = select.select([self._ours], [], [], 0.5)
            if ready and not self._read():
                assert until is None, f"it ended:\n{self.text}"
                break
        return self.text

    def _read(self) -> bool:
        chunk = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            chunk = os.read(self._ours, 65536)
        self.output += chunk
        if self._emulate:
            self._stream.feed(chunk)
        return bool(chunk)

    def end(self, seconds: float = 60.0) -> int:
        """Read until the program ends; return its exit code."""
        self.run(seconds=seconds)
        return self.process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)
