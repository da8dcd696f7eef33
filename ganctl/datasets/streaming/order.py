"""The order of images that are streamed: near to how they lie in their shards, and yet shuffled.

An epoch's shards are put in an order by chance, one behind another, and what comes of it, joined
to a ring, is cut into lanes. Each place in a batch is fed by one lane, so a batch has images from
all over the set; a lane is read from its beginning to its end, and shuffled block by block. All of
it is a function of (seed, epoch) and of a place in the whole batch: however many processes share
out the places, the batches are the same, and who reads from a step on skips to the block of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganctl.rng import Stream

NUM_LANES = 64
"""At most, for small batches fewer: more processes than lanes read the same shards."""


class Part(NamedTuple):
    """Neighbours in a shard."""

    shard: int
    images: range


class Spot(NamedTuple):
    """Where the image for one place in a batch is found."""

    lane: int
    block: int
    position: int
    """In the block, once that is shuffled by its `order`."""


@dataclass(frozen=True)
class Lanes:
    """One epoch of a stream."""

    counts: NDArray[np.int64]
    """(num_shards,) How many images each shard has, N in all."""
    batch_size: int
    block: int
    """Neighbours in a lane that are shuffled among themselves."""
    seed: int
    epoch: int
    """Counted from 0."""

    def size(self, step: int) -> int:
        """Of the batch `step`, counted from 0: the last of an epoch may be smaller."""
        return min(self.batch_size, self._total - step * self.batch_size)

    def spot(self, step: int, place: int) -> Spot:
        """Where the image at `place` in the batch `step` comes from."""
        size = self.size(step)
        lane = place * self._num_lanes // size
        # The place's number among all that the lane feeds.
        begin = -(-lane * size // self._num_lanes)
        number = step * int(self._whole_widths[lane]) + place - begin
        block = (number + self.block - self._head(lane)) // self.block
        return Spot(lane, block, number - self._in_lane(lane, block).start)

    def parts(self, lane: int, block: int) -> list[Part]:
        """What a block consists of, in the order in which it is read."""
        images, parts = self._in_lane(lane, block), list[Part]()
        first = (int(self._starts[lane]) + images.start + self._turn) % self._total
        length = len(images)
        while length:
            number = int(np.searchsorted(self._ends, first, "right"))
            shard, end = int(self._shards[number]), int(self._ends[number])
            taken = min(length, end - first)
            begin = first - end + int(self.counts[shard])
            parts.append(Part(shard, range(begin, begin + taken)))
            first, length = (first + taken) % self._total, length - taken
        return parts

    def order(self, lane: int, block: int) -> NDArray[np.int64]:
        """How a block is shuffled: each position's number among the images as they are read."""
        number = block * NUM_LANES + lane
        rng = Stream.BLOCKS.generator(seed=self.seed, epoch=self.epoch, number=number)
        return rng.permutation(len(self._in_lane(lane, block)))

    @cached_property
    def _total(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def _num_lanes(self) -> int:
        return min(self.batch_size, NUM_LANES)

    @cached_property
    def _drawn(self) -> tuple[NDArray[np.int64], int]:
        rng = Stream.SHARDS.generator(seed=self.seed, epoch=self.epoch)
        return rng.permutation(len(self.counts)), int(rng.integers(self._total))

    @property
    def _shards(self) -> NDArray[np.int64]:
        return self._drawn[0]

    @property
    def _turn(self) -> int:
        """Where the ring is cut: of a single shard, too, no two epochs have the same lanes."""
        return self._drawn[1]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.counts[self._shards])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where in the ring each lane begins, and the last one ends."""
        last = -(-self._total // self.batch_size) - 1
        lengths = last * self._whole_widths + self._widths(self.size(last))
        return np.concatenate(([0], np.cumsum(lengths)))

    @cached_property
    def _whole_widths(self) -> NDArray[np.int64]:
        return self._widths(self.batch_size)

    def _widths(self, size: int) -> NDArray[np.int64]:
        """How many places each lane feeds, of a batch of `size`."""
        return np.diff(-(-np.arange(self._num_lanes + 1) * size // self._num_lanes))

    def _head(self, lane: int) -> int:
        """The length of a lane's block 0: not all lanes come to a new block at the same step."""
        return self.block * (lane + 1) // self._num_lanes

    def _in_lane(self, lane: int, block: int) -> range:
        length = int(self._starts[lane + 1] - self._starts[lane])
        end = self._head(lane) + block * self.block
        return range(max(0, end - self.block), min(end, length))
