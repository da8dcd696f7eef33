"""A terminal's whole screen in regions, of which only lines that changed are written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from ganctl.cli.signals import suspend

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

_REFRESH_SECONDS = 0.25
_HIDDEN_SECONDS = 1.0
_SHARE = 0.001
"""A part is rendered anew when that takes at most this share of the time since it last was,
or after so many seconds: the first time is the slowest."""
_FIRST_REST = 2.0
_LONGEST_REST = 16.0


@dataclass(frozen=True)
class Region:
    """A rectangle of the screen, in cells from its upper left corner."""

    top: int
    left: int
    width: int
    height: int


class Part(Protocol):
    """What fills a region."""

    @property
    def version(self) -> object:
        """Another one whenever the part would look different in the same region."""

    def render(self, width: int, height: int) -> RenderableType:
        """As it is now, for a region of that size; what does not fit is cut off."""


Layout = Callable[[int, int], Mapping[Part, Region]]
"""Width and height of a screen → where its parts are."""


class Screen:
    """While entered, the terminal shows the parts of `layout` on its alternate screen.

    A thread paints: whoever changes a part holds `lock`, and never waits for the terminal, which
    may be slow, or be stopped by Ctrl-S. A part is rendered when it has changed, and not too
    often, and only lines that differ are written: nothing flickers. Where the screen's size
    changes, all of it is painted anew. Ctrl-Z gives the terminal back, and in the background
    nothing is painted.
    """

    def __init__(self, console: Console, layout: Layout) -> None:
        self.lock = threading.RLock()
        self.failure: Exception | None = None
        """Why nothing is painted any more, if so."""
        self._console = console
        self._layout = layout
        self._arranged: tuple[object, Mapping[Part, Region]] = (None, {})
        self._painted: dict[Part, _Painted] = {}
        self._is_shown = False
        self._hidden_until = 0.0
        self._writing = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_painting, daemon=True)
        self._answers_suspension = False
        self._since = time.monotonic()

    def __enter__(self) -> Screen:
        # A shell without job control has it ignored: it stays so.
        self._answers_suspension = (
            hasattr(signal, "SIGTSTP")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
        )
        if self._answers_suspension:
            signal.signal(signal.SIGTSTP, self._suspend)
        self._since = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._hide()
        if self._answers_suspension:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def _keep_painting(self) -> None:
        try:
            while not self._ended.is_set():
                self._paint()
                self._ended.wait(_REFRESH_SECONDS)
        except Exception as error:  # how a training looks is no reason to end it
            self.failure = error

    def _paint(self) -> None:
        with self._writing:
            if time.monotonic() < self._hidden_until or not _is_in_foreground(self._console):
                return
            with self._console.capture() as capture:
                if not self._is_shown:
                    self._is_shown, self._arranged = True, (None, {})
                    self._console.set_alt_screen(True)
                    self._console.show_cursor(False)
                with self.lock:
                    self._render()
            self._console.file.write(capture.get())
            self._console.file.flush()

    def _render(self) -> None:
        from rich.control import Control

        size = self._console.size
        regions = self._layout(*size)
        if (size, regions) != self._arranged:
            self._arranged, self._painted = (size, regions), {}
            self._console.control(Control.clear())
        for part, region in regions.items():
            painted = self._painted.get(part)
            if painted and (painted.version == part.version or time.monotonic() < painted.until):
                continue
            started = time.thread_time()
            version = part.version
            options = self._console.options.update_dimensions(region.width, region.height)
            lines = self._console.render_lines(part.render(region.width, region.height), options)
            for row, line in enumerate(lines[: region.height]):
                if not painted or line != painted.lines[row]:
                    self._console.control(Control.move_to(region.left, region.top + row))
                    self._console.print(_Line(line), end="", no_wrap=True)
            # What is shown first changes most: nothing rests for longer than has been watched.
            longest = min(_LONGEST_REST, max(_FIRST_REST, time.monotonic() - self._since))
            rests = min(longest, (time.thread_time() - started) / _SHARE)
            self._painted[part] = _Painted(version, lines, time.monotonic() + rests)

    def _hide(self) -> None:
        from rich.control import Control

        if self._is_shown:
            self._is_shown = False
            # tmux gives the screen its former size back first: what is then above the cursor, or
            # in it, scrolls into the history.
            self._console.control(Control.clear(), Control.home())
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def _suspend(self, number: int, _: FrameType | None) -> None:
        with self._writing:
            self._hide()
            suspend()
            # A launcher suspends a worker a moment later, since its session has no job control.
            self._hidden_until = time.monotonic() + _HIDDEN_SECONDS


@dataclass(frozen=True)
class _Painted:
    """What a region shows."""

    version: object
    lines: list[list[Segment]]
    until: float
    """When, by the monotonic clock, it may be rendered again."""


class _Line:
    """Segments as they are, for a console to write."""

    def __init__(self, segments: list[Segment]) -> None:
        self._segments = segments

    def __rich_console__(self, *_: object) -> list[Segment]:
        return self._segments


def _is_in_foreground(console: Console) -> bool:
    """Whether the terminal listens to this program, and not to a shell that sent it behind."""
    try:
        return os.tcgetpgrp(console.file.fileno()) == os.getpgrp()
    except (OSError, AttributeError):  # it has no such notion: not ours, or closed, or Windows
        return True
