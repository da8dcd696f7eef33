"""Signal handlers: end the program at once, end it cleanly, or stop after the current step.

This module imports little, so that signals are handled before anything large is loaded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

# Windows has no SIGHUP and never sends SIGTERM; only Windows has SIGBREAK, Ctrl-Break.
_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Stopped(SystemExit):
    """A stop by a signal. `is_reported` says whether a message about it was printed already."""

    def __init__(self, code: int, *, is_reported: bool = False) -> None:
        super().__init__(code)
        self.is_reported = is_reported


def exit_at_once_on_signals() -> None:
    """End the process with one line at a signal, from now on, while nothing needs cleanup."""
    for number in not_ignored(_STOPPING):
        signal.signal(number, _exit)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise `Stopped` at a signal within this context, so that the program cleans up."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            _exit(number, frame)
        raise Stopped(128 + number)

    with handling(_STOPPING, stop):
        yield


class StopSignals:
    """A context in which the first signal asks for a stop; calling it returns whether one came.

    A second SIGINT raises KeyboardInterrupt, unless `interrupts` is false: a process of a group may
    get the same one from the terminal and from its launcher.
    """

    def __init__(self, *, interrupts: bool = True) -> None:
        self._interrupts = interrupts
        self._handling = handling(_STOPPING, self._handle)
        self.received: int | None = None

    def __call__(self) -> bool:
        """Return whether a stop was asked for."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """Exit code that a shell expects after the signal; 0 without a signal."""
        return 0 if self.received is None else 128 + self.received

    def __enter__(self) -> StopSignals:
        self._handling.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handling.__exit__(*error)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._interrupts and self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number


def not_ignored(names: Sequence[str]) -> list[int]:
    """Return the signals of these names that exist here and are not ignored.

    Those that nohup (SIGHUP) or a shell's background job (SIGINT) ignores stay ignored.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def handling(
    names: Sequence[str], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle the named signals by `handler` within this context, unless they are ignored."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, handler) for number in not_ignored(names)}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def suspend() -> None:
    """Suspend this process as Ctrl-Z does without a handler; return when it is continued.

    Returns at once in a session without job control, such as that of `ssh HOST ganctl`.
    """
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)


def _exit(number: int, _: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":  # one process of a group says it for all
        with contextlib.suppress(OSError):
            os.write(2, b"ganctl: stopped\n")
    os._exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether `frame` is part of an import, where extension modules swallow exceptions."""
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
