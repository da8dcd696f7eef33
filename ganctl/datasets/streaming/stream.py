"""Images that are decoded while a training goes on: shards by their index, held nowhere whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganctl import machine
from ganctl.batch import WHOLE, Share
from ganctl.config.images import ImageSettings
from ganctl.datasets import detection
from ganctl.datasets.base import Batch, reasons_for_no_classes
from ganctl.datasets.decoding import BadImage, Pixels, measure
from ganctl.datasets.decoding.formats import READABLE
from ganctl.datasets.local.survey import describe_classes
from ganctl.datasets.prefetch import Request, prefetch
from ganctl.datasets.streaming import reader, storage
from ganctl.datasets.streaming.index import Index, read
from ganctl.datasets.streaming.order import Lanes
from ganctl.datasets.streaming.reader import Reader, decoded, shape_of
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import counted, printable

if TYPE_CHECKING:  # processes that only decode images come through here, and start quicker without
    import torch

_MAX_BLOCK = 4096
"""Neighbours that are shuffled, however small they are."""
_LOOKED_AT, _SHARDS_LOOKED_AT = 256, 8
"""Images, and of how many shards, that size and channels are chosen by."""
_MAX_WORKERS = 8
_AHEAD_BYTES, _AHEAD = 2**26, range(2, 9)
"""Batches that are read while others are used: as many as take so many bytes, within limits."""


@dataclass(frozen=True)
class Stream:
    """The images of tar shards, as `base.Images`: batches are read and decoded when wanted."""

    name: str
    index: Index
    settings: ImageSettings
    """With size and channels set."""
    limit: int | None = None
    """Only so many, the first ones."""
    skip_bad: bool = False
    """Whether an image that cannot be decoded is replaced by its neighbour."""
    notices: tuple[str | Text, ...] = ()
    device: torch.device | None = None

    @property
    def no_classes(self) -> tuple[str, ...]:
        """The notices that say why there are no classes."""
        return reasons_for_no_classes(self.notices)

    @property
    def labels_problem(self) -> None:
        """None: an index that is wrong is refused."""

    @property
    def num_held_out(self) -> int:
        """None: what is held out is not looked for in shards."""
        return 0

    def __len__(self) -> int:
        return int(_counts(self.index, self.limit).sum())

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(known.name for known in self.index.classes)

    @property
    def num_classes(self) -> int:
        """How many classes there are for networks to tell apart: one alone is none."""
        return len(self.classes) if len(self.classes) > 1 else 0

    @property
    def digest(self) -> str:
        """Of the index: tells a resumed run that its shards are the same."""
        return self.index.digest

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        height, width, channels = shape_of(self.settings)
        return channels, height, width

    def to(self, device: torch.device, bound: int | None = None) -> Stream:
        """The same for batches on `device`, whatever the `bound`."""
        return replace(self, device=device)

    def some(self, count: int) -> Pixels:
        """About `count` images, uint8 (n, H, W, C): the first ones of some shards."""
        pixels = []
        for sample in _first_ones(self.index, self.limit, count):
            with contextlib.suppress(BadImage):
                pixels.append(decoded(sample, self.settings))
        return np.stack(pixels) if pixels else np.empty((0, *shape_of(self.settings)), np.uint8)

    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]:
        """Of an epoch, counted from 0, those batches of `size`, on the device; a share of each.

        Their order is a function of (seed, epoch): see `lanes`. While one is used the next are read
        and decoded, by other processes where there are cores for them. Raises DataError.
        """
        import torch

        device = self.device or torch.device("cpu")
        counts = _counts(self.index, self.limit)
        lanes = Lanes(counts, size, self._block(), seed, epoch)
        job = Reader(self.index, self.settings, lanes, self.skip_bad)
        ahead = _AHEAD_BYTES // (size * int(np.prod(shape_of(self.settings))))
        ahead = min(max(ahead, _AHEAD.start), _AHEAD.stop)
        sizes = ((number, lanes.size(number)) for number in numbers)
        requests = (Request(number, share.rows(count), count) for number, count in sizes)
        num_processes = 0 if storage.is_in_memory(self.index.address) else _num_workers()
        for request, pixels, labels in prefetch(
            job, requests, device, num_ahead=ahead, num_processes=num_processes
        ):
            yield Batch(pixels, labels, request.rows.start, request.batch_size)

    def _block(self) -> int:
        """Neighbours that are shuffled: as many as a lane may hold."""
        encoded = sum(shard.size for shard in self.index.shards) / self.index.num_images
        each = max(int(encoded), int(np.prod(shape_of(self.settings))))
        return min(max(1, reader.LANE_BYTES // each), _MAX_BLOCK)


def load(
    address: str, settings: ImageSettings, *, limit: int | None = None, skip_bad: bool = False
) -> Stream:
    """The images of the shards whose index is at a path or an address; some are looked at.

    Size and channels that are not set are the index's, or chosen from the first images. Raises
    DataError, UsageError.
    """
    detection.require_color(settings.background)
    index = read(address)
    if settings.image_key not in (None, index.image_key):
        raise UsageError(
            f"{printable(address)} is not an index of the images '{settings.image_key}'",
            Text(
                "Leave out {}, or make another index with it: ganctl data index.",
                Setting("image_key"),
            ),
        )
    if index.num_images < 2:
        raise DataError(
            f"the shards of {printable(address)} hold {counted(index.num_images, 'image')}"
        )
    known = replace(
        settings,
        size=settings.size or index.image_size,
        channels=settings.channels or index.image_channels,
    )
    is_known = None not in (known.size, known.channels)
    chosen = known if is_known else _chosen(index, limit, known)
    count = int(_counts(index, limit).sum())
    notice = (
        f"{counted(count, 'image')} in {counted(len(index.shards), 'shard')} of "
        + printable(address)
        + describe_classes(len(index.classes), index.labels_from)
        + "; training at "
        + detection.describe(shape_of(chosen), known, " from the first images")
    )
    return Stream(address, index, chosen, limit, skip_bad, (notice, *index.notes))


def _counts(index: Index, limit: int | None) -> NDArray[np.int64]:
    """(num_shards,) How many images of each shard are used: of all together the first `limit`."""
    ends = np.cumsum([0, *(shard.count for shard in index.shards)])
    return np.diff(ends if limit is None else np.minimum(ends, limit))


def _first_ones(index: Index, limit: int | None, count: int) -> Iterator[Sample]:
    """About `count` samples: as many from the beginning of each of some shards."""
    counts = _counts(index, limit)
    used = np.flatnonzero(counts)
    chosen = used[np.linspace(0, len(used) - 1, min(len(used), _SHARDS_LOOKED_AT)).astype(int)]
    for shard in chosen.tolist():
        each = min(int(counts[shard]), -(-count // len(chosen)))
        yield from index.samples(shard, range(each))


def _chosen(index: Index, limit: int | None, settings: ImageSettings) -> ImageSettings:
    """`settings` with size and channels, if they are not set, as suits some of the images."""
    sides, has_color = list[int](), False
    for sample in _first_ones(index, limit, _LOOKED_AT):
        with contextlib.suppress(BadImage):
            facts = measure(sample.content)
            sides.append(min(facts.width, facts.height))
            has_color = has_color or detection.is_colorful(sample.content, settings.background)
    if not sides:
        raise DataError(
            f"of the first images that {printable(index.address)} names none can be used",
            READABLE,
        )
    return detection.detect(settings, sides, has_color=has_color)


def _num_workers() -> int:
    """Processes that read beside each that trains, a power of two as lanes are; 0: a thread."""
    trained_by = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    spare = min(machine.cores() // trained_by - 1, _MAX_WORKERS)
    return 1 << (spare.bit_length() - 1) if spare > 0 else 0
