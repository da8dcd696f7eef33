"""The order of streamed images: close to their order in the shards, and yet shuffled.

An epoch's shards, in random order, form a ring, which is cut into segments at a random place. Each
row of a batch is read from one segment, so that a batch has images from all over the data set. A
segment is read from its beginning to its end, and shuffled block by block. All of this is a
function of (seed, epoch) and of the row in the whole batch: the batches are the same however many
processes share them, and to start at a later step is to skip to its blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganctl.rng import Stream

MAX_SEGMENTS = 64
"""Number of segments, or fewer for small batches. More processes than that read the same shards."""


class ShardRange(NamedTuple):
    """Consecutive images of a shard."""

    shard: int
    images: range


class Position(NamedTuple):
    """Place of the image for one row of a batch."""

    segment: int
    block: int
    offset: int
    """Offset in the shuffled block."""


class EpochOrder:
    """The order of the images in one epoch."""

    def __init__(
        self, counts: NDArray[np.int64], batch_size: int, block_size: int, seed: int, epoch: int
    ) -> None:
        """Plan an epoch of `counts` images per shard, (num_shards,), in blocks of `block_size`."""
        self.counts = counts
        self.batch_size = batch_size
        self._block_size = block_size
        self._seed = seed
        self._epoch = epoch
        rng = Stream.SHARDS.generator(seed=seed, epoch=epoch)
        self._total = int(counts.sum())
        self._shards = rng.permutation(len(counts))
        self._cut = int(rng.integers(self._total))  # even for a single shard
        self._shard_ends = np.cumsum(counts[self._shards])
        self._num_segments = min(batch_size, MAX_SEGMENTS)
        self._rows_per_segment = self._divide(batch_size)
        last = -(-self._total // batch_size) - 1
        lengths = last * self._rows_per_segment + self._divide(self.num_rows(last))
        self._segment_starts = np.concatenate(([0], np.cumsum(lengths)))

    def num_rows(self, step: int) -> int:
        """Return the size of the batch `step`, counted from 0: the last one may be smaller."""
        return min(self.batch_size, self._total - step * self.batch_size)

    def position(self, step: int, row: int) -> Position:
        """Return where the image for `row` of the batch `step` is found."""
        size = self.num_rows(step)
        segment = row * self._num_segments // size
        first_row = -(-segment * size // self._num_segments)
        number = step * int(self._rows_per_segment[segment]) + row - first_row
        block = (number + self._block_size - self._first_block(segment)) // self._block_size
        return Position(segment, block, number - self._images(segment, block).start)

    def shard_ranges(self, segment: int, block: int) -> list[ShardRange]:
        """Return the parts of shards that a block consists of, in the order of reading."""
        images, ranges = self._images(segment, block), list[ShardRange]()
        first = (int(self._segment_starts[segment]) + images.start + self._cut) % self._total
        length = len(images)
        while length:
            number = int(np.searchsorted(self._shard_ends, first, "right"))
            shard, end = int(self._shards[number]), int(self._shard_ends[number])
            taken = min(length, end - first)
            begin = first - end + int(self.counts[shard])
            ranges.append(ShardRange(shard, range(begin, begin + taken)))
            first, length = (first + taken) % self._total, length - taken
        return ranges

    def permutation(self, segment: int, block: int) -> NDArray[np.int64]:
        """Return a block's shuffle: for each offset, the number of the image in reading order."""
        number = block * MAX_SEGMENTS + segment
        rng = Stream.BLOCKS.generator(seed=self._seed, epoch=self._epoch, number=number)
        return rng.permutation(len(self._images(segment, block)))

    def _divide(self, size: int) -> NDArray[np.int64]:
        """Return how many rows of a batch of `size` each segment provides."""
        return np.diff(-(-np.arange(self._num_segments + 1) * size // self._num_segments))

    def _first_block(self, segment: int) -> int:
        """Return the length of block 0, such that segments reach new blocks at different steps."""
        return self._block_size * (segment + 1) // self._num_segments

    def _images(self, segment: int, block: int) -> range:
        """Return which images of a segment are in a block."""
        length = int(self._segment_starts[segment + 1] - self._segment_starts[segment])
        end = self._first_block(segment) + block * self._block_size
        return range(max(0, end - self._block_size), min(end, length))
