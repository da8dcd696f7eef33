"""Images that are streamed from shards and decoded during training, never held as a whole."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganctl import machine
from ganctl.batch import WHOLE, Share
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import detection, holdout
from ganctl.datasets.dataset import Batch, Dataset, NamedClasses
from ganctl.datasets.decoding.decode import BadImage, Pixels, measure
from ganctl.datasets.decoding.formats import READABLE
from ganctl.datasets.local.survey import describe_classes
from ganctl.datasets.prefetch import Request, prefetch
from ganctl.datasets.sources import columns
from ganctl.datasets.streaming import reader
from ganctl.datasets.streaming.index import Index, read
from ganctl.datasets.streaming.order import EpochOrder
from ganctl.datasets.streaming.reader import Reader, decode_sample
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import counted, printable

if TYPE_CHECKING:  # processes that only decode images come through here, and start quicker without
    import torch

_MAX_BLOCK = 4096
"""Maximum number of images that are shuffled at once."""
_DETECTION_IMAGES, _DETECTION_SHARDS = 256, 8
"""Images, and shards, in which size and channels are detected."""
_MAX_HELD_OUT = 20_000
"""Maximum number of held-out images that are read to compare samples with."""
_MAX_PROCESSES = 8
_AHEAD_BYTES, _AHEAD = 2**26, range(2, 9)
"""Batches that are read ahead: as many as take that many bytes, within limits."""


@dataclass(frozen=True)
class StreamedDataset(NamedClasses):
    """An `ImageDataset` of tar shards, whose batches are read and decoded as they are needed."""

    name: str
    index: Index
    settings: ImageSettings
    """Preprocessing of the images, with size and channels set."""
    limit: int | None = None
    """Number of images to use, the first ones; None: all."""
    skip_bad: bool = False
    """Whether an image that cannot be decoded is replaced by its neighbor."""
    notices: tuple[str | Text, ...] = ()
    device: torch.device | None = None
    num_held_out: int = 0
    """Number of the images that `hold_out` took: the last ones of some shards."""
    labels_problem: None = None
    value_range: None = None
    has_test_images: bool = False

    def __len__(self) -> int:
        return int(self._counts.sum())

    @property
    def _held_out(self) -> NDArray[np.int64]:
        """How many images of each shard are held out, (num_shards,)."""
        return holdout.per_shard(_counts(self.index, self.limit), self.num_held_out)

    @property
    def _counts(self) -> NDArray[np.int64]:
        """How many images of each shard are in the data set, (num_shards,): its first ones."""
        return _counts(self.index, self.limit) - self._held_out

    @property
    def held_out_digest(self) -> str:
        return holdout.digest_of(self._held_out) if self.num_held_out else ""

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(known.name for known in self.index.classes)

    @property
    def digest(self) -> str:
        return self.index.digest

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = detection.array_shape(self.settings)
        return channels, height, width

    def to(self, device: torch.device, bound: int | None = None) -> StreamedDataset:
        """Return the same data set with batches on `device`, whatever the `bound`."""
        return replace(self, device=device)

    def hold_out(self, count: int) -> StreamedDataset:
        """Return all but `count` of the images: the last ones of some shards are left out."""
        return replace(self, num_held_out=count)

    def held_out_images(self) -> Dataset | None:
        """Return the images that `hold_out` took, read and decoded now; None if it took none.

        They are in random order, and at most 20,000. Those that cannot be decoded are left out.
        """
        if not self.num_held_out:
            return None
        pixels = self._decoded(_last_samples(self.index, self._counts, self._held_out))
        pixels = pixels[holdout.shuffled(len(pixels))]
        return Dataset.from_arrays(self.name, pixels, np.zeros(len(pixels)))

    def evenly_spaced(self, count: int) -> Pixels:
        """Return about `count` images, uint8 (n, H, W, C), the first of evenly spaced shards."""
        return self._decoded(_first_samples(self.index, self._counts, count))

    def _decoded(self, samples: Iterable[Sample]) -> Pixels:
        """Return the images of `samples`, uint8 (n, H, W, C), without those that are damaged."""
        pixels = []
        for sample in samples:
            with contextlib.suppress(BadImage):
                pixels.append(decode_sample(sample, self.settings))
        shape = detection.array_shape(self.settings)
        return np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8)

    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]:
        """Yield the batches `numbers` of an epoch: see `ImageDataset.batches`.

        Their order is an `EpochOrder`. The next ones are read and decoded meanwhile, by other
        processes if there are cores for them. Raises DataError.
        """
        import torch

        image_bytes = math.prod(self.image_shape)
        encoded_bytes = self.index.num_bytes // self.index.num_images
        block_size = reader.BLOCK_BYTES // max(encoded_bytes, image_bytes)
        block_size = min(max(1, block_size), _MAX_BLOCK)
        order = EpochOrder(self._counts, size, block_size, seed, epoch)
        ahead = min(max(_AHEAD_BYTES // (size * image_bytes), _AHEAD.start), _AHEAD.stop)
        sizes = ((number, order.num_rows(number)) for number in numbers)
        for request, pixels, labels in prefetch(
            Reader(self.index, self.settings, order, self.skip_bad),
            (Request(number, share.rows(count), count) for number, count in sizes),
            self.device or torch.device("cpu"),
            num_ahead=ahead,
            num_processes=_num_processes(self.index.address),
        ):
            yield Batch(pixels, labels, request.rows.start, request.batch_size)


def load(
    address: str, settings: ImageSettings, *, limit: int | None = None, skip_bad: bool = False
) -> StreamedDataset:
    """Return the images of the shards whose index is at a path or an address.

    Size and channels that are not set are the index's, or detected in the first images. Raises
    DataError, UsageError.
    """
    detection.require_color(settings.background)
    index, name = read(address), printable(address)
    if settings.image_key not in (None, index.image_key):
        raise UsageError(
            f"{name} is not an index of the images '{settings.image_key}'",
            Text(
                "Leave out {}, or make another index with it: ganctl data index.",
                Setting("image_key"),
            ),
        )
    columns.require_none(settings, "images in shards")
    if index.num_images < 2:
        raise DataError(
            f"only {counted(index.num_images, 'image')} in the shards of {name}; at least 2 are "
            "needed"
        )
    known = replace(
        settings,
        size=settings.size or index.image_size,
        channels=settings.channels or index.image_channels,
    )
    is_known = None not in (known.size, known.channels)
    counts = _counts(index, limit)
    chosen = known if is_known else _detect(index, counts, known)
    count = int(counts.sum())
    notice = (
        f"{counted(count, 'image')} in {counted(len(index.shards), 'shard')} of {name}"
        + describe_classes(len(index.classes), index.labels_from)
        + "; training at "
        + detection.describe(detection.array_shape(chosen), known, " from the first images")
    )
    return StreamedDataset(address, index, chosen, limit, skip_bad, (notice, *index.notes))


def _counts(index: Index, limit: int | None) -> NDArray[np.int64]:
    """Return how many images of each shard are used, (num_shards,): in total the first `limit`."""
    ends = np.cumsum([0, *(shard.count for shard in index.shards)])
    return np.diff(ends if limit is None else np.minimum(ends, limit))


def _first_samples(index: Index, counts: NDArray[np.int64], count: int) -> Iterator[Sample]:
    """Yield about `count` samples, of the first `counts` ones of evenly spaced shards."""
    used = np.flatnonzero(counts)
    chosen = used[np.linspace(0, len(used) - 1, min(len(used), _DETECTION_SHARDS)).astype(int)]
    for shard in chosen.tolist():
        each = min(int(counts[shard]), -(-count // len(chosen)))
        yield from index.samples(shard, range(each))


def _last_samples(
    index: Index, first: NDArray[np.int64], counts: NDArray[np.int64]
) -> Iterator[Sample]:
    """Yield the `counts` samples of each shard from its `first` on, (num_shards,) both."""
    left = _MAX_HELD_OUT
    for shard in np.flatnonzero(counts).tolist():
        start, count = int(first[shard]), min(int(counts[shard]), left)
        left -= count
        if count:
            yield from index.samples(shard, range(start, start + count))


def _detect(index: Index, counts: NDArray[np.int64], settings: ImageSettings) -> ImageSettings:
    """Return `settings` with the size and channels that suit the first images."""
    sides, has_color = list[int](), False
    for sample in _first_samples(index, counts, _DETECTION_IMAGES):
        with contextlib.suppress(BadImage):
            facts = measure(sample.content)
            sides.append(min(facts.width, facts.height))
            has_color = has_color or detection.is_colorful(sample.content, settings)
    if not sides:
        raise DataError(
            f"none of the first images in the shards of {printable(index.address)} can be used",
            READABLE,
        )
    return detection.detect(settings, sides, has_color=has_color)


def _num_processes(address: str) -> int:
    """Return the number of processes that read images for this one; 0 means a thread.

    It is a power of two like the number of segments: each process reads segments of its own.
    """
    if address.startswith("memory://"):  # only this process can read it
        return 0
    num_training = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    spare = min(machine.num_cores() // num_training - 1, _MAX_PROCESSES)
    return 1 << (spare.bit_length() - 1) if spare > 0 else 0
