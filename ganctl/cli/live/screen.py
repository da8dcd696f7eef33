"""A full-screen display on a terminal, divided into regions; only changed lines are written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from ganctl.cli.signals import handling, suspend

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

_REFRESH_SECONDS = 0.25
_RENDERING_SHARE = 0.001
"""Share of the time that rendering a panel may take: after a slow rendering it rests."""
_FIRST_REST, _LONGEST_REST = 2.0, 16.0
"""Maximum seconds that a panel rests, at first and later on: the first rendering is the slowest."""
_HIDDEN_SECONDS = 1.0


@dataclass(frozen=True)
class Region:
    """A rectangle of the screen, in cells from its upper left corner."""

    top: int
    left: int
    width: int
    height: int


class Panel(Protocol):
    """The content of a region of the screen, such as curves or a table."""

    @property
    def version(self) -> object:
        """A value that changes whenever the panel would look different in the same region."""

    def render(self, width: int, height: int) -> RenderableType:
        """Return the panel's content for a region of this size; what does not fit is cut off."""


Layout = Callable[[int, int], Mapping[Panel, Region]]
"""A function from the width and height of a screen to the regions of its panels."""


class Screen:
    """A screen of panels, shown on the terminal's alternate screen within its context.

    A thread paints. Code that changes a panel holds `lock` and never waits for the terminal, which
    may be slow or stopped by Ctrl-S. After a resize everything is painted again. Ctrl-Z gives the
    terminal back, and nothing is painted in the background.
    """

    def __init__(self, console: Console, layout: Layout) -> None:
        self.lock = threading.RLock()
        self.failure: Exception | None = None
        """The error that ended painting, if any."""
        self._console = console
        self._layout = layout
        self._arranged: tuple[object, Mapping[Panel, Region]] = (None, {})
        self._painted: dict[Panel, _Painted] = {}
        self._is_shown = False
        self._hidden_until = 0.0
        self._writing = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_painting, daemon=True)
        self._handling = handling(["SIGTSTP"], self._suspend)
        self._started = time.monotonic()

    def __enter__(self) -> Screen:
        self._handling.__enter__()
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._hide()
        self._handling.__exit__(None, None, None)

    def _keep_painting(self) -> None:
        try:
            while not self._ended.is_set():
                self._paint()
                self._ended.wait(_REFRESH_SECONDS)
        except Exception as error:  # a broken display must not end a training run
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
        from rich.segment import Segments

        size = self._console.size
        regions = self._layout(*size)
        if (size, regions) != self._arranged:
            self._arranged, self._painted = (size, regions), {}
            self._console.control(Control.clear())
        for panel, region in regions.items():
            painted = self._painted.get(panel)
            if painted and (painted.version == panel.version or time.monotonic() < painted.until):
                continue
            started = time.thread_time()
            version = panel.version
            options = self._console.options.update_dimensions(region.width, region.height)
            lines = self._console.render_lines(panel.render(region.width, region.height), options)
            for row, line in enumerate(lines[: region.height]):
                if not painted or line != painted.lines[row]:
                    self._console.control(Control.move_to(region.left, region.top + row))
                    self._console.print(Segments(line), end="", no_wrap=True)
            # A run changes most at its beginning: a panel rests no longer than it has been shown.
            longest = min(_LONGEST_REST, max(_FIRST_REST, time.monotonic() - self._started))
            rest = min(longest, (time.thread_time() - started) / _RENDERING_SHARE)
            self._painted[panel] = _Painted(version, lines, time.monotonic() + rest)

    def _hide(self) -> None:
        from rich.control import Control

        if self._is_shown:
            self._is_shown = False
            # tmux restores the screen's former size first, and what is then above or at the cursor
            # scrolls into the history.
            self._console.control(Control.clear(), Control.home())
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        with self._writing:
            self._hide()
            suspend()
            # A launcher suspends a worker a moment later, since its session has no job control.
            self._hidden_until = time.monotonic() + _HIDDEN_SECONDS


@dataclass(frozen=True)
class _Painted:
    """The state of a panel when it was last painted."""

    version: object
    lines: list[list[Segment]]
    until: float
    """Time of the monotonic clock at which it may be rendered again."""


def _is_in_foreground(console: Console) -> bool:
    """Return whether this program is in the foreground of its terminal, not suspended."""
    try:
        return os.tcgetpgrp(console.file.fileno()) == os.getpgrp()
    except (OSError, AttributeError):  # not our controlling terminal, closed, or Windows
        return True
