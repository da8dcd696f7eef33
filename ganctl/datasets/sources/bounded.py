"""Archives of unknown origin: what bounds the memory and the disk that reading them takes."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ganctl import limits
from ganctl.errors import DataError

_CHUNK = 2**20
_HINT = "Unpack it yourself, or set TMPDIR to a folder with more space."


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether so many bytes from so few are more than any image needs."""
    return unpacked > limits.FREE_BYTES and unpacked > limits.RATIO * packed


class Bounded(io.FileIO):
    """A file that refuses to be read in pieces larger than an honest archive's directory is.

    It is closed with the last object that reads it: a source, which processes may share, has no end
    of its own.
    """

    def __init__(self, path: str | Path, largest: int = limits.DIRECTORY_BYTES) -> None:
        """Raises OSError."""
        super().__init__(path)
        self._largest = largest

    def __del__(self) -> None:
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's; raises OSError."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        if size > self._largest:
            raise OSError("its directory is too large")
        return super().read(size) or b""


class Xz:
    """The content of an .xz file, with a bound on the memory that it may ask for its dictionary."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._file = open(path, "rb")  # noqa: PTH123, SIM115
        self._unpacker = lzma.LZMADecompressor(memlimit=limits.XZ_BYTES)

    def read(self, size: int) -> bytes:
        """Return `size` bytes at most, none at the end. Raises OSError, LZMAError, EOFError."""
        content = packed = b""
        while not content:
            if self._unpacker.eof:  # several streams may follow one another
                packed = (self._unpacker.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                if not packed:
                    break
                self._unpacker = lzma.LZMADecompressor(memlimit=limits.XZ_BYTES)
            elif self._unpacker.needs_input:
                packed = self._file.read(_CHUNK)
                if not packed:
                    raise EOFError("it ends too early")
            content = self._unpacker.decompress(packed, size)
            packed = b""
        return content

    def __enter__(self) -> Xz:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Unpacked:
    """A temporary file, gone when its maker is; other processes may read it meanwhile."""

    def __init__(self, content: IO[bytes] | Xz, packed: int, name: str) -> None:
        """All of `content`, which was `packed` bytes before. Raises DataError."""
        with _disk_errors(name):
            handle, path = tempfile.mkstemp(prefix="ganctl-")
        self.path = Path(path)
        self._finalizer = weakref.finalize(self, _remove, path, os.getpid())
        try:
            with _disk_errors(name):
                file = os.fdopen(handle, "wb")
            with file:
                self._copy(content, file, packed, name)
        except BaseException:
            self._finalizer()
            raise

    def _copy(self, content: IO[bytes] | Xz, file: IO[bytes], packed: int, name: str) -> None:
        written = 0
        while chunk := content.read(_CHUNK):
            if written % (64 * _CHUNK) == 0:
                free = shutil.disk_usage(self.path.parent).free
                if free < limits.FREE_DISK_BYTES:
                    raise DataError(f"no space to unpack {name} in {self.path.parent}", _HINT)
            written += len(chunk)
            if is_bomb(written, packed):
                raise DataError(
                    f"{name} unpacks to more than {limits.RATIO} times its size: "
                    "it looks like a bomb",
                    "If you trust it, unpack it yourself and give the folder.",
                )
            with _disk_errors(name):
                file.write(chunk)
        with _disk_errors(name):
            file.flush()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not a forked child
        with contextlib.suppress(OSError):
            Path(path).unlink()


@contextlib.contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{name} cannot be unpacked to a temporary file: {reason}", _HINT) from None
