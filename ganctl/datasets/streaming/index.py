"""The index of tar shards, from which an epoch is planned before any shard is read.

A JSON file beside the shards, in the format of WebDataset's wids (a 'shardlist' with each shard's
url, nsamples and filesize), with what else ganctl needs: the offset of every 64th sample of a
shard, so that reading can start anywhere, and the classes that the labels beside the images mean.
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
from ganctl.config.image_settings import CHANNELS
from ganctl.datasets.sources.base import climbs
from ganctl.datasets.sources.labels import FOLDERS
from ganctl.datasets.sources.layout import ALL, Layout, folders_of
from ganctl.datasets.streaming import shards, storage
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError
from ganctl.text import counted, printable

MARK_EVERY = 64
"""The index has the offset of every sample whose number is a multiple of this."""
NAME = "index.json"
_SUFFIX = ".json"
_MAX_COUNT = 2**53
_ODD = frozenset("\\:?#%")
"""Characters with which a shard's name could mean a place outside its index's folder."""


@dataclass(frozen=True)
class Class:
    """A class of images."""

    label: str
    """Label of the class in the .cls or .json files beside images."""
    name: str
    count: int
    """Number of its images."""


@dataclass(frozen=True)
class Shard:
    """A tar file beside its index."""

    name: str
    count: int
    """Number of its samples."""
    size: int
    """Size in bytes."""
    marks: NDArray[np.int64]
    """Offsets of samples 0, MARK_EVERY, ... in bytes; empty if they are not known."""


@dataclass(frozen=True)
class Index:
    """Facts about shards: a few numbers for each, none per image."""

    address: str
    """Absolute path or address of the index; the shards are in the same folder."""
    shards: tuple[Shard, ...]
    classes: tuple[Class, ...] = ()
    """Classes of the images; empty if they have no labels."""
    image_size: tuple[int, int] | None = None
    """(height, width) of the images, or the best one to train at; None if not known."""
    image_channels: int | None = None
    image_key: str | None = None
    """Field of the image in each sample; None: chosen by `sources.samples`."""
    layout: Layout = ALL
    """The folders in the shards that are trained on, and those that are classes."""
    labels_from: str | None = None
    """Source of the classes."""
    notes: tuple[str, ...] = ()
    """Notes for a user on how the shards were understood."""

    @property
    def num_images(self) -> int:
        """Number of images in all shards."""
        return sum(shard.count for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Size of all shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def digest(self) -> str:
        """SHA-256 of what identifies these shards: names, counts, sizes, classes."""
        facts: list[Any] = [[(shard.name, shard.count, shard.size) for shard in self.shards],
                 [(known.label, known.name) for known in self.classes]]  # fmt: skip
        if self.image_key is not None or self.layout != ALL:
            facts.append([(self.image_key, json.dumps(self.layout.to_dict()))])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return JSON-like values, which are printed by the commands that make an index."""
        return {
            "index": self.address,
            "num_images": self.num_images,
            "num_shards": len(self.shards),
            "num_bytes": self.num_bytes,
            "classes": {known.name: known.count for known in self.classes},
            "labels_from": self.labels_from,
            "notes": self.notes,
        }

    def address_of(self, shard: int) -> str:
        """Return the path or address of a shard."""
        return storage.sibling(self.address, self.shards[shard].name)

    def to_json(self) -> bytes:
        """Return the content of the file, which `read` reads: the same for the same shards."""
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
        """Yield consecutive samples of a shard, with their content.

        `known` is the (number, offset) of a sample from which to search if that is nearer than a
        mark. Raises DataError if the shard is not as the index says.
        """
        address, facts = self.address_of(shard), self.shards[shard]
        first, offset = _mark(facts, images.start)
        if known is not None and first <= known[0] <= images.start:
            first, offset = known
        with storage.open_file(address) as file, shards.damage(address):
            size = storage.size_of(file)
            if size != facts.size:
                raise _mismatch(address, f"it has {counted(size, 'byte')}, not {facts.size:,}")
            file.seek(offset)
            coming = shards.samples(
                file, images.start - first, image_key=self.image_key, layout=self.layout
            )
            number = first - 1
            for number, sample in zip(range(first, images.stop), coming, strict=False):
                marked, at = _mark(facts, number)
                if number == marked and at != sample.begin:
                    raise _mismatch(address, f"image {number:,} is not where it should be")
                if number >= images.start:
                    yield self._labelled(sample)
            if number + 1 < images.stop:
                raise _mismatch(address, f"it has fewer than {counted(facts.count, 'image')}")
            if images.stop == facts.count and next(coming, None) is not None:
                raise _mismatch(address, f"it has more than {counted(facts.count, 'image')}")

    def _labelled(self, sample: Sample) -> Sample:
        """Return `sample` with its folder as the class, if folders are classes."""
        if self.labels_from != FOLDERS:
            return sample
        return sample._replace(label=self.layout.class_of(folders_of(sample.name)))


def is_index(name: str) -> bool:
    """Return whether a path or an address is written like that of an index."""
    return name.lower().endswith(_SUFFIX) and not os.path.isdir(name)  # noqa: PTH112


def read(address: str) -> Index:
    """Return the index at a path or an address. Raises DataError, UsageError."""
    with storage.open_file(address) as file:
        try:
            if storage.size_of(file) > limits.INDEX_BYTES:
                raise ValueError
            content = file.read(limits.INDEX_BYTES)
            return _from_dict(address, json.loads(content))
        except OSError as error:
            raise DataError(f"{printable(address)} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            raise DataError(
                f"{printable(address)} is not an index of shards",
                "'ganctl data index' makes one from the shards.",
            ) from None


def write(index: Index) -> None:
    """Write an index to its address, whole or not at all. Raises RunError, DataError."""
    with storage.writer(index.address) as file:
        file.write(index.to_json())


def _mark(shard: Shard, number: int) -> tuple[int, int]:
    """Return (number, offset) of the last sample up to `number` whose offset is known."""
    if not len(shard.marks):
        return 0, 0
    return number // MARK_EVERY * MARK_EVERY, int(shard.marks[number // MARK_EVERY])


def _mismatch(address: str, how: str) -> DataError:
    return DataError(
        f"{printable(address)} is not as its index says: {how}",
        "Make the index again: remove it and run 'ganctl data index'.",
    )


def _from_dict(address: str, data: Any) -> Index:
    """Return the index in `data`. Raises DataError, and any error that unexpected values cause."""
    own = data.get("ganctl", {})
    found = tuple(_shard(address, entry) for entry in data["shardlist"])
    is_unique = len({shard.name for shard in found}) == len(found)
    if not is_unique or sum(shard.size for shard in found) >= _MAX_COUNT:
        raise ValueError
    classes = tuple(
        Class(str(known["label"]), printable(str(known["name"])), _count(known["count"]))
        for known in own.get("classes", ())
    )
    size, channels = own.get("image_size"), own.get("image_channels")
    image_key, labels_from = own.get("image_key"), own.get("labels_from")
    if channels is not None and channels not in CHANNELS:
        raise ValueError
    return Index(
        address,
        found,
        classes,
        None if size is None else (_count(size[0]), _count(size[1])),
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
    if count * tarfile.BLOCKSIZE > size:  # each sample has at least a header
        raise ValueError
    if len(marks) not in (0, -(-count // MARK_EVERY)) or (marks > size).any():
        raise ValueError
    return Shard(name, count, size, marks)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError
    return value
