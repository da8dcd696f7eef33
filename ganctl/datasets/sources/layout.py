"""The meaning of folders of images: splits of a data set, classes, or numbered chunks."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, takewhile
from typing import Any

from ganctl.datasets.dataset import NO_CLASSES
from ganctl.text import counted, listed

Parts = tuple[str, ...]
"""The names of the folders that a file is in, from the top down."""

_SPLITS = {
    "train": 0, "training": 0, "trainval": 0,
    "test": 1, "testing": 1,
    "val": 2, "valid": 2, "validation": 2,
    "eval": 3, "dev": 3,
    "pred": 4, "prediction": 4,
}  # fmt: skip
"""Rank of each split: 0 is trained on, and the next one that is there is held out."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_CHUNK_DIGITS, _CHUNK_STEP = 3, 100
"""Least digits and step of chunks' numbers, such as 00000, 01000, ...; 0 to 99 are classes."""
_MAX_DIGITS = 18
_NUM_NAMED = 3


class Folder:
    """The images directly in one folder."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        """The file name that comes first in alphabetical order."""
        self.numbers: tuple[int, int] | None = (2**63, -1)
        """Lowest and highest number that a file name ends in; None if one has no number."""

    def add(self, name: str) -> None:
        """Count the image called `name`."""
        self.first = min(self.first, name) if self.count else name
        self.count += 1
        digits = re.findall("[0-9]+", name.rpartition(".")[0])
        if not digits or len(digits[-1]) > _MAX_DIGITS:
            self.numbers = None
        elif self.numbers is not None:
            number = int(digits[-1])
            self.numbers = min(self.numbers[0], number), max(self.numbers[1], number)


@dataclass(frozen=True)
class Layout:
    """The folders that hold training images, and those that are classes."""

    split_at: int = 0
    """Depth of the folders that are splits."""
    train: frozenset[str] = frozenset()
    """Folders to train on, '' for images beside them; empty if there are no splits."""
    held_out: frozenset[str] = frozenset()
    """Folders of images to compare samples with."""
    class_at: int | None = None
    """Depth of the folders that are classes; None if none are."""

    @property
    def has_splits(self) -> bool:
        """Whether some folders are splits, so that not all images are trained on."""
        return bool(self.train)

    def is_train(self, path: Parts) -> bool:
        """Return whether images in the folder `path` are trained on."""
        return not self.train or self._split(path) in self.train

    def is_held_out(self, path: Parts) -> bool:
        """Return whether samples are compared with images in the folder `path`."""
        return self._split(path) in self.held_out

    def class_of(self, path: Parts) -> str | None:
        """Return the class of images in the folder `path`; None if folders are not classes."""
        merged = self.merged(path)
        at = self.class_at
        return None if at is None or at >= len(merged) else merged[at]

    def merged(self, path: Parts) -> Parts:
        """Return `path` with only the rest of the split's name: A for trainA, '' for train."""
        if not self.train or self.split_at >= len(path):
            return path
        rest = _without_split(path[self.split_at])
        return *path[: self.split_at], rest * (len(rest) == 1), *path[self.split_at + 1 :]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like values, which `from_dict` reads."""
        return asdict(self) | {"train": sorted(self.train), "held_out": sorted(self.held_out)}

    @classmethod
    def from_dict(cls, data: Any) -> Layout:
        """Return the inverse of `to_dict`. Raises ValueError, KeyError or TypeError."""
        split_at, class_at = data["split_at"], data["class_at"]
        for depth in (split_at, class_at or 0):
            if type(depth) is not int or depth < 0:
                raise ValueError
        train, held_out = (frozenset(map(str, data[name])) for name in ("train", "held_out"))
        return cls(split_at, train, held_out, class_at)

    def _split(self, path: Parts) -> str:
        return "".join(path[self.split_at : self.split_at + 1])


ALL = Layout()
"""All images are trained on, and there are no classes."""


def folders_of(name: str) -> Parts:
    """Return the folders that the file called `name` is in."""
    return tuple(name.split("/")[:-1])


def common(paths: Iterable[Parts]) -> Parts:
    """Return the folders that all of `paths` begin with."""
    paths = list(paths)
    # What the first and the last path share is shared by all paths between them.
    pairs = zip(min(paths, default=()), max(paths, default=()), strict=False)
    return tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def infer(folders: Mapping[Parts, Folder]) -> tuple[Layout, list[str], list[str]]:
    """Return the meaning of `folders`, all that hold images, with notes on splits and on classes.

    The topmost folders in which training images differ are classes, unless all of them are named
    like splits or only number chunks, or an image lies beside them.
    """
    layout, notes = find_splits(folders, len(common(folders)))
    train = {path: folder for path, folder in folders.items() if layout.is_train(path)}
    class_at = len(common(map(layout.merged, train)))
    tops: dict[str, list[Folder]] = defaultdict(list)
    beside = []
    for path, folder in train.items():
        if len(path) > class_at:
            tops[layout.merged(path)[class_at]].append(folder)
        else:
            beside.append(("/".join((*path, folder.first)), folder.count))
    names = listed(sorted(tops), _NUM_NAMED)
    if tops and beside:
        others = sum(number for _, number in beside) - 1
        what, it = (f" and {others:,} more lie", "them") if others else (" lies", "it")
        return layout, notes, [
            f"{NO_CLASSES}{min(beside)[0]}{what} beside the folders {names}. Move {it} elsewhere "
            "to use the folders as classes."
        ]  # fmt: skip
    if _are_chunks(tops):
        return layout, notes, [
            f"{NO_CLASSES}the folders {names} only number chunks of the images."
        ]  # fmt: skip
    if not tops:
        return layout, notes, []
    doubts = _suspicion_note(train, layout, class_at, sorted(tops))
    return replace(layout, class_at=class_at), notes, doubts


def find_splits(folders: Mapping[Parts, Folder], depth: int) -> tuple[Layout, list[str]]:
    """Return which folders at `depth` are splits, if all of them are, with notes."""
    counts: Counter[str] = Counter()
    for path, folder in folders.items():
        counts["".join(path[depth : depth + 1])] += folder.count
    tops = sorted(counts.keys() - {""})
    if not _are_splits(tops):
        return ALL, []
    ranks = {name: rank(name) or 0 for name in tops}
    train = [name for name in tops if ranks[name] == 0]
    rest = [name for name in tops if ranks[name] != 0]
    if not train and counts[""] > sum(counts[name] for name in rest):
        train = [""]
    elif not train:
        if counts[""] or len(tops) < 2:
            return ALL, []
        return Layout(depth, frozenset(tops)), [
            f"There is no training split beside {listed(tops)}: training on all of them."
        ]
    best = min((ranks[name] for name in rest), default=0)
    held_out = [name for name in rest if ranks[name] == best]
    unused = [name for name in (*rest, "") if name not in (*train, *held_out) and counts[name]]
    note = " ".join(
        f"{what}: {', '.join(_counted_images(counts[name], name) for name in names[:_NUM_NAMED])}."
        for what, names in (("Trained on", train), ("Held out", held_out), ("Not used", unused))
        if names
    )
    return Layout(depth, frozenset(train), frozenset(held_out)), [note]


def _counted_images(count: int, folder: str) -> str:
    """Return, for example, '1 image in test/'."""
    return f"{counted(count, 'image')} " + (f"in {folder}/" if folder else "beside these folders")


def _suspicion_note(
    train: Iterable[Parts], layout: Layout, class_at: int, names: Collection[str]
) -> list[str]:
    """Return a note if some of the classes `names`, or folders in them, look like splits."""
    like_splits = [name for name in names if rank(name) and len(_without_split(name)) <= 1]
    if like_splits:
        are, they = ("is a class", "it is a split") if len(like_splits) == 1 else (
            "are classes", "they are splits")  # fmt: skip
        return [
            f"{listed(like_splits)} {are} here, since not all folders beside are splits "
            f"({listed(names, 2 * _NUM_NAMED)}). If {they}, train on the folder of the training "
            "images alone."
        ]
    inner = {layout.merged(path)[class_at + 1] for path in train if len(path) > class_at + 1}
    if len({rank(name) for name in inner}) > 1 and _are_splits(inner):
        return [
            f"In the folders of the classes, {listed(sorted(inner))} look like splits, but all of "
            "their images are trained on. Splits are recognized only above the classes."
        ]
    return []


def _are_chunks(tops: Mapping[str, Iterable[Folder]]) -> bool:
    """Return whether the names of folders are numbers that count files, as 00000, 01000, ...

    Numbers can name classes, too. Those of chunks are round, or the numbers of files continue from
    one folder to the next.
    """
    names = sorted(tops)
    if len(names) < 2 or not all(name.isascii() and name.isdecimal() for name in names):
        return False
    if not _CHUNK_DIGITS <= len(names[0]) <= _MAX_DIGITS or len(set(map(len, names))) > 1:
        return False
    if math.gcd(*map(int, names)) % _CHUNK_STEP == 0:
        return True
    ranges = [[folder.numbers for folder in tops[name]] for name in names]
    known = [[numbers for numbers in found if numbers is not None] for found in ranges]
    are_many = any(low < high for numbers in known for low, high in numbers)
    return known == ranges and are_many and all(
        max(high for _, high in before) < min(low for low, _ in after)
        for before, after in pairwise(known)
    )  # fmt: skip


def _are_splits(names: Collection[str]) -> bool:
    """Return whether folders are named like splits of one set, such as seg_train and seg_test."""
    rests = {_without_split(name) for name in names}
    is_one_set = len({rest for rest in rests if len(rest) > 1}) <= 1
    return bool(names) and is_one_set and all(rank(name) is not None for name in names)


def rank(name: str) -> int | None:
    """Return the rank of the split that a name is of, 0 for the training split; None if of none."""
    words = (word.lower() for word in _WORDS.findall(name))
    return min((_SPLITS[word] for word in words if word in _SPLITS), default=None)


def _without_split(name: str) -> str:
    """Return the rest of the name of a split, without numbers: 'seg' of 'seg_train', or 'A'."""
    words = (word for word in _WORDS.findall(name) if word.lower() not in _SPLITS)
    return "".join(word for word in words if not word.isdecimal())
