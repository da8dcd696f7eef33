"""The terminal. Only this module prints: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from ganctl.cli.option_names import spelled
from ganctl.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

    from ganctl.errors import Text

_UNBROKEN = re.compile(
    r"\s*(?:ganctl (?:train|sample|interpolate|runs|inspect|evaluate|project|directions|export"
    r"|explore|data|config|report|bench)\b.*"
    r"|pip install .*|'[^']*'\S*|\S+)"
)
"""The parts of a line that stay whole: a command to its end, quoted text, a word."""
_MAX_CELL_CHARS = 2000
"""Characters of a table's cell: every row is padded to the longest one."""
_MANY = 1000
"""Minimum number of items whose processing plain output announces."""


class Terminal:
    """The output of a command: colors and live bars on a terminal, plain lines elsewhere."""

    def __init__(self, *, json_wanted: bool = False, quiet: bool = False) -> None:
        self.json_wanted = json_wanted
        self.quiet = quiet
        """Whether only results, warnings and errors are printed."""

    @functools.cached_property
    def out(self) -> Console:
        """The console on stdout, for results."""
        return _console(sys.stdout)

    @functools.cached_property
    def err(self) -> Console:
        """The console on stderr, for progress and messages."""
        return _console(sys.stderr)

    @property
    def is_live(self) -> bool:
        """Whether stderr can show live progress bars."""
        return _is_rich(sys.stderr) and not self.err.legacy_windows

    @property
    def shows_pictures(self) -> bool:
        """Whether stdout is a terminal with colors."""
        return _is_rich(sys.stdout)

    def document(self, value: Any) -> None:
        """Print one JSON document as a line of stdout."""
        print(json.dumps(value, allow_nan=False), flush=True)

    def result(self, text: str) -> None:
        """Print a line of the result."""
        _print_line(self.out, text)

    def content(self, content: RenderableType) -> None:
        """Print a result of many lines, or a picture, without wrapping it."""
        self.out.print(content, soft_wrap=True, end="")

    def heading(self, text: str) -> None:
        """Print the heading of a part of the result."""
        self.out.print(f"\n{printable(text)}", style="bold", soft_wrap=True)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1
    ) -> None:
        """Print a table of the result; its first `left` columns are left-aligned."""
        cells = [[printable(str(cell)[:_MAX_CELL_CHARS]) for cell in row] for row in rows]
        if not _is_rich(sys.stdout):
            self._plain_table(columns, cells, left)
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.ROUNDED, show_header=any(columns), header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index < left else "right", overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        self.out.print(table)

    def lines(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and values on lines that are never wrapped, so that they can be copied."""
        self._plain_table(("", ""), [[printable(cell) for cell in row] for row in rows], left=2)

    def _plain_table(self, columns: Sequence[str], rows: list[list[str]], left: int) -> None:
        """Print a table without cutting cells: a pipe has no width, and its text is searched."""
        lines = [list(columns), *rows] if any(columns) else rows
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        widths[-1] *= len(widths) > left  # a left-aligned last column needs no padding
        for line in lines:
            padded = [
                cell.ljust(width) if index < left else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            self.out.print(printable("  ".join(padded).rstrip()), soft_wrap=True)

    def note(self, text: str | Text) -> None:
        """Print a message to stderr, unless --quiet was given."""
        if not self.quiet:
            _print_line(self.err, spelled(text))

    def open_in_browser(self, path: Path) -> None:
        """Open a page in the default browser, or say that there is none."""
        import webbrowser

        if not webbrowser.open(path.absolute().as_uri()):
            self.note(f"No browser found: open {path} in one.")

    def notes(self, lines: Iterable[str | Text]) -> None:
        """Print several messages, as `note` does."""
        for line in lines:
            self.note(line)

    def warnings(self, lines: Iterable[str | Text]) -> None:
        """Print several messages to stderr, also with --quiet."""
        for line in lines:
            _print_line(self.err, spelled(line))

    def error(
        self,
        message: str | Text,
        hint: str | Text | None = None,
        *,
        details: Sequence[str] = (),
    ) -> None:
        """Print an error: what went wrong, what it affects, and what to do about it."""
        for line in (f"ganctl: {spelled(message)}", *(f"  {line}" for line in details)):
            _print_line(self.err, line)
        if hint:
            _print_line(self.err, f"  {spelled(hint)}")

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Yield a function that shows a task's progress: its name, items done and total items.

        Each task gets a bar or, where bars cannot be shown, a line if it has many items. Until the
        function is called, a spinner shows that the program is alive: loading torch takes seconds.
        """
        if self.json_wanted or self.quiet:
            yield lambda task, done, total: None
        elif not self.is_live:
            announced: set[str] = set()

            def announce(task: str, done: int, total: int) -> None:
                if task not in announced and not 0 < total < _MANY:
                    announced.add(task)
                    self.note(f"{task[:1].upper()}{task[1:]}{f': {total:,}' * bool(total)} ...")

            yield announce
        else:
            with _bars(self.err) as show:
                yield show


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    from rich import progress

    with progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[count]}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as bars:
        bar_of: dict[str, progress.TaskID] = {}
        starting = bars.add_task("starting", total=None, count="")

        def show(task: str, done: int, total: int) -> None:
            if task not in bar_of:
                bars.update(starting, visible=False)
                bar_of[task] = bars.add_task(printable(task), total=None, count="")
            count = f"{done:,}/{total:,}" if total else f"{done:,}" if done else ""
            bars.update(bar_of[task], completed=done, total=total or None, count=count)

        yield show


def _is_rich(stream: IO[str]) -> bool:
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in ("dumb", "unknown")
    )


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # an arrow is no reason to fail in a cp1252 pipe
    rich = _is_rich(stream)
    return Console(
        file=stream, force_terminal=rich, no_color=not rich, markup=False, highlight=False
    )


def _print_line(console: Console, text: str) -> None:
    """Print a line of prose, wrapped between words on a terminal."""
    text = printable(text)
    if _is_rich(console.file):
        text = wrapped(text, console.width)
    console.print(text, soft_wrap=True)


def wrapped(text: str, width: int) -> str:
    """Wrap `text` between words into lines of at most `width` cells, indented as the first is.

    Commands and quotations are not broken, so that they can be copied.

    >>> wrapped("  To resume: ganctl train --resume --out runs/mnist-fast", 20)
    '  To resume:\\n  ganctl train --resume --out runs/mnist-fast'
    """
    from rich.cells import cell_len

    indent = text[: len(text) - len(text.lstrip())]
    lines = [""]
    for part in _UNBROKEN.findall(text):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append(indent + part.lstrip())
        else:
            lines[-1] += part
    return "\n".join(lines)
