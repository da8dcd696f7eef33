"""Indexing of existing tar shards: each is scanned once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ganctl import limits
from ganctl.datasets.dataset import NO_CLASSES, Progress
from ganctl.datasets.sources.base import class_order, is_hidden
from ganctl.datasets.sources.labels import FILES_BESIDE, FOLDERS, LISTS
from ganctl.datasets.sources.layout import ALL, Folder, Layout, Parts, folders_of, infer
from ganctl.datasets.sources.opening import expand_pattern
from ganctl.datasets.sources.samples import describe_others, split
from ganctl.datasets.streaming import index, shards, storage
from ganctl.datasets.streaming.index import MARK_EVERY, Class, Index, Shard
from ganctl.errors import DataError, RunError, UsageError
from ganctl.text import listed, printable

_MAX_KINDS = 1000
"""Suffixes that are counted separately; all others are counted together."""
_NAMED = 3


def index_shards(pattern: str, progress: Progress, image_key: str | None = None) -> Index:
    """Scan the shards that `pattern` names, all in one folder; write their index beside them.

    Raises UsageError, DataError, and RunError if there is an index already.
    """
    if os.path.isdir(pattern):  # noqa: PTH112
        raise DataError(
            f"'{printable(pattern)}' is a folder; give the tar shards in it",
            f"For example: ganctl data index '{printable(pattern).rstrip('/')}/{{000..127}}.tar'",
        )
    paths = [path.rpartition("/") for path in expand_pattern(pattern)]
    folder, slash, _ = paths[0]
    if any(path[0] != folder for path in paths):
        raise UsageError(
            "the shards are in several folders", "Run this once per folder, as each needs an index."
        )
    address = folder + slash + index.NAME
    if index.NAME in storage.list_names(folder + slash or "."):
        raise RunError(
            f"'{address}' already exists; nothing was changed", "Remove it to make a new one."
        )
    made = make(address, [path[2] for path in paths], progress, image_key)
    index.write(made)
    return made


def make(
    address: str, names: Sequence[str], progress: Progress, image_key: str | None = None
) -> Index:
    """Return the index of the shards called `names`, to be written beside them, to `address`.

    Raises UsageError, and DataError, also if there are no images.
    """
    seen = _Scan(image_key, ALL)
    seen.add(address, names, progress)
    layout, notes, doubts = infer(seen.folders)
    if layout.has_splits:
        seen = _Scan(image_key, layout)
        seen.add(address, names, progress)
    if not seen.folders:
        others = ", ".join(f"{count:,} {kind}" for kind, count in seen.others.most_common(_NAMED))
        raise DataError(
            f"no images in {listed(map(printable, names), _NAMED)}, "
            + (f"only other files: {others}" if others else "nor any other files")
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


class _Scan:
    """The contents of shards, added up while they are scanned."""

    def __init__(self, image_key: str | None, layout: Layout) -> None:
        self._image_key = image_key
        self._layout = layout
        self.shards: list[Shard] = []
        self.folders: dict[Parts, Folder] = {}
        """Folders with images."""
        self.classes: Counter[str] = Counter()
        """Number of images by the label in the file beside each."""
        self.others: Counter[str] = Counter()
        """Number of files that are neither images nor labels, by suffix."""
        self.lists: Counter[str] = Counter()
        """Lists of labels, by name."""
        self._unused_fields: Counter[str] = Counter()
        """Number of images that are not the image of their sample, by field."""
        self._separate_labels: Counter[str] = Counter()
        """Number of samples that have a label and no image, by shard."""

    def add(self, address: str, names: Sequence[str], progress: Progress) -> None:
        """Scan the shards called `names` beside `address`. Raises DataError."""
        for number, name in enumerate(names):
            progress("scanning shards", number, len(names))
            self._scan(name, storage.sibling(address, name))
        progress("scanning shards", len(names), len(names))

    def notes(self) -> list[str]:
        """Return notes for the user about the shards, except those about their folders."""
        notes = describe_others(self._unused_fields)
        num_images = sum(shard.count for shard in self.shards)
        if unlabelled := num_images - self.classes.total() if self.classes else 0:
            notes.append(
                f"Images without a class: {unlabelled:,} of {num_images:,}. A training run ends at "
                "the first of them, or skips bad ones."
            )
        if self.lists and not self.classes:
            notes.append(
                f"{NO_CLASSES}{listed(self.lists, _NAMED)} is not read from streamed shards. "
                "'ganctl data pack' puts each image's class beside it."
            )
        if self._separate_labels:
            notes.append(
                f"Labels without an image beside them: {self._separate_labels.total():,}, in "
                f"{listed(self._separate_labels, _NAMED)}. The files of a sample must follow one "
                "another, as in a tar that is sorted by name."
            )
        return notes

    def _scan(self, name: str, address: str) -> None:
        def skip(kind: shards.Kind, file: str) -> None:
            self._count_skipped(name, kind, printable(file))

        marks = list[int]()
        keys = set[int]()
        with storage.open_file(address) as file, shards.damage(address):
            for sample in shards.samples(
                file,
                with_content=False,
                image_key=self._image_key,
                layout=self._layout,
                on_skip=skip,
            ):
                count = len(keys)
                if count % MARK_EVERY == 0:
                    marks.append(sample.begin)
                key, _ = split(sample.name)
                keys.add(hash(key))
                if len(keys) == count:
                    raise DataError(
                        f"{printable(address)}: the files of the sample {key} do not follow one "
                        "another",
                        "Sort the files in it by name, or make new shards: 'ganctl data pack'.",
                    )
                self._count(sample)
            size = storage.size_of(file)
        self.shards.append(Shard(name, len(keys), size, np.array(marks, np.int64)))

    def _count(self, sample: shards.Sample) -> None:
        path = folders_of(sample.name)
        self.folders.setdefault(path, Folder()).add(sample.name.rpartition("/")[2])
        if len(self.folders) > limits.FOLDERS:
            raise DataError(f"there are more than {limits.FOLDERS:,} folders, which is too many")
        if sample.label is not None:
            self.classes[sample.label] += 1

    def _count_skipped(self, shard: str, kind: shards.Kind, name: str) -> None:
        if kind == "image":
            _tally(self._unused_fields, split(name)[1])
        elif kind == "label":
            _tally(self._separate_labels, shard)
        elif name.rpartition("/")[2] in LISTS:
            _tally(self.lists, name)
        elif not any(map(is_hidden, name.split("/"))):
            _tally(self.others, name.rpartition(".")[2])


def _tally(counts: Counter[str], kind: str) -> None:
    counts[kind if kind in counts or len(counts) < _MAX_KINDS else "others"] += 1
