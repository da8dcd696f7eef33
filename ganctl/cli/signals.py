"""Stopping a training from outside, without losing it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


@contextlib.contextmanager
def exit_on_termination() -> Iterator[None]:
    """While entered, SIGTERM and SIGHUP end the program by an exception, so that it cleans up."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                previous[number] = signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class StopSignals:
    """While entered, the first SIGINT, SIGTERM, SIGHUP or SIGBREAK asks for a stop at a step's end.

    A second SIGINT does not wait: it raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
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
        # Windows has no SIGHUP and never sends SIGTERM; only Windows has SIGBREAK, Ctrl-Break.
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            # nohup sets SIGHUP to be ignored: it stays so.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
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
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
