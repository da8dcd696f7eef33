"""Decoded images on disk, so that they are decoded only once: stored completely, or not at all.

In the platform's cache folder, for each key: `KEY/` with images.npy, labels.npy and meta.json; or
`KEY.json`, which names another key with the same images; `KEY.lock`, held while they are made in
`KEY.tmp/`. Beside them lie `KEY.features` and the like: results computed from images that take long
to compute.
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

from ganctl import files, machine, private_folders
from ganctl.errors import DataError, RunError

FORMAT = 4
"""Part of every key; increased whenever the same files give other pixels or labels."""
_KEY = re.compile(r"[0-9a-f]{32}")
_IMAGES, _LABELS, _META = "images.npy", "labels.npy", "meta.json"
_POLL_SECONDS = 0.2
_DIGEST_SIZE = 32
_DAMAGE = (OSError, ValueError, KeyError, TypeError)
_FREE_SPACE = (
    "Free some space there (ganctl data --clear-cache removes what is stored), or set "
    "XDG_CACHE_HOME to a folder on another disk."
)


@dataclass(frozen=True)
class Stored:
    """Images on disk."""

    images: NDArray[np.uint8]
    """(N, H, W, C), mapped: read when accessed. Changes stay in memory."""
    labels: NDArray[np.int64]
    """(N,)"""
    meta: dict[str, Any]
    """JSON-like values, as they were stored."""


def folder() -> Path:
    """Return the folder that holds the images of all keys, private to this user."""
    return private_folders.folder("images")


def key_of(*parts: Any) -> str:
    """Return a key that is a function of JSON-like `parts` alone."""
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()[:32]


def find(key: str) -> Stored | None:
    """Return what is stored under `key`; None if there is nothing, or it is damaged.

    The images count as in use while their mapping exists. Only the files' sizes, and the digests of
    everything but the pixels, are checked: the pixels are not read.
    """
    with contextlib.suppress(*_DAMAGE):
        reference = folder() / f"{key}.json"
        if reference.exists():
            key = json.loads(reference.read_text("utf-8"))["key"]
            if not _KEY.fullmatch(key):
                return None
        return _read(folder() / key)
    return None


def find_bytes(key: str, kind: str) -> bytes | None:
    """Return what `keep_bytes` stored; None if there is nothing, or it is damaged."""
    try:
        content = (folder() / f"{key}.{kind}").read_bytes()
    except OSError:
        return None
    kept = content[_DIGEST_SIZE:]
    return kept if hashlib.sha256(kept).digest() == content[:_DIGEST_SIZE] else None


def keep_bytes(key: str, kind: str, content: bytes) -> None:
    """Store `content` under `key`, unless the cache cannot be written."""
    with contextlib.suppress(OSError, RunError):
        folder().mkdir(parents=True, exist_ok=True)
        whole = hashlib.sha256(content).digest() + content
        files.write_atomic(folder() / f"{key}.{kind}", whole)


class Slot:
    """A temporary folder for the images of a key, which no other process is making."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    @property
    def images(self) -> Path:
        """The file for the images, to be written before `store`."""
        return self._path / _IMAGES

    def require_room(self, num_bytes: int) -> None:
        """Raise RunError if the disk has no room for images of `num_bytes`."""
        machine.require_disk(self.images, num_bytes, _FREE_SPACE)

    def store(self, labels: NDArray[np.int64], meta: dict[str, Any], key: str | None) -> Stored:
        """Store the images that were written, `labels` and `meta` under `key` and the slot's key.

        Without a `key` they are for this process alone. Raises OSError.
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
        if key is None:
            return _read(self._path)
        final = folder() / key
        if final.exists():
            try:
                _read(final)
            except _DAMAGE:
                shutil.rmtree(final)
        with contextlib.suppress(OSError):  # another process stored the same ones meanwhile
            self._path.rename(final)
        files.disk.sync_folder(folder())
        self.link(key)
        return _read(final)

    def link(self, key: str) -> None:
        """Make the slot's own key an alias of `key`, which has the same images. Raises RunError."""
        if key != self._key:
            files.write_atomic(folder() / f"{self._key}.json", json.dumps({"key": key}).encode())


@contextlib.contextmanager
def reserve(key: str, on_wait: Callable[[], None]) -> Iterator[Slot]:
    """Yield a slot for the images of `key`, once no other process is making them.

    `on_wait` is called now and then while one is. What was written but not stored is removed. An
    OSError becomes a DataError.
    """
    try:
        with _locked(folder() / f"{key}.lock", on_wait):
            _remove_abandoned()
            path = folder() / f"{key}.tmp"
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700)
            try:
                yield Slot(path, key)
            finally:
                # Mapped images outlive their file's name; not so on Windows, where it stays.
                shutil.rmtree(path, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the images cannot be decoded into {folder()}: {files.reason(error)}", _FREE_SPACE
        ) from None


@contextlib.contextmanager
def _locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    while True:
        with files.exclusive(path) as held:
            if held is not None:
                yield
                return
        on_wait()
        time.sleep(_POLL_SECONDS)


def _remove_abandoned() -> None:
    """Remove what killed processes left unfinished."""
    files.clear_abandoned(folder())
    for path in folder().glob("*.tmp"):
        if _is_ours(path):
            _try_remove(path)


def clear() -> tuple[int, int]:
    """Remove all that is stored and not in use; return (bytes removed, image sets in use)."""
    removed = in_use = 0
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder().iterdir()):
            if not _is_ours(path):
                continue
            size = _size(path)
            if _try_remove(path):
                removed += size
            elif path.is_dir():
                in_use += 1
        files.clear_abandoned(folder())
    return removed, in_use


def _is_ours(path: Path) -> bool:
    return bool(_KEY.fullmatch(path.name.partition(".")[0])) and not path.is_symlink()


def _try_remove(path: Path) -> bool:
    """Remove `path`, a part of the cache, unless it is in use; return whether it is gone."""
    marker = {"": path / _IMAGES, ".tmp": path.with_suffix(".lock"), ".lock": path}.get(path.suffix)
    try:
        if marker is not None and marker.exists():
            with files.exclusive(marker) as alone:
                if alone is None:
                    return False
        if path.is_dir():
            aside = path.with_suffix(".tmp")
            if aside != path:
                path.rename(aside)  # atomic: no process finds half of it
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
    """Return what is in the folder `path`. Raises _DAMAGE."""
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
    """Return the array in an .npy, mapped from this very `file`, whose lock the mapping keeps."""
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


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sync(file: IO[bytes]) -> None:
    """Flush `file` to the device, so that a power cut loses nothing."""
    files.disk.flush(file)
    files.disk.sync(file)
