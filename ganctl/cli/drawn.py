"""What ganctl sample writes: a folder of pictures, or an array."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganctl import files, images, machine
from ganctl.config.schema import NetworkConfig
from ganctl.errors import RunError
from ganctl.images import Column, Pixels
from ganctl.sampling import Labels, classes_of
from ganctl.text import counted

_BLOCK = 4096
"""Bytes that even the smallest file takes on a disk."""
_SAMPLE = re.compile(r"seed-(\d{6,10})\.png")
_PLAIN_NAME = re.compile(r"\w[\w .+-]{0,79}(?<![ .])")
"""Names that every file system takes."""


@dataclass(frozen=True)
class Plan:
    """What is drawn: each picture's seed and its class."""

    seeds: Sequence[int]
    names: Sequence[str] = ()
    """The names of the classes, where the generator knows any."""
    labels: Labels | None = None
    """Each picture's class; None: each seed has its own."""
    label: int | None = None
    """The class of all, if it is one."""
    is_per_class: bool = False
    """Whether the same seeds are drawn in each class."""

    def numbers(self, start: int, end: int) -> Labels:
        """Return the classes of the pictures from `start` to `end`, if there are any classes."""
        if self.labels is None:
            return classes_of(self.seeds[start:end], len(self.names))
        return self.labels[start:end]


def write_array(
    path: Path, chunks: Iterable[Pixels], plan: Plan, network: NetworkConfig, upscale: int
) -> None:
    """Write an .npz: the images as arr_0, `seeds`, and `labels` and `classes` if there are any."""
    size = (network.height * upscale, network.width * upscale, network.channels)
    beside: dict[str, np.ndarray | Column] = {
        "seeds": Column("<u4", lambda start, end: plan.seeds[start:end])
    }
    if plan.names:
        beside["labels"] = Column("<i8", plan.numbers)
        beside["classes"] = np.array(plan.names)
    machine.require_disk(path, len(plan.seeds) * math.prod(size))
    with files.atomic_writer(path) as file:
        images.write_npz(file, chunks, (len(plan.seeds), *size), beside)


def write_folder(
    path: Path, chunks: Iterable[Pixels], plan: Plan, text: Mapping[str, str], *, force: bool
) -> list[str]:
    """Write a PNG for each picture, with `--per-class` into a folder for each class; their names.

    RunError where samples of an earlier call would be left among the new ones, which `force`
    removes.
    """
    folders = _folders(plan.names) if plan.is_per_class else [""]
    left = _left(path, folders, plan.seeds)
    if left and not force:
        raise RunError(
            f"'{path}' holds {counted(len(left), 'sample')} of an earlier call, which would stay "
            "among the new ones",
            "Give another folder, or replace them with --force.",
        )
    for index, (seed, number, picture) in enumerate(_one_by_one(chunks, plan)):
        about = {**text, "seeds": str(seed)}
        if number is not None:
            about["class"] = plan.names[number]
        folder = folders[number] if plan.is_per_class and number is not None else ""
        content = images.png(picture, about)
        if not index:  # the others will be about as large
            machine.require_disk(path, len(plan.seeds) * -(-len(content) // _BLOCK) * _BLOCK)
            for each in folders:
                files.make_folder(path / each)
        files.write_atomic(path / folder / f"seed-{seed:06d}.png", content)
    for file in left:
        try:
            file.unlink()
        except OSError as error:
            raise files.write_error(file, error) from None
        if file.parent != path:
            with contextlib.suppress(OSError):  # other files are in it
                file.parent.rmdir()
    return folders


def _one_by_one(chunks: Iterable[Pixels], plan: Plan) -> Iterator[tuple[int, int | None, Pixels]]:
    """Each picture's seed, class and pixels."""
    done = 0
    for chunk in chunks:
        end = done + len(chunk)
        numbers = map(int, plan.numbers(done, end)) if plan.names else itertools.repeat(None)
        yield from zip(plan.seeds[done:end], numbers, chunk, strict=False)
        done = end


def _folders(names: Sequence[str]) -> list[str]:
    """A folder's name for each class: its own, unless a file system might not take it."""
    plain = [
        name if _PLAIN_NAME.fullmatch(name) else f"class-{number:03d}"
        for number, name in enumerate(names)
    ]
    if len({name.casefold() for name in plain}) < len(plain):
        return [f"class-{number:03d}" for number in range(len(plain))]
    return plain


def _left(path: Path, folders: Sequence[str], seeds: Sequence[int]) -> list[Path]:
    """The samples below `path` that are not written anew."""
    wanted = seeds if isinstance(seeds, range) else set(seeds)
    written = {path / folder for folder in folders}
    return [
        file
        for file in (*path.glob("seed-*.png"), *path.glob("*/seed-*.png"))
        if (match := _SAMPLE.fullmatch(file.name))
        and not (file.parent in written and int(match[1]) in wanted)
        and (file.parent == path or not file.parent.is_symlink())
    ]
