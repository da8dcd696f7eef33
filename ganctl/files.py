"""Files that are there whole or not at all, however a program ends while it writes them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ganctl.errors import RunError, Setting, Text

_TEMPORARY = re.compile(r"\.ganctl-.+\.tmp")
_RENAME_ATTEMPTS = 50
_RACES = 3
"""Nobody loses more of them in a row: where it seems so, the file system's inodes mean nothing."""


class Disk:
    """What writing asks of the system, call by call; tests put one that fails in its place."""

    def open(self, path: Path) -> IO[bytes]:
        """A new, empty file. FileExistsError where anything is there, be it a link to nowhere."""
        return path.open("xb")

    def flush(self, file: IO[bytes]) -> None:
        """Hand everything to the system."""
        file.flush()

    def sync(self, file: IO[bytes]) -> None:
        """Have the system hand everything to the device."""
        if sys.platform == "darwin":  # whose fsync leaves it in the drive's own cache
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(file, fcntl.F_FULLFSYNC)
                return
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new` in one step."""
        # Windows refuses for as long as anyone, a virus scanner for one, has `new` open.
        for _ in range(_RENAME_ATTEMPTS if sys.platform == "win32" else 0):
            with contextlib.suppress(PermissionError):
                old.replace(new)
                return
            time.sleep(0.1)
        old.replace(new)

    def sync_folder(self, folder: Path) -> None:
        """Make new names in it durable; Windows has no such thing, some file systems refuse it."""
        if sys.platform == "win32":
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


disk = Disk()


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all: the one way in which anything is written.

    Written under a temporary name in the same folder, flushed to the device, then renamed over
    `path`; on any exception the temporary file is removed and `path` is as it was. What a killed
    program leaves is for `clear_abandoned`. No link is followed: nobody can guess the temporary
    name and put one there, and one at `path` is replaced itself. Raises RunError.
    """
    temporary = path.with_name(f".ganctl-{secrets.token_hex(8)}.tmp")
    try:
        try:
            file, _ = _opened(temporary, _anew, _mark_in_use)
            with file:
                yield file
                disk.flush(file)
                disk.sync(file)
            disk.rename(temporary, path)
            disk.sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise write_error(path, error) from None


def write_atomic(path: Path, content: bytes) -> None:
    """`content` as the file `path`, whole or not at all. Raises RunError."""
    with atomic_writer(path) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """`path` and its parents, where they are not there yet, for good. Raises RunError."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in reversed(missing):  # each is an entry in the one above it
            disk.sync_folder(folder.parent)
    except OSError as error:
        raise write_error(path, error) from None


def clear_link(path: Path) -> None:
    """Remove `path` where it is a link; what it leads to stays. Raises RunError."""
    try:
        if path.is_symlink():
            path.unlink()
    except OSError as error:
        raise write_error(path, error) from None


def is_temporary(path: Path) -> bool:
    """Whether `path` is named like the temporary file of a write."""
    return _TEMPORARY.fullmatch(path.name) is not None


def clear_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` that nobody is writing any more."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if not is_temporary(path):
                continue
            with contextlib.suppress(OSError):
                if path.is_symlink():
                    path.unlink()
                elif path.is_file():  # a pipe of that name is nobody's write
                    _remove_unless_in_use(path)


class Held:
    """A lock file that this process holds."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._can_tell = _is_at(file, path)

    def is_in_place(self) -> bool:
        """Whether it still is the file that others would ask for; True where that is not known."""
        return not self._can_tell or _is_at(self._file, self._path)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[Held | None]:
    """Hold the lock file `path`; yields None where somebody else does. A link there is removed.

    The system lets go of it when this process ends, however it ends. A file system without locks
    counts as one where nobody else is. Raises RunError where the file cannot be made.
    """
    clear_link(path)
    try:
        file, alone = _opened(path, _opened_lock, _lock_if_free)
    except OSError as error:
        raise write_error(path, error) from None
    with file:
        yield Held(file, path) if alone else None


def share(file: IO[bytes]) -> None:
    """Keep `exclusive` from an open `file`, beside others that do, while it or its mapping is open.

    Windows, where nobody can remove an open file, needs none of it.
    """
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_SH)


def write_error(path: Path, error: OSError) -> RunError:
    """Why `path` could not be written, in words."""
    free_space = Text("Free some space; a training then goes on with {}.", Setting("resume", True))
    hints: dict[int | None, str | Text] = {
        errno.ENOSPC: free_space,
        errno.EDQUOT: free_space,
        errno.EACCES: "Choose a place that you may write to.",
        errno.EPERM: "Choose a place that you may write to.",
        errno.EROFS: "Choose a place that can be written to.",
        errno.ENOENT: f"Is the folder {path.parent} there?",
    }
    return RunError(f"{path} cannot be written: {reason(error)}", hints.get(error.errno or 0))


def reason(error: OSError) -> str:
    """What the system says, without its number."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def _anew(path: Path) -> IO[bytes]:
    path.unlink(missing_ok=True)
    return disk.open(path)


def _opened_lock(path: Path) -> IO[bytes]:
    return open(path, "a+b", buffering=0, opener=_not_followed)


def _not_followed(path: str, flags: int) -> int:
    """Open a file as `open` does; OSError where it is a link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _opened(
    path: Path,
    opening: Callable[[Path], IO[bytes]],
    locking: Callable[[IO[bytes]], bool],
    races: int = _RACES,
) -> tuple[IO[bytes], bool]:
    """The open file at `path`, and what `locking` says of it.

    Before it is locked another program may remove it, or put another in its place: then anew.
    """
    file = opening(path)
    alone = locking(file)
    if races and not _is_at(file, path):
        file.close()
        return _opened(path, opening, locking, races - 1)
    return file, alone


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether it is the open `file` that is at `path`; True where the system does not tell."""
    if sys.platform == "win32":  # where nobody can remove an open file
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _lock(file: IO[bytes], *, wait: bool = False) -> None:
    """OSError where another open file has the lock, unless we `wait`, or where there are none."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _lock_if_free(file: IO[bytes]) -> bool:
    """Whether nobody else has locked `file`."""
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def _mark_in_use(file: IO[bytes]) -> bool:
    """So that no other program takes the file for abandoned; Windows keeps open files by itself."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            _lock(file, wait=True)  # for as long as another program takes to remove it
    return True


def _remove_unless_in_use(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()
        return
    with open(path, "rb", opener=_not_followed) as file:
        _lock(file)
        if _is_at(file, path):  # not the next file of that name, whose writer has it locked
            path.unlink()
