"""The only place that prints: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, TextIO

from ganctl.cli.spelling import spelled
from ganctl.text import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import Console, RenderableType

    from ganctl.errors import Text

_UNBROKEN = re.compile(
    r"\s*(?:ganctl (?:train|sample|interpolate|inspect|evaluate|data|config|report)\b.*"
    r"|pip install .*|'[^']*'\S*|\S+)"
)
"""The parts of a line that stay whole: a command to its end, what is quoted, a word."""
_MAX_CELL = 2000
"""Characters of a table's cell: every row is padded to the longest, and a file may hold any."""
_MANY = 1000
"""Things that take long enough to be told of."""


class Terminal:
    """What a command shows. On a terminal with colour and live bars, elsewhere as plain lines."""

    def __init__(self, *, json_wanted: bool = False, quiet: bool = False) -> None:
        self.json_wanted = json_wanted
        self.quiet = quiet
        """Whether only results and what is wrong are told."""

    @functools.cached_property
    def out(self) -> Console:
        """Where results go."""
        return _console(sys.stdout)

    @functools.cached_property
    def err(self) -> Console:
        """Where everything else goes."""
        return _console(sys.stderr)

    @property
    def live(self) -> bool:
        """Whether what moves is welcome on stderr."""
        return _is_rich(sys.stderr) and not self.err.legacy_windows

    @property
    def unheard(self) -> OSError | None:
        """Why not all of the results reached stdout, if so."""
        sys.stdout.flush()
        raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        return raw.failure if isinstance(raw, _Lasting) else None

    def document(self, value: Any) -> None:
        """One JSON document on a line of stdout, for --json."""
        print(json.dumps(value, allow_nan=False), flush=True)

    def result(self, text: str) -> None:
        """A line of the result."""
        _say(self.out, sys.stdout, text)

    def notes(self, lines: Iterable[str | Text]) -> None:
        """Lines beside the result."""
        for line in lines:
            self.note(line)

    def content(self, text: str) -> None:
        """A result of many lines, as it is."""
        self.out.print(text, markup=False, highlight=False, soft_wrap=True, end="")

    def note(self, text: str | Text) -> None:
        """A line beside the result."""
        if not self.quiet:
            self._tell(text)

    def _tell(self, text: str | Text) -> None:
        _say(self.err, sys.stderr, spelled(text))

    def heading(self, text: str) -> None:
        """A line over a part of the result."""
        self.out.print(
            f"\n{printable(text)}", style="bold", markup=False, highlight=False, soft_wrap=True
        )

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1
    ) -> None:
        """A table of the result; the first `left` columns flush left, the others flush right."""
        cells = [[printable(str(cell)[:_MAX_CELL]) for cell in row] for row in rows]
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
        """Names and values on lines that are never folded: values that are to be copied whole."""
        self._plain_table(("", ""), [[printable(cell) for cell in row] for row in rows], left=2)

    @property
    def shows_pictures(self) -> bool:
        """Whether stdout is a terminal that has colours."""
        return _is_rich(sys.stdout)

    def picture(self, blocks: RenderableType) -> None:
        """A picture, as `HalfBlocks` draws it."""
        self.out.print(blocks, end="")

    def _plain_table(self, columns: Sequence[str], rows: list[list[str]], left: int) -> None:
        """Whole cells in plain columns: a pipe has no width, and what is in it can be searched."""
        lines = [list(columns), *rows] if any(columns) else rows
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = [
                cell.ljust(width) if index < left else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line[:-1], widths, strict=False))
            ]
            last = line[-1] if len(line) <= left else line[-1].rjust(widths[-1])
            text = printable("  ".join([*padded, last]).rstrip())
            self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def status(self, text: str) -> Iterator[None]:
        """A moving sign, while something takes its time; a line where nothing moves."""
        if self.json_wanted or self.quiet:
            yield
        elif not self.live:
            self.note(f"{text[:1].upper()}{text[1:]} ...")
            yield
        else:
            from rich.markup import escape

            with self.err.status(escape(printable(text))):
                yield

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar for each part of some work; where nothing moves, a line for each large one.

        What it gives is told (what is being done, how much of it is done, of how much). Until it
        is told of the first part, a moving sign shows that something goes on: loading torch alone
        takes seconds.
        """
        if self.json_wanted or self.quiet or not self.live:
            said: set[str] = set()

            def tell(doing: str, done: int, total: int) -> None:
                if not self.json_wanted and doing not in said and not 0 < total < _MANY:
                    said.add(doing)
                    self.note(f"{doing[:1].upper()}{doing[1:]}{f': {total:,}' * bool(total)} ...")

            yield tell
            return
        from rich import progress

        with progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[count]}", markup=False),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=self.err,
            transient=True,
        ) as bars:
            tasks: dict[str, progress.TaskID] = {}
            starting = bars.add_task("starting", total=None, count="")

            def show(doing: str, done: int, total: int) -> None:
                if doing not in tasks:
                    bars.update(starting, visible=False)
                    tasks[doing] = bars.add_task(printable(doing), total=None, count="")
                count = f"{done:,}/{total:,}" if total else f"{done:,}" if done else ""
                bars.update(tasks[doing], completed=done, total=total or None, count=count)

            yield show

    def error(
        self,
        message: str | Text,
        hint: str | Text | None = None,
        *,
        details: Sequence[str] = (),
    ) -> None:
        """What went wrong, with what, and what to do about it."""
        self._tell(f"ganctl: {spelled(message)}")
        for detail in details:
            self._tell(f"  {detail}")
        if hint:
            self._tell(f"  {spelled(hint)}")


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """While entered, no write to stdout or stderr fails: hours of training do not end with a pipe.

    A reader may leave, a terminal be closed, a disk be full; `Terminal.unheard` tells.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed before we came: the next file opened would be given its number,
            os.open(os.devnull, os.O_RDWR)  # and with it what other libraries write there
    previous = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = previous


def _lasting(stream: TextIO | None) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(_Lasting(_Closed())), "utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # python -u has none between
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        return stream  # in memory
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(raw)), stream.encoding, stream.errors,
        line_buffering=stream.line_buffering,
    )  # fmt: skip


class _Closed(io.RawIOBase):
    """A stream that was closed before this program started, as by `>&-` in a shell."""

    def write(self, data: ReadableBuffer) -> int:
        raise OSError(errno.EBADF, "it is closed")


class _Lasting(io.RawIOBase):
    """What takes all that is written, though it be lost; `failure` is why the first of it was."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, data: ReadableBuffer) -> int:
        try:
            # None: whoever shares the pipe or the terminal made it one that does not wait.
            while (written := self._raw.write(data)) is None:
                select.select([], [self._raw], [])
            return written
        except OSError as error:
            self.failure = self.failure or error
            return memoryview(data).nbytes


def _is_rich(stream: IO[str]) -> bool:
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in ("dumb", "unknown")
    )


def _say(console: Console, stream: IO[str], text: str) -> None:
    """Print a line of prose, on a terminal broken between words."""
    text = printable(text)
    if _is_rich(stream):
        text = wrapped(text, console.width)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def wrapped(text: str, width: int) -> str:
    """Break `text` between words into lines of at most `width` cells, indented as the first is.

    A command, and what is quoted, is not broken: it can be copied whole.

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


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # an arrow is no reason to fail in a cp1252 pipe
    rich = _is_rich(stream)
    return Console(file=stream, force_terminal=rich, no_color=not rich)
