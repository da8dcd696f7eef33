"""Standard streams that outlive their reader: a closed pipe or a full disk ends no training run."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Let no write to stdout or stderr fail in this context; `stdout_error` has the first error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would get its number, and with it
            os.open(os.devnull, os.O_RDWR)  # what libraries write to stdout or stderr
    previous = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _tolerant(sys.stdout), _tolerant(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = previous


def stdout_error() -> OSError | None:
    """Return the first error in writing to stdout; None if all of it was written."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _TolerantStream) else None


def _tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(_TolerantStream(_ClosedStream())), "utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # python -u has no buffer in between
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        return stream  # in memory
    return io.TextIOWrapper(
        io.BufferedWriter(_TolerantStream(raw)), stream.encoding, stream.errors,
        line_buffering=stream.line_buffering,
    )  # fmt: skip


class _ClosedStream(io.RawIOBase):
    """A stream that was closed before this program started, as by `>&-` in a shell."""

    def write(self, data: ReadableBuffer) -> int:
        raise OSError(errno.EBADF, "it is closed")


class _TolerantStream(io.RawIOBase):
    """A stream that never fails; `error` is the first error of the stream that it wraps."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, data: ReadableBuffer) -> int:
        try:
            # None: another program made the shared pipe or terminal non-blocking.
            while (written := self._raw.write(data)) is None:
                select.select([], [self._raw], [])
            return written
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes
