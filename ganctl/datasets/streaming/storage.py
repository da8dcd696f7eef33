"""Files at local paths, or at addresses of object stores and web servers.

fsspec, https://filesystem-spec.readthedocs.io, reads the latter.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from ganctl import files, limits
from ganctl.datasets.sources.bounded import Bounded
from ganctl.errors import DataError, PackageError, Setting, Text, UsageError
from ganctl.text import printable

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.+", re.ASCII)
_PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "http": "aiohttp",
    "https": "aiohttp", "memory": "",
}  # fmt: skip
"""The package that fsspec needs for each kind of address. It knows more kinds, some of which do
more than read; and an address in a checkpoint may come from anyone."""
_WEB = ("http", "https")
_RETRIES = (0.5, 2.0, 8.0)
"""Seconds before each further attempt after a connection failed."""
_CHUNK = 2**20
"""Bytes requested at once: small enough that few are requested in vain."""

Result = TypeVar("Result")


def is_address(name: str) -> bool:
    """Return whether `name` is written like an address, such as s3://bucket/index.json."""
    return _ADDRESS.fullmatch(name) is not None


def require_address(address: str) -> None:
    """Raise UsageError if `address` cannot be used, PackageError if a package is missing."""
    if "::" in address:
        raise UsageError(f"'{printable(address)}' is a chain of addresses", "Give a single one.")
    parts = urlsplit(address)
    if parts.password is not None:  # a checkpoint keeps the address, and may be handed on
        raise UsageError(
            "an address with a password in it would be kept in the checkpoint",
            "Leave it out, and set it in the environment, as with AWS_SECRET_ACCESS_KEY.",
        )
    if parts.username is not None and parts.scheme in _WEB:  # elsewhere it can be a bucket's name
        raise UsageError(
            "an address with a user or a token in it would be kept in the checkpoint",
            "Leave it out: web servers are read without credentials.",
        )
    _file_system(address)


def sibling(address: str, name: str) -> str:
    """Return the address or path of `name` in the same folder as `address`."""
    if is_address(address):
        return f"{address.rpartition('/')[0]}/{name}"
    return os.path.join(os.path.dirname(address), name)  # noqa: PTH118, PTH120


def open_file(address: str) -> IO[bytes]:
    """Return the file at an address or path, open at any offset. Raises DataError, UsageError."""
    if is_address(address):
        return RangeFile(address)  # type: ignore[return-value]
    try:
        if not stat.S_ISREG(os.stat(address).st_mode):  # noqa: PTH116 - a pipe would be waited for
            raise DataError(f"{printable(address)} is not a file")
        return Bounded(address)
    except OSError as error:
        raise DataError(f"{printable(address)} cannot be read: {files.reason(error)}") from None


@contextlib.contextmanager
def writer(address: str) -> Iterator[IO[bytes]]:
    """Yield a new file at an address or path, which appears whole or not at all.

    What goes to an object store is first written to a temporary file. Raises DataError, RunError.
    """
    if not is_address(address):
        files.make_folder(Path(address).parent)
        files.clear_abandoned(Path(address).parent)
        with files.atomic_writer(Path(address)) as file:
            yield file
        return
    system, path = _file_system(address)
    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:
        local = Path(folder) / "file"
        try:
            with local.open("wb") as file:
                yield file
        except OSError as error:
            raise files.write_error(local, error) from None
        _retry(address, lambda: system.put_file(str(local), path), "written")


def remove(address: str) -> None:
    """Remove the file at an address or path, if it is there and can be removed."""
    with contextlib.suppress(Exception):
        if is_address(address):
            system, path = _file_system(address)
            system.rm_file(path)
        else:
            Path(address).unlink()


def list_names(folder: str) -> list[str]:
    """Return the sorted names of the files in a folder; none if there is no folder."""
    if not is_address(folder):
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DataError(f"{printable(folder)} cannot be read: {files.reason(error)}") from None
    if folder.partition("://")[0] in _WEB:  # its page of links could be of any size
        raise DataError(f"{printable(folder)} cannot be listed: it is on a web server")
    system, path = _file_system(folder)

    def list_all() -> list[str]:
        try:
            return [str(name) for name in system.ls(path, detail=False, refresh=True)]
        except FileNotFoundError:
            return []

    return sorted(posixpath.basename(name.rstrip("/")) for name in _retry(folder, list_all))


def size_of(file: IO[bytes]) -> int:
    """Return the size of an open file in bytes."""
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


class RangeFile(io.RawIOBase):
    """A remote file that is read in ranges of bytes, with retries if a connection fails."""

    def __init__(self, address: str) -> None:
        """Open the file at `address`. Raises DataError if it cannot be read, UsageError."""
        super().__init__()
        self._address = address
        self._system, self._path = _file_system(address)
        self._at = 0
        self._chunk, self._chunk_at = b"", 0
        size = _retry(address, lambda: self._system.info(self._path).get("size"))
        if type(size) is not int:
            raise DataError(f"{printable(address)} cannot be read: its size is not known")
        self._size = size

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes. Raises OSError if they are too many at once, and DataError."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > limits.PIECE_BYTES:
            raise OSError("a piece of it is too large")
        begin = self._at - self._chunk_at
        if not 0 <= begin <= begin + wanted <= len(self._chunk):
            self._chunk = self._fetch(self._at, min(self._size, self._at + max(wanted, _CHUNK)))
            self._chunk_at, begin = self._at, 0
        self._at += wanted
        return self._chunk[begin : begin + wanted]

    def _fetch(self, first: int, end: int) -> bytes:
        def fetch() -> bytes:
            content: bytes = self._system.cat_file(self._path, start=first, end=end)
            if len(content) < end - first:
                raise OSError("the connection broke")
            if len(content) > end - first:
                raise DataError(
                    f"{printable(self._address)} is not served in parts",
                    "Serve it with a server that supports range requests.",
                )
            return content

        return _retry(self._address, fetch) if end > first else b""


def _retry(address: str, action: Callable[[], Result], done: str = "read") -> Result:
    for seconds in (*_RETRIES, None):
        try:
            return action()
        except DataError:
            raise
        except FileNotFoundError:
            raise DataError(f"there is nothing at {printable(address)}") from None
        except PermissionError as error:
            raise DataError(
                f"{printable(address)} may not be {done}: {_reason(error)}",
                "Check the credentials in the environment.",
            ) from None
        except Exception as error:  # each store's client has exceptions of its own
            if seconds is None:
                raise DataError(
                    f"{printable(address)} cannot be {done}: {_reason(error)}",
                    Text(
                        "Run the same command again later, or resume training with {}.",
                        Setting("resume", True),
                    ),
                ) from None
            time.sleep(seconds)
    raise AssertionError


def _file_system(address: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it."""
    protocol = address.partition("://")[0]
    if protocol not in _PACKAGES:
        raise UsageError(
            f"addresses that begin with '{protocol}://' are not supported",
            f"Supported: {', '.join(_PACKAGES)}.",
        )
    import fsspec  # torch requires it

    try:
        if protocol in _WEB:
            from ganctl.datasets.streaming.web import WebFiles

            return WebFiles(), address
        system, path = fsspec.core.url_to_fs(address)
    except ImportError:
        raise PackageError.missing(f"{protocol}://", _PACKAGES[protocol]) from None
    except Exception as error:
        raise DataError(f"{printable(address)} cannot be read: {_reason(error)}") from None
    return system, path


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:200]) or type(error).__name__
