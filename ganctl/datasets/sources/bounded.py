"""Limits on the memory and the disk that reading archives of unknown origin takes."""

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
    """Return whether images would never shrink from `unpacked` bytes to `packed` bytes."""
    return unpacked > limits.FREE_BYTES and unpacked > limits.RATIO * packed


class Bounded(io.FileIO):
    """A file that refuses to be read in pieces larger than the directory of an honest archive.

    It is closed with the last object that reads it, since processes may share a source.
    """

    def __init__(self, path: str | os.PathLike[str], largest: int = limits.DIRECTORY_BYTES) -> None:
        super().__init__(path)
        self._largest = largest

    def __del__(self) -> None:
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes. Raises OSError."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        if size > self._largest:
            raise OSError("its directory is too large")
        return super().read(size) or b""


class Xz:
    """The content of an .xz file; the memory for its dictionary is bounded."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: PTH123, SIM115
        self._unpacker = lzma.LZMADecompressor(memlimit=limits.XZ_BYTES)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end. Raises OSError, LZMAError, EOFError."""
        content = packed = b""
        while not content:
            if self._unpacker.eof:  # another stream may follow
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
    """A temporary file that is removed with this object; other processes may read it meanwhile."""

    def __init__(self, content: IO[bytes] | Xz, packed: int, name: str) -> None:
        """Copy all of `content`, which was `packed` bytes before. Raises DataError."""
        with _disk_errors(name):
            file = tempfile.NamedTemporaryFile(prefix="ganctl-", delete=False)  # noqa: SIM115
        self.path = Path(file.name)
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())
        try:
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
                    "it looks like a decompression bomb",
                    "If you trust it, unpack it yourself and give the folder.",
                )
            with _disk_errors(name):
                file.write(chunk)
        with _disk_errors(name):
            file.flush()

    def __fspath__(self) -> str:
        return str(self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{name} cannot be unpacked to a temporary file: {reason}", _HINT) from None
