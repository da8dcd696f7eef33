"""Decoded images on disk, so that they are decoded once: whole or not there, under a key.

In the platform's cache folder, of each key: `KEY/` with images.npy, labels.npy and meta.json;
`KEY.lock`, held while they are made in `KEY.tmp/`; or `KEY.json`, which names another key that has
what is asked for by this one. Beside them `KEY.features` and the like: what was computed from
images and takes long.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ganctl import files, machine, places
from ganctl.errors import DataError, RunError

FORMAT = 4
"""Part of every key: raised when other pixels or labels come of the same files."""
_KEY = re.compile(r"[0-9a-f]{32}")
_IMAGES, _LABELS, _META = "images.npy", "labels.npy", "meta.json"
_POLL_SECONDS = 0.2
_DIGEST_SIZE = 32
_MORE_ROOM = (
    "Free some space there (ganctl data --clear-cache removes what is stored), or set "
    "XDG_CACHE_HOME to a folder on another disk."
)


@dataclass(frozen=True)
class Stored:
    """Images as they lie on disk."""

    images: NDArray[np.uint8]
    """(N, H, W, C), mapped: read when they are looked at. Changes to it stay in memory."""
    labels: NDArray[np.int64]
    """(N,)"""
    meta: dict[str, Any]
    """JSON-like values, as they were stored."""


def folder() -> Path:
    """Return the folder in which the images of all keys are, private to this user."""
    return places.folder("images")


def key_of(*parts: Any) -> str:
    """A key that is a function of JSON-like `parts` alone."""
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()[:32]


def find(key: str) -> Stored | None:
    """What is stored under `key`; None where nothing is, or it is damaged.

    Its images count as in use for as long as their mapping is there. Looks at the files' sizes and
    at the digests of all but the images' bytes: no more is read than a small file.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        target = folder() / f"{key}.json"
        if target.exists():
            key = json.loads(target.read_text("utf-8"))["key"]
            if not _KEY.fullmatch(key):
                return None
        return _read(folder() / key)
    return None


def find_bytes(key: str, kind: str) -> bytes | None:
    """Return what `keep_bytes` kept; None if there is nothing, or it is damaged."""
    try:
        content = (folder() / f"{key}.{kind}").read_bytes()
    except OSError:
        return None
    kept = content[_DIGEST_SIZE:]
    return kept if hashlib.sha256(kept).digest() == content[:_DIGEST_SIZE] else None


def keep_bytes(key: str, kind: str, content: bytes) -> None:
    """Keep `content` under `key`, unless the cache cannot be written: then it is made anew."""
    with contextlib.suppress(OSError, RunError):
        folder().mkdir(parents=True, exist_ok=True)
        whole = hashlib.sha256(content).digest() + content
        files.write_atomic(folder() / f"{key}.{kind}", whole)


class Place:
    """Where images are put that nobody else is making."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key: str | None = key

    @property
    def is_lasting(self) -> bool:
        """Whether what is put here will be found again."""
        return self._key is not None

    @property
    def images(self) -> Path:
        """The file for the images, to be written before `keep`."""
        return self._path / _IMAGES

    def require_room(self, num_bytes: int) -> None:
        """RunError if images of `num_bytes` cannot be put here for want of space."""
        machine.require_disk(self.images, num_bytes, _MORE_ROOM)

    def keep(self, labels: NDArray[np.int64], meta: dict[str, Any], key: str | None) -> Stored:
        """Store what was written, and this, under `key` (and the place's own key). OSError.

        Without one it is for this program alone.
        """
        with (self._path / _LABELS).open("wb") as file:
            np.save(file, labels)
            sync(file)
        content = {"meta": meta, "labels": _digest((self._path / _LABELS).read_bytes())}
        document = {**content, "digest": _digest(json.dumps(content).encode())}
        with (self._path / _META).open("wb") as file:
            file.write(json.dumps(document).encode())
            sync(file)
        for path in self._path.iterdir():
            path.chmod(0o600)
        if key is None or self._key is None:
            self._key = None
            return _read(self._path)
        final = folder() / key
        if final.exists() and not _is_whole(final):
            shutil.rmtree(final)
        with contextlib.suppress(OSError):  # another program stored the same ones meanwhile
            self._path.rename(final)
        files.disk.sync_folder(folder())
        self.refer(key)
        return _read(final)

    def refer(self, key: str) -> None:
        """Have the place's own key lead to what is stored under `key`. Raises RunError."""
        if self._key is not None and key != self._key:
            files.write_atomic(folder() / f"{self._key}.json", json.dumps({"key": key}).encode())


@contextlib.contextmanager
def place(key: str, waiting: Callable[[], None]) -> Iterator[Place]:
    """A place for the images of `key`, once nobody else is making them; `waiting` is told if so.

    What was written and not kept is removed. An OSError becomes a DataError.
    """
    try:
        with _exclusive_place(key, waiting) as found:
            yield found
    except OSError as error:
        raise DataError(
            f"the images cannot be decoded into {folder()}: {files.reason(error)}",
            _MORE_ROOM,
        ) from None


@contextlib.contextmanager
def _exclusive_place(key: str, waiting: Callable[[], None]) -> Iterator[Place]:
    with _locked(folder() / f"{key}.lock", waiting):
        _sweep()
        path = folder() / f"{key}.tmp"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        try:
            yield Place(path, key)
        finally:
            # Mapped images outlive their file's name; not so on Windows, where it stays.
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    while True:
        with files.exclusive(path) as held:
            if held is not None:
                yield
                return
        waiting()
        time.sleep(_POLL_SECONDS)


def _sweep() -> None:
    """Remove what killed programs left half-made."""
    files.clear_abandoned(folder())
    for path in folder().glob("*.tmp"):
        if _is_ours(path):
            _removed(path)


def clear() -> tuple[int, int]:
    """Remove all that is stored and not in use; (bytes removed, images of how many sets in use)."""
    removed = in_use = 0
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder().iterdir()):
            if not _is_ours(path):
                continue
            size = _size(path)
            if _removed(path):
                removed += size
            elif path.is_dir():
                in_use += 1
        files.clear_abandoned(folder())
    return removed, in_use


def _is_ours(path: Path) -> bool:
    return bool(_KEY.fullmatch(path.name.partition(".")[0])) and not path.is_symlink()


def _removed(path: Path) -> bool:
    """Whether `path`, of the cache, could be removed: it is not in use."""
    marker = {"": path / _IMAGES, ".tmp": path.with_suffix(".lock"), ".lock": path}.get(path.suffix)
    try:
        if marker is not None and marker.exists():
            with files.exclusive(marker) as alone:
                if alone is None:
                    return False
        if path.is_dir():
            aside = path.with_suffix(".tmp")
            if aside != path:
                path.rename(aside)  # in one step: nobody finds half of it
            shutil.rmtree(aside)
        else:
            path.unlink()
    except (OSError, RunError):
        return False
    return True


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(part.stat().st_size for part in ([*path.iterdir()] if path.is_dir() else [path]))
    return 0


def _read(path: Path) -> Stored:
    """Raises OSError, ValueError, KeyError or TypeError where `path` has no such files."""
    document = json.loads((path / _META).read_text("utf-8"))
    digest = document.pop("digest")
    if digest != _digest(json.dumps(document).encode()):
        raise ValueError("the description is not as it was written")
    if document["labels"] != _digest((path / _LABELS).read_bytes()):
        raise ValueError("the labels are not as they were written")
    labels = np.load(path / _LABELS, allow_pickle=False)
    with (path / _IMAGES).open("rb") as file:
        files.share(file)
        images = _mapped(file)
    if len(images) != len(labels):
        raise ValueError("not as many images as labels")
    return Stored(images, labels, document["meta"])


def _mapped(file: IO[bytes]) -> NDArray[np.uint8]:
    """The array in an .npy, mapped from this very `file`, whose lock lives on in the mapping."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("not as ganctl writes it")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != np.uint8 or len(shape) != 4:
        raise ValueError("not images")
    start = file.tell()
    if file.seek(0, 2) != start + int(np.prod(shape, dtype=np.int64)):
        raise ValueError("cut short")
    return np.memmap(file, np.uint8, "c", start, shape)


def _is_whole(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        _read(path)
        return True
    return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sync(file: IO[bytes]) -> None:
    """Have the device keep what was written."""
    files.disk.flush(file)
    files.disk.sync(file)
