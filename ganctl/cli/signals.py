"""Stopping the program from outside: at once, cleanly, or after the step under way.

Imports next to nothing: signals are to be answered before anything else is loaded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


def _numbers() -> list[int]:
    """The signals that stop a program, except those that were to be ignored when it was started."""
    # Windows has no SIGHUP and never sends SIGTERM; only Windows has SIGBREAK, Ctrl-Break.
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # nohup sets SIGHUP to be ignored: it stays so.
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


class Stopped(SystemExit):
    """Raised by a signal; its argument is the exit code that a shell expects."""


class ToldStopped(Stopped):
    """The same, where another process says so."""


def leave_at_once() -> None:
    """From here on a signal ends the process with one line: for as long as nothing is to clean."""
    for number in _numbers():
        signal.signal(number, _leave)


def _leave(number: int, _: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":  # of processes that are stopped together one says it
        with contextlib.suppress(OSError):
            os.write(2, b"ganctl: stopped\n")
    os._exit(128 + number)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """While entered, a signal ends the program by an exception, so that it cleans up."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            _leave(number, frame)
        raise Stopped(128 + number)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, stop) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether `frame` is part of an import: an extension's would lose or disguise the exception."""
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


class StopSignals:
    """While entered, the first SIGINT, SIGTERM, SIGHUP or SIGBREAK asks for a stop at a step's end.

    A second SIGINT does not wait: it raises KeyboardInterrupt. Unless not `at_once`: several
    processes get it from the terminal and from the one that started them.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self._at_once = at_once
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 0 if self.received is None else 128 + self.received

    def __enter__(self) -> StopSignals:
        self._previous = {number: signal.signal(number, self._handle) for number in _numbers()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._at_once and self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
