"""Atomic writes and locks: files are complete or absent, however a program ends while writing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ganctl.errors import DataError, RunError, Setting, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TEMPORARY = re.compile(r"\.ganctl-.+\.tmp")
_RENAME_ATTEMPTS = 50
_MAX_RACES = 3
"""Races lost in a row before the file system's inode numbers are taken to mean nothing."""


class Disk:
    """The system calls of a write, in the open folder `dir_fd` if given. Tests replace it."""

    def open(self, path: Path, dir_fd: int | None = None) -> IO[bytes]:
        """Create an empty file. Raises FileExistsError if there is anything, even a broken link."""
        return open(path, "xb", opener=_opener(dir_fd))

    def flush(self, file: IO[bytes]) -> None:
        """Flush the file's buffer to the operating system."""
        file.flush()

    def sync(self, file: IO[bytes]) -> None:
        """Flush the file from the operating system to the device."""
        if sys.platform == "darwin":  # fsync leaves it in the drive's own cache
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(file, fcntl.F_FULLFSYNC)
                return
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path, dir_fd: int | None = None) -> None:
        """Replace `new` by `old` in one step."""
        # Windows refuses for as long as another program, such as a virus scanner, has `new` open.
        for _ in range(_RENAME_ATTEMPTS if sys.platform == "win32" else 0):
            with contextlib.suppress(PermissionError):
                os.replace(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
                return
            time.sleep(0.1)
        os.replace(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def sync_folder(self, folder: Path) -> None:
        """Make new names in it durable; Windows cannot, and some file systems refuse."""
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
def atomic_writer(path: Path, dir_fd: int | None = None) -> Iterator[IO[bytes]]:
    """Open `path` for writing so that it is replaced as a whole or not at all.

    The content is written under a temporary name in the same folder, flushed to the device, then
    renamed to `path`. On any exception the temporary file is removed and `path` is as it was; what
    a killed program leaves is removed by `clear_abandoned`. No link is followed: nobody can guess
    the temporary name and put a link there, and a link at `path` is itself replaced. With `dir_fd`
    from `real_folder`, neither is the folder a link. Raises RunError.
    """
    target = path if dir_fd is None else Path(path.name)
    temporary = target.with_name(f".ganctl-{secrets.token_hex(8)}.tmp")

    def remove_temporary() -> None:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)

    def create(temporary: Path) -> IO[bytes]:
        remove_temporary()
        return disk.open(temporary, dir_fd)

    try:
        try:
            file, _ = _open_locked(temporary, create, _mark_in_use, dir_fd)
            with file:
                yield file
                disk.flush(file)
                disk.sync(file)
            disk.rename(temporary, target, dir_fd)
            disk.sync_folder(path.parent)
        except BaseException:
            remove_temporary()
            raise
    except OSError as error:
        raise write_error(path, error) from None


def write_atomic(path: Path, content: bytes, dir_fd: int | None = None) -> None:
    """Write `content` to `path` as `atomic_writer` does. Raises RunError."""
    with atomic_writer(path, dir_fd) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """Make the folder `path` and its parents if they are missing, durably. Raises RunError."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in reversed(missing):  # each is an entry in the one above it
            disk.sync_folder(folder.parent)
    except OSError as error:
        raise write_error(path, error) from None


@contextlib.contextmanager
def real_folder(path: Path) -> Iterator[int | None]:
    """Make the folder `path`, replacing a link there, and hold it open for `write_atomic`.

    Yields None on Windows, which cannot write relative to an open folder. Raises RunError.
    """
    try:
        _remove_link(path)
        make_folder(path)
        descriptor = None
        if sys.platform != "win32":  # a link put there just now is not followed
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise write_error(path, error) from None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Return whether `path` has the name of an unfinished write's temporary file."""
    return _TEMPORARY.fullmatch(path.name) is not None


def clear_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` that no program is writing any more."""
    with contextlib.suppress(OSError):
        for path in filter(is_temporary, list(folder.iterdir())):
            with contextlib.suppress(OSError):
                if path.is_symlink():
                    path.unlink()
                elif path.is_file():  # a pipe of that name is no unfinished write
                    _remove_unless_in_use(path)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[Callable[[], bool] | None]:
    """Hold the lock file `path`, or yield None if another process does. A link there is removed.

    The yielded function returns whether the locked file is still the one at `path`; True if that
    cannot be known. The system releases the lock when this process ends, however it ends. On a
    file system without locks nobody else counts as holding it. Raises RunError if the file cannot
    be made.
    """

    def open_lock(path: Path) -> IO[bytes]:
        return open(path, "a+b", buffering=0, opener=_opener())

    try:
        _remove_link(path)
        file, is_free = _open_locked(path, open_lock, _lock_if_free)
    except OSError as error:
        raise write_error(path, error) from None
    with file:
        can_check = _is_at(file, path)
        yield (lambda: not can_check or _is_at(file, path)) if is_free else None


def share(file: IO[bytes]) -> None:
    """Take a shared lock on an open file, which keeps `exclusive` out until it is closed.

    Windows needs none: nobody can remove an open file there.
    """
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_SH)


def write_error(path: Path, error: OSError) -> RunError:
    """Return the error for a `path` that could not be written, with a hint."""
    free_space = Text("Free some space, then resume training with {}.", Setting("resume", True))
    writable = "Choose a writable location."
    hints: dict[int | None, str | Text] = {
        errno.ENOSPC: free_space,
        errno.EDQUOT: free_space,
        errno.EACCES: writable,
        errno.EPERM: writable,
        errno.EROFS: writable,
        errno.ENOENT: f"Does the folder {path.parent} exist?",
    }
    return RunError(f"{path} cannot be written: {reason(error)}", hints.get(error.errno))


def reason(error: OSError) -> str:
    """Return the system's message without its number."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def read_packaged(path: Path, sha256: str, name: str) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of an .npz that is part of ganctl. Raises DataError if it is damaged."""
    import numpy as np

    hint = "Reinstall ganctl: pip install --force-reinstall --no-deps ganctl"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the {name} cannot be read: {error}", hint) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"the {name} is damaged: {path} has the wrong SHA-256", hint)
    arrays: Mapping[str, NDArray[Any]] = np.load(io.BytesIO(content), allow_pickle=False)
    return arrays


def _remove_link(path: Path) -> None:
    if path.is_symlink():
        path.unlink()


def _opener(dir_fd: int | None = None) -> Callable[[str, int], int]:
    """Return an opener for `open` that raises OSError instead of following a link."""
    flags = getattr(os, "O_NOFOLLOW", 0)
    return lambda path, mode: os.open(path, mode | flags, 0o666, dir_fd=dir_fd)


def _open_locked(
    path: Path,
    opening: Callable[[Path], IO[bytes]],
    locking: Callable[[IO[bytes]], bool],
    dir_fd: int | None = None,
    races: int = _MAX_RACES,
) -> tuple[IO[bytes], bool]:
    """Return the open file at `path`, and the result of `locking` it.

    If another program removes or replaces the file before it is locked, it is opened again.
    """
    file = opening(path)
    result = locking(file)
    if races and not _is_at(file, path, dir_fd):
        file.close()
        return _open_locked(path, opening, locking, dir_fd, races - 1)
    return file, result


def _is_at(file: IO[bytes], path: Path, dir_fd: int | None = None) -> bool:
    """Return whether the open `file` is the one at `path`; True if the system cannot tell."""
    if sys.platform == "win32":  # nobody can remove an open file there
        return True
    try:
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        return os.path.samestat(os.fstat(file.fileno()), found)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _lock(file: IO[bytes], *, wait: bool = False) -> None:
    """Lock `file`. Raises OSError if another open file has the lock, or there are no locks."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _lock_if_free(file: IO[bytes]) -> bool:
    """Lock `file` without waiting; return False if another open file has the lock."""
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def _mark_in_use(file: IO[bytes]) -> bool:
    """Lock a temporary file so that no other program takes it for abandoned."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            _lock(file, wait=True)  # for as long as another program takes to remove it
    return True


def _remove_unless_in_use(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()
        return
    with open(path, "rb", opener=_opener()) as file:
        _lock(file)
        if _is_at(file, path):  # not the next file of that name, which its writer has locked
            path.unlink()
