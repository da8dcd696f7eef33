"""A disk that fails, stalls or kills the program at a chosen system call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ganctl.files import Disk

POINTS = ("open", "write", "flush", "sync", "rename", "sync_folder")


class FaultyDisk(Disk):
    """A disk whose call number `at`, counted from 1, is replaced by `fault`.

    A faulty write first writes half of its bytes. With `after`, the call is made before the fault.
    """

    def __init__(self, fault: Callable[[], None], at: int = 0, *, after: bool = False) -> None:
        self.fault = fault
        self.at = at
        self.after = after
        self.calls: list[tuple[str, str]] = []
        """Calls so far, with the file that each was about: ("rename", "ckpt.pt")."""

    def open(self, path: Path, dir_fd: int | None = None) -> IO[bytes]:
        return self._do(
            "open", path, lambda: _File(super(FaultyDisk, self).open(path, dir_fd), path, self)
        )

    def flush(self, file: Any) -> None:
        self._do("flush", file.path, lambda: super(FaultyDisk, self).flush(file))

    def sync(self, file: Any) -> None:
        self._do("sync", file.path, lambda: super(FaultyDisk, self).sync(file))

    def rename(self, old: Path, new: Path, dir_fd: int | None = None) -> None:
        self._do("rename", new, lambda: super(FaultyDisk, self).rename(old, new, dir_fd))

    def sync_folder(self, folder: Path) -> None:
        self._do("sync_folder", folder, lambda: super(FaultyDisk, self).sync_folder(folder))

    def write(self, file: IO[bytes], path: Path, content: Any) -> int:
        """Write to an open file."""
        view = memoryview(content).cast("B")
        if self._is_next() and not self.after:
            file.write(view[: len(view) // 2])
            file.flush()
        return self._do("write", path, lambda: file.write(view))

    def _is_next(self) -> bool:
        return len(self.calls) + 1 == self.at

    def _do(self, point: str, path: Path, call: Callable[[], Any]) -> Any:
        due = self._is_next()
        self.calls.append((point, path.name))
        if due and not self.after:
            self.fault()
        result = call()
        if due and self.after:
            self.fault()
        return result


class _File:
    """An open file whose writes are calls to its disk."""

    def __init__(self, file: IO[bytes], path: Path, disk: FaultyDisk) -> None:
        self._file = file
        self._disk = disk
        self.path = path

    def write(self, content: Any) -> int:
        return self._disk.write(self._file, self.path, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
