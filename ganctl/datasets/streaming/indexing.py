"""Tar shards → their index: each is looked through once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ganctl import limits
from ganctl.datasets.base import NO_CLASSES, Progress
from ganctl.datasets.sources.base import class_order, is_hidden
from ganctl.datasets.sources.labels import FILES_BESIDE, FOLDERS, LISTS
from ganctl.datasets.sources.layout import ALL, Folder, Layout, Parts, folders_of, understand
from ganctl.datasets.sources.samples import left_out, split
from ganctl.datasets.streaming import shards, storage
from ganctl.datasets.streaming.index import MARK_EVERY, Class, Index, Shard
from ganctl.errors import DataError
from ganctl.text import listed, printable

_MAX_KINDS = 1000
"""Suffixes that are counted apart; what has yet another one is counted as one kind."""
_NAMED = 3


def make(
    address: str, names: Sequence[str], progress: Progress, image_key: str | None = None
) -> Index:
    """The index that is to be at `address`, of shards beside it that are looked through for it.

    Raises UsageError, and DataError, also where there are no images.
    """
    seen = _Seen(image_key, ALL)
    seen.look_through(address, names, progress)
    layout, notes, doubts = understand(seen.folders)
    if layout.has_splits:
        seen = _Seen(image_key, layout)
        seen.look_through(address, names, progress)
    if not seen.folders:
        others = ", ".join(f"{count:,} {kind}" for kind, count in seen.others.most_common(_NAMED))
        raise DataError(
            f"no images in {listed(map(printable, names), _NAMED)}: "
            + (f"other files: {others}" if others else "there is nothing")
        )
    counts, labels_from = seen.classes, FILES_BESIDE
    if not counts and not seen.lists:
        notes += doubts
        labels_from = FOLDERS
        for path, folder in seen.folders.items():
            if (name := layout.class_of(path)) is not None:
                counts[name] += folder.count
    return Index(
        address,
        tuple(seen.shards),
        tuple(Class(label, label, counts[label]) for label in class_order(counts)),
        image_key=image_key,
        layout=layout,
        labels_from=labels_from if counts else None,
        notes=(*notes, *seen.notes()),
    )


class _Seen:
    """What there is in shards."""

    def __init__(self, image_key: str | None, layout: Layout) -> None:
        self._image_key = image_key
        self._layout = layout
        self.shards: list[Shard] = []
        self.folders: dict[Parts, Folder] = {}
        """With images."""
        self.classes: Counter[str] = Counter()
        """Of images, as files beside them tell."""
        self.others: Counter[str] = Counter()
        """Files that are neither images nor labels, by their suffixes."""
        self.lists: Counter[str] = Counter()
        """Lists of labels, by their names."""
        self._fields: Counter[str] = Counter()
        """Images that are not the image of their sample."""
        self._apart: Counter[str] = Counter()
        """Samples that have a label and no image, by shard."""

    def look_through(self, address: str, names: Sequence[str], progress: Progress) -> None:
        """Add what is in the shards called `names`, beside `address`. Raises DataError."""
        for number, name in enumerate(names):
            progress("looking through shards", number, len(names))
            self._look_through(name, storage.beside(address, name))
        progress("looking through shards", len(names), len(names))

    def notes(self) -> list[str]:
        """What a user should know of them, but for their folders."""
        notes = left_out(self._fields)
        num_images = sum(shard.count for shard in self.shards)
        if unlabelled := num_images - self.classes.total() if self.classes else 0:
            notes.append(
                f"Images without a class: {unlabelled:,} of {num_images:,}. A training run ends at "
                "the first of them, or skips bad ones."
            )
        if self.lists and not self.classes:
            notes.append(
                f"{NO_CLASSES}{listed(self.lists, _NAMED)} is not read where shards are streamed. "
                "'ganctl data pack' puts each image's class beside it."
            )
        if self._apart:
            notes.append(
                f"Labels without an image beside them: {self._apart.total():,}, in "
                f"{listed(self._apart, _NAMED)}. The files of a sample must follow one another, as "
                "in a tar that is sorted by name."
            )
        return notes

    def _look_through(self, name: str, where: str) -> None:
        def pass_over(kind: shards.Kind, file: str) -> None:
            self._pass_over(name, kind, printable(file))

        marks = list[int]()
        keys = set[int]()
        with storage.opened(where) as file, shards.damage(where):
            for sample in shards.samples(
                file,
                with_content=False,
                image_key=self._image_key,
                layout=self._layout,
                passed=pass_over,
            ):
                count = len(keys)
                if count % MARK_EVERY == 0:
                    marks.append(sample.begin)
                key, _ = split(sample.name)
                keys.add(hash(key))
                if len(keys) == count:
                    raise DataError(
                        f"{printable(where)}: the files of the sample {key} "
                        "do not follow one another",
                        "Sort the files in it by name, or have 'ganctl data pack' make new shards.",
                    )
                self._add(sample)
            size = storage.size_of(file)
        self.shards.append(Shard(name, len(keys), size, np.array(marks, np.int64)))

    def _add(self, sample: shards.Sample) -> None:
        path = folders_of(sample.name)
        self.folders.setdefault(path, Folder()).add(sample.name.rpartition("/")[2])
        if len(self.folders) > limits.FOLDERS:
            raise DataError(f"there are more than {limits.FOLDERS:,} folders, which is too many")
        if sample.label is not None:
            self.classes[sample.label] += 1

    def _pass_over(self, shard: str, kind: shards.Kind, name: str) -> None:
        if kind == "image":
            _tally(self._fields, split(name)[1])
        elif kind == "label":
            _tally(self._apart, shard)
        elif name.rpartition("/")[2] in LISTS:
            _tally(self.lists, name)
        elif not any(map(is_hidden, name.split("/"))):
            _tally(self.others, name.rpartition(".")[2])


def _tally(counts: Counter[str], kind: str) -> None:
    counts[kind if kind in counts or len(counts) < _MAX_KINDS else "others"] += 1
