"""The index of tar shards: what there is in each, so that an epoch is planned before one is read.

A JSON file beside the shards, as WebDataset's wids has it ('shardlist', of each shard its url,
nsamples and filesize), with what else ganctl needs: where in a shard every 64th sample begins, so
that reading can begin anywhere, and which classes the labels beside the images mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganctl import limits
from ganctl.datasets.sources.base import climbs
from ganctl.datasets.sources.labels import FOLDERS
from ganctl.datasets.sources.layout import ALL, Layout, folders_of
from ganctl.datasets.streaming import shards, storage
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError
from ganctl.text import counted, printable

MARK_EVERY = 64
"""Samples of a shard between those whose places its index names."""
NAME = "index.json"
_SUFFIX = ".json"
_MAX_COUNT = 2**53
_ODD = frozenset("\\:?#%")
"""What in a shard's name could mean another place than its index's folder."""
_AGAIN = "Make it anew: ganctl data index."


@dataclass(frozen=True)
class Class:
    """A class of images."""

    label: str
    """What the .cls or .json beside an image says of it."""
    name: str
    count: int
    """Images of it."""


@dataclass(frozen=True)
class Shard:
    """A tar of an index's folder."""

    name: str
    count: int
    """Its samples."""
    size: int
    """In bytes."""
    marks: NDArray[np.int64]
    """Where its samples 0, MARK_EVERY, ... begin; empty where that is not known."""


@dataclass(frozen=True)
class Index:
    """What shards there are, and what is known of each: a few numbers, and none for each image."""

    address: str
    """Its own: an absolute path, or where in an object store it is. The shards are beside it."""
    shards: tuple[Shard, ...]
    classes: tuple[Class, ...] = ()
    """None: the images have no labels."""
    image_size: tuple[int, int] | None = None
    """(height, width) that the images have, or are best seen in; None: not known."""
    image_channels: int | None = None
    image_key: str | None = None
    """The field of the image in each sample; None: as `sources.samples` chooses it."""
    layout: Layout = ALL
    """Which folders in the shards are trained on, and which are classes."""
    labels_from: str | None = None
    """What tells the classes."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the shards were understood."""

    @property
    def num_images(self) -> int:
        """In all shards."""
        return sum(shard.count for shard in self.shards)

    @property
    def digest(self) -> str:
        """SHA-256 of what tells these shards from others: names, counts, sizes, classes."""
        facts: list[Any] = [[(shard.name, shard.count, shard.size) for shard in self.shards],
                 [(known.label, known.name) for known in self.classes]]  # fmt: skip
        if self.image_key is not None or self.layout != ALL:
            facts.append([(self.image_key, json.dumps(self.layout.to_dict()))])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def where(self, shard: int) -> str:
        """The path or address of a shard."""
        return storage.beside(self.address, self.shards[shard].name)

    def to_json(self) -> bytes:
        """As `read` takes it: the same bytes for the same shards."""
        shardlist = [
            {
                "url": shard.name,
                "nsamples": shard.count,
                "filesize": shard.size,
                "marks": shard.marks.tolist(),
            }
            for shard in self.shards
        ]
        own = {
            "classes": [vars(known) for known in self.classes],
            "image_size": self.image_size,
            "image_channels": self.image_channels,
            "image_key": self.image_key,
            "layout": self.layout.to_dict(),
            "labels_from": self.labels_from,
            "notes": self.notes,
        }
        content = {"wids_version": 1, "shardlist": shardlist, "ganctl": own}
        return json.dumps(content).encode() + b"\n"

    def samples(
        self, shard: int, images: range, known: tuple[int, int] | None = None
    ) -> Iterator[Sample]:
        """Neighbours in a shard, with their content.

        `known` is (number, place) of a sample from which on the shard is looked through, where
        that is nearer than a mark. Raises DataError where the shard is not as the index says.
        """
        where, facts = self.where(shard), self.shards[shard]
        first, place = _mark(facts, images.start)
        if known is not None and first <= known[0] <= images.start:
            first, place = known
        with storage.opened(where) as file, shards.damage(where):
            size = storage.size_of(file)
            if size != facts.size:
                raise _unlike(where, f"it has {counted(size, 'byte')}, not {facts.size:,}")
            file.seek(place)
            coming = shards.samples(
                file, images.start - first, image_key=self.image_key, layout=self.layout
            )
            number = first - 1
            for number, sample in zip(range(first, images.stop), coming, strict=False):
                marked, at = _mark(facts, number)
                if number == marked and at != sample.begin:
                    raise _unlike(where, f"image {number:,} is not where it should be")
                if number >= images.start:
                    yield self._labelled(sample)
            if number + 1 < images.stop:
                raise _unlike(where, f"it has fewer than {counted(facts.count, 'image')}")
            if images.stop == facts.count and next(coming, None) is not None:
                raise _unlike(where, f"it has more than {counted(facts.count, 'image')}")

    def _labelled(self, sample: Sample) -> Sample:
        """`sample` with the class that its folder is, where folders are classes."""
        if self.labels_from != FOLDERS:
            return sample
        return sample._replace(label=self.layout.class_of(folders_of(sample.name)))


def is_index(name: str) -> bool:
    """Whether `name`, a path or an address, is written like an index's."""
    return name.lower().endswith(_SUFFIX) and not os.path.isdir(name)  # noqa: PTH112


def read(address: str) -> Index:
    """The index at a path or an address. Raises DataError, UsageError."""
    with storage.opened(address) as file:
        try:
            if storage.size_of(file) > limits.INDEX_BYTES:
                raise ValueError
            content = file.read(limits.INDEX_BYTES)
            return _from_dict(address, json.loads(content))
        except OSError as error:
            raise DataError(f"{printable(address)} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            raise DataError(
                f"{printable(address)} is not an index of shards", "ganctl data index makes one."
            ) from None


def write(index: Index) -> None:
    """Put an index where it says that it is, whole or not at all. Raises RunError, DataError."""
    with storage.writer(index.address) as file:
        file.write(index.to_json())


def _mark(shard: Shard, number: int) -> tuple[int, int]:
    """(number, place) of the last sample up to `number` whose place is known."""
    if not len(shard.marks):
        return 0, 0
    return number // MARK_EVERY * MARK_EVERY, int(shard.marks[number // MARK_EVERY])


def _unlike(where: str, how: str) -> DataError:
    return DataError(f"{printable(where)} is not as its index says: {how}", _AGAIN)


def _from_dict(address: str, data: Any) -> Index:
    """Raises DataError, and what reading odd values raises."""
    own = data.get("ganctl", {})
    found = tuple(_shard(address, entry) for entry in data["shardlist"])
    if len({shard.name for shard in found}) < len(found):
        raise ValueError
    if sum(shard.size for shard in found) >= _MAX_COUNT:
        raise ValueError
    classes = tuple(
        Class(str(known["label"]), printable(str(known["name"])), _count(known["count"]))
        for known in own.get("classes", ())
    )
    size, channels = own.get("image_size"), own.get("image_channels")
    image_key, labels_from = own.get("image_key"), own.get("labels_from")
    if size is not None:
        size = (_count(size[0]), _count(size[1]))
    if channels not in (None, 1, 3):
        raise ValueError
    return Index(
        address,
        found,
        classes,
        size,
        channels,
        None if image_key is None else str(image_key),
        Layout.from_dict(own["layout"]) if "layout" in own else ALL,
        None if labels_from is None else printable(str(labels_from)),
        tuple(printable(str(note)) for note in own.get("notes", ())),
    )


def _shard(address: str, entry: Any) -> Shard:
    name = str(entry["url"]).removeprefix("./")
    if climbs(name) or not name.isprintable() or not name or not _ODD.isdisjoint(name):
        raise DataError(
            f"{printable(address)} names a shard outside of its folder: {printable(name)}"
        )
    count, size = _count(entry["nsamples"]), _count(entry["filesize"])
    marks = np.array([_count(mark) for mark in entry.get("marks", ())], np.int64)
    if count * tarfile.BLOCKSIZE > size:  # each sample has a header at the least
        raise ValueError
    if len(marks) not in (0, -(-count // MARK_EVERY)) or (marks > size).any():
        raise ValueError
    return Shard(name, count, size, marks)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError
    return value
