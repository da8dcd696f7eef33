"""A folder of samples: a PNG per seed or latent, or a folder per class with a PNG per seed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ganctl import files, machine
from ganctl.errors import RunError, Setting, Text
from ganctl.text import counted

_DISK_BLOCK = 4096
"""Bytes that even the smallest file takes on a disk."""
_SAMPLE_FILE = re.compile(r"(seed|latent)-(\d{6,10})\.png")
_PORTABLE_NAME = re.compile(r"\w[\w .+-]{0,79}(?<![ .])")
"""Names that every file system allows."""


def class_folders(names: Sequence[str]) -> list[str]:
    """Return a folder name for each class: the class's name if every file system allows it."""
    numbered = [f"class-{number:03d}" for number in range(len(names))]
    folders = [
        name if _PORTABLE_NAME.fullmatch(name) else number
        for name, number in zip(names, numbered, strict=True)
    ]
    return folders if len({name.casefold() for name in folders}) == len(folders) else numbered


def write(
    path: Path,
    samples: Iterable[tuple[str, bytes]],
    *,
    folders: Sequence[str],
    noun: str,
    numbers: Sequence[int],
    force: bool,
) -> None:
    """Write `samples`, the path below `path` and the content of each file.

    `folders` are the folders below `path` that they lie in; each has a sample of every one of
    `numbers`, whose file is named by `noun`, "seed" or "latent", and the number. Samples of an
    earlier call are removed with `force`. Raises RunError if there are any without it, if the disk
    has too little space, or if writing fails.
    """
    left = _other_samples(path, folders, noun, numbers)
    if left and not force:
        raise RunError(
            f"'{path}' holds {counted(len(left), 'sample')} of an earlier call, which would stay "
            "among the new ones",
            Text("Give another folder, or replace them with {}.", Setting("force", True)),
        )
    files.clear_abandoned(path)
    for index, (name, content) in enumerate(samples):
        if not index:  # the others will be about as large
            blocks = -(-len(content) // _DISK_BLOCK)
            machine.require_disk(path, len(folders) * len(numbers) * blocks * _DISK_BLOCK)
            for folder in folders:
                files.make_folder(path / folder)
        files.write_atomic(path / name, content)
    for file in left:
        try:
            file.unlink()
        except OSError as error:
            raise files.write_error(file, error) from None
        if file.parent != path:
            with contextlib.suppress(OSError):  # other files are in it
                file.parent.rmdir()


def _other_samples(
    path: Path, folders: Sequence[str], noun: str, numbers: Sequence[int]
) -> list[Path]:
    """Return the samples below `path` that will not be overwritten."""
    wanted = numbers if isinstance(numbers, range) else set(numbers)
    written = {path / folder for folder in folders}
    return [
        file
        for file in (*path.glob("*.png"), *path.glob("*/*.png"))
        if (match := _SAMPLE_FILE.fullmatch(file.name))
        and not (file.parent in written and match[1] == noun and int(match[2]) in wanted)
        and (file.parent == path or not file.parent.is_symlink())
    ]
