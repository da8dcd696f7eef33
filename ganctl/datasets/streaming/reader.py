"""What reads the images of a stream: an epoch's lanes, of each a block at a time."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganctl.config.images import ImageSettings
from ganctl.datasets.decoding import BadImage, Pixels, decode
from ganctl.datasets.prefetch import Request
from ganctl.datasets.sources.base import too_large
from ganctl.datasets.streaming.index import Index
from ganctl.datasets.streaming.order import Lanes
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError, Setting, Text
from ganctl.text import printable

LANE_BYTES = 2**22
"""Of encoded images that a lane holds at most, and as much again of decoded ones where images are
of very uneven sizes: 256 MiB for all lanes, less for each of several processes."""


class Reader:
    """Reads an epoch's images, and holds of each lane the block that it is in.

    Any task can be asked of it, but those that follow one another are what it is quick at.
    """

    def __init__(self, index: Index, settings: ImageSettings, lanes: Lanes, skip_bad: bool) -> None:
        self._index = index
        self._settings = settings
        self._lanes = lanes
        self._skip_bad = skip_bad
        self._labels = {known.label: number for number, known in enumerate(index.classes)}
        self._error: DataError | None = None
        self._blocks: dict[int, _Block] = {}
        self._ends: dict[int, tuple[int, int, int]] = {}
        """Of each lane: (shard, number, place) of the sample after the last one read."""

    def __call__(self, request: Request) -> tuple[Pixels, NDArray[np.int64]]:
        """Return images, uint8 (n, H, W, C), and their labels, (n,).

        Raises DataError for a shard that is damaged, or an image unless bad ones are skipped,
        and from then on always: what was asked for ahead is not to find out again, which may take
        as long.
        """
        if self._error is not None:
            raise self._error
        pixels = np.empty((len(request.rows), *shape_of(self._settings)), np.uint8)
        labels = np.zeros(len(request.rows), np.int64)
        try:
            for row, place in enumerate(request.rows):
                pixels[row], labels[row] = self._image(request.step, place)
        except DataError as error:
            self._error = error
            raise
        return pixels, labels

    def _image(self, step: int, place: int) -> tuple[Pixels, int]:
        lane, number, position = self._lanes.spot(step, place)
        if lane not in self._blocks or self._blocks[lane].number != number:
            self._blocks.pop(lane, None)  # before the next is read
            self._blocks[lane] = self._block(lane, number)
        return self._usable(self._blocks[lane], position)

    def _usable(self, block: _Block, position: int) -> tuple[Pixels, int]:
        """The image there, or, if bad ones are skipped, the next of its block that is none."""
        for number in (*block.order[position:], *block.order[:position]):
            try:
                pixels = block.decoded.get(number)
                sample = block.sample(number)
                if pixels is None:
                    pixels = decoded(sample, self._settings)
                return pixels, self._label(sample)
            except BadImage as bad:
                if not self._skip_bad:
                    hint = Text("{} trains without it.", Setting("skip_bad", True))
                    raise self._named(block, number, bad.reason, hint) from None
        raise self._named(block, block.order[position], "it and its neighbours cannot be used")

    def _label(self, sample: Sample) -> int:
        if not self._labels:
            return 0
        if sample.label not in self._labels:
            raise BadImage("its label is not in the index" if sample.label else "it has no label")
        return self._labels[sample.label]

    def _named(
        self, block: _Block, number: int, reason: str, hint: Text | None = None
    ) -> DataError:
        where, name = self._index.address_of(block.shards[number]), block.sample(number).name
        return DataError(f"{printable(where)}: {name}: {reason}", hint)

    def _block(self, lane: int, number: int) -> _Block:
        samples, shards = list[Sample](), list[int]()
        done: dict[int, Pixels] = {}
        room = LANE_BYTES
        for shard, images in self._lanes.parts(lane, number):
            before = self._ends.get(lane, (-1, 0, 0))
            known = before[1:] if before[0] == shard else None
            for sample in self._index.samples(shard, images, known):
                self._ends[lane] = (shard, images.stop, sample.end)
                if len(sample.content) > room:
                    with contextlib.suppress(BadImage):  # what is left of it says so again
                        done[len(samples)] = decoded(sample, self._settings)
                    sample = sample._replace(content=b"")
                room -= len(sample.content)
                samples.append(sample)
                shards.append(shard)
        order = self._lanes.order(lane, number).tolist()
        return _Block.joined(number, samples, shards, done, order)


@dataclass(frozen=True)
class _Block:
    """Neighbours in a lane, as read, in one piece of memory: many small ones leave gaps."""

    number: int
    content: bytes
    samples: list[Sample]
    """Without theirs,"""
    ends: list[int]
    """which is before here in `content`."""
    shards: list[int]
    decoded: dict[int, Pixels]
    """Of those for whose content there is no room."""
    order: list[int]
    """The numbers of the samples as they are shuffled."""

    @classmethod
    def joined(
        cls,
        number: int,
        samples: list[Sample],
        shards: list[int],
        decoded: dict[int, Pixels],
        order: list[int],
    ) -> _Block:
        """Of whole `samples`."""
        content = b"".join(sample.content for sample in samples)
        ends = list(itertools.accumulate(len(sample.content) for sample in samples))
        bare = [sample._replace(content=b"") for sample in samples]
        return cls(number, content, bare, ends, shards, decoded, order)

    def sample(self, number: int) -> Sample:
        """With its content."""
        first = self.ends[number - 1] if number else 0
        return self.samples[number]._replace(content=self.content[first : self.ends[number]])


def decoded(sample: Sample, settings: ImageSettings) -> Pixels:
    """As `decoding.decode`. Raises BadImage."""
    if (problem := too_large(sample.size)) is not None:
        raise BadImage(problem[0])
    if sample.size and not sample.content:
        raise BadImage("damaged")
    return decode(sample.content, settings)


def shape_of(settings: ImageSettings) -> tuple[int, int, int]:
    """(H, W, C) of images whose size and channels are set."""
    assert settings.size is not None
    assert settings.channels is not None
    return (*settings.size, settings.channels)
