"""What the folders of images mean: splits of a set, classes, or numbered chunks of many images."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

from ganctl.datasets.base import NO_CLASSES
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
"""Ranks of splits: 0 is trained on; samples are compared with the next one that is there."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_CHUNK_DIGITS, _CHUNK_STEP = 3, 100
"""Folders 0 to 9, and 00 to 99, are classes; 00000, 01000, ... are not."""
_MAX_DIGITS = 18
_NAMED = 3


class Folder:
    """The images that lie in one folder."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        """The file name that comes first in alphabetical order."""
        self.numbers: tuple[int, int] | None = (2**63, -1)
        """The lowest and the highest number that a file name ends in; None: one ends in none."""

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
    """Which folders hold training images, and which folders are classes."""

    split_at: int = 0
    """The depth of the folders that are splits."""
    train: frozenset[str] = frozenset()
    """The folders to train on, '' for images beside them; none where there are no splits."""
    held_out: frozenset[str] = frozenset()
    """The folders of images that samples are compared with."""
    class_at: int | None = None
    """The depth of the folders that are classes; None where none are."""

    @property
    def has_splits(self) -> bool:
        """Whether some folders are splits, so that not all images are to be trained on."""
        return bool(self.train)

    def is_train(self, path: Parts) -> bool:
        """Whether images in the folder `path` are trained on."""
        return not self.train or self._split(path) in self.train

    def is_held_out(self, path: Parts) -> bool:
        """Whether samples are compared with images in the folder `path`."""
        return self._split(path) in self.held_out

    def class_of(self, path: Parts) -> str | None:
        """The class of images in the folder `path`; None where folders are no classes."""
        merged = self.merged(path)
        at = self.class_at
        return None if at is None or at >= len(merged) else merged[at]

    def merged(self, path: Parts) -> Parts:
        """`path` with the folder of a split renamed to what it holds: A in trainA, nothing else."""
        if not self.train or self.split_at >= len(path):
            return path
        rest = _rest(path[self.split_at])
        return *path[: self.split_at], rest * (len(rest) == 1), *path[self.split_at + 1 :]

    def to_dict(self) -> dict[str, Any]:
        """JSON-like values, read back by `from_dict`."""
        return {
            "split_at": self.split_at,
            "train": sorted(self.train),
            "held_out": sorted(self.held_out),
            "class_at": self.class_at,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Layout:
        """The inverse of `to_dict`; raises what reading odd values raises."""
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
    # What the first and the last in order have in common, all between them have, too.
    pairs = zip(min(paths, default=()), max(paths, default=()), strict=False)
    return tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def understand(folders: Mapping[Parts, Folder]) -> tuple[Layout, list[str], list[str]]:
    """Return what `folders`, all that hold images, mean, and what a user should know of it.

    The first of the two lists is about splits, the second about classes. A class is the topmost
    folder that tells training images apart. Folders are no classes where all of them are called
    like splits or only number chunks, or where an image lies beside them.
    """
    layout, notes = _splits(folders, len(common(folders)))
    doubts: list[str] = []
    train = {path: folder for path, folder in folders.items() if layout.is_train(path)}
    class_at = len(common(map(layout.merged, train)))
    tops: dict[str, list[Folder]] = defaultdict(list)
    beside = [("/".join((*path, folder.first)), folder.count)
              for path, folder in train.items() if len(path) <= class_at]  # fmt: skip
    for path, folder in train.items():
        if len(path) > class_at:
            tops[layout.merged(path)[class_at]].append(folder)
    names = f"{listed(sorted(tops), _NAMED)}"
    if tops and beside:
        count = sum(number for _, number in beside)
        lie = f" and {count - 1:,} more lie" if count > 1 else " lies"
        doubts.append(
            f"{NO_CLASSES}{min(beside)[0]}{lie} beside the folders {names}. Move "
            f"{'them' if count > 1 else 'it'} elsewhere to have the folders as classes."
        )
    elif _are_chunks(tops):
        doubts.append(f"{NO_CLASSES}the folders {names} only number chunks of the images.")
    elif tops:
        doubts += _suspicions(train, layout, class_at, sorted(tops))
        layout = Layout(layout.split_at, layout.train, layout.held_out, class_at)
    return layout, notes, doubts


def _splits(folders: Mapping[Parts, Folder], depth: int) -> tuple[Layout, list[str]]:
    """Return which folders at `depth` are splits, if all of them are, and what to say of it."""
    counts: Counter[str] = Counter()
    for path, folder in folders.items():
        counts["".join(path[depth : depth + 1])] += folder.count
    tops = sorted(counts.keys() - {""})
    if not _are_splits(tops):
        return Layout(), []
    ranks = {name: _rank(name) or 0 for name in tops}
    train = [name for name in tops if ranks[name] == 0]
    rest = [name for name in tops if ranks[name] != 0]
    if not train and counts[""] > sum(counts[name] for name in rest):
        train = [""]
    elif not train:
        if counts[""] or len(tops) < 2:
            return Layout(), []
        return Layout(depth, frozenset(tops)), [
            f"There is no training split beside {listed(tops)}: training on all of them."
        ]
    best = min((ranks[name] for name in rest), default=0)
    held_out = [name for name in rest if ranks[name] == best]
    unused = [name for name in (*rest, "") if name not in (*train, *held_out) and counts[name]]
    notes = [
        f"{what}: {', '.join(_images(counts[name], name) for name in names[:_NAMED])}."
        for what, names in (
            ("Trained on", train),
            ("Held out", held_out),
            ("Not used", unused),
        )
        if names
    ]
    return Layout(depth, frozenset(train), frozenset(held_out)), [" ".join(notes)]


def _images(count: int, folder: str) -> str:
    """'1 image in test/'."""
    where = f"in {folder}/" if folder else "beside these folders"
    return f"{counted(count, 'image')} {where}"


def _suspicions(
    train: Iterable[Parts], layout: Layout, class_at: int, names: Collection[str]
) -> list[str]:
    """What about the classes `names` looks as if they were meant otherwise."""
    held_out = [name for name in names if _rank(name) and _is_plain(name)]
    if held_out:
        return [
            f"{listed(held_out)} {'is a class' if len(held_out) == 1 else 'are classes'} here, "
            f"since not all folders beside are splits ({listed(names, 2 * _NAMED)}). If a split "
            "was meant, train on the folder of the training images alone."
        ]
    inner = {layout.merged(path)[class_at + 1] for path in train if len(path) > class_at + 1}
    if len({_rank(name) for name in inner}) > 1 and _are_splits(inner):
        return [
            f"In the folders of the classes, {listed(sorted(inner))} look like splits: the images "
            "of all of them are trained on. Splits are taken for such at the top."
        ]
    return []


def _are_chunks(tops: Mapping[str, Iterable[Folder]]) -> bool:
    """Whether folders are called by numbers that count files, as 00000, 01000, ...

    Class folders may be called by numbers, too: those of chunks are round, or files are numbered on
    from one folder to the next.
    """
    names = sorted(tops)
    if len(names) < 2 or not all(name.isascii() and name.isdecimal() for name in names):
        return False
    if not _CHUNK_DIGITS <= len(names[0]) <= _MAX_DIGITS or len(set(map(len, names))) > 1:
        return False
    if math.gcd(*map(int, names)) % _CHUNK_STEP == 0:
        return True
    ranges = []
    for name in names:
        numbers = [folder.numbers for folder in tops[name]]
        ranges.append([one for one in numbers if one is not None])
        if len(ranges[-1]) < len(numbers):
            return False
    are_many = any(low < high for numbers in ranges for low, high in numbers)
    return are_many and all(
        max(high for _, high in before) < min(low for low, _ in after)
        for before, after in pairwise(ranges)
    )


def _are_splits(names: Collection[str]) -> bool:
    """Whether folders are called like splits of one set: train and test, seg_train and seg_test."""
    rests = {_rest(name) for name in names}
    is_one_set = len({rest for rest in rests if len(rest) > 1}) <= 1
    return bool(names) and is_one_set and all(_rank(name) is not None for name in names)


def _rank(name: str) -> int | None:
    """The rank of the split that a folder is called like; None where it is not."""
    ranks = [_SPLITS[word] for word in _words(name) if word in _SPLITS]
    return min(ranks, default=None)


def _rest(name: str) -> str:
    """What else the name of a split says: 'seg' in 'seg_train', 'A' in 'trainA'; no numbers."""
    words = (word for word in _WORDS.findall(name) if word.lower() not in _SPLITS)
    return "".join(word for word in words if not word.isdecimal())


def _is_plain(name: str) -> bool:
    return len(_rest(name)) <= 1


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]
