"""Reading of streamed images, one block of each segment of an epoch at a time."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage, Pixels, decode
from ganctl.datasets.detection import array_shape
from ganctl.datasets.prefetch import Request
from ganctl.datasets.sources.base import too_large
from ganctl.datasets.streaming.index import Index
from ganctl.datasets.streaming.order import EpochOrder
from ganctl.datasets.streaming.shards import Sample
from ganctl.errors import DataError, Setting, Text
from ganctl.text import printable

BLOCK_BYTES = 2**22
"""Maximum bytes of encoded images in a block, and as much again of decoded ones if their sizes are
very uneven: 256 MiB for the blocks of all segments, less for each of several processes."""


class Reader:
    """Reader of an epoch's images, which holds the current block of each segment.

    It is fast if requests come in the order of the steps.
    """

    def __init__(
        self, index: Index, settings: ImageSettings, order: EpochOrder, skip_bad: bool
    ) -> None:
        self._index = index
        self._settings = settings
        self._order = order
        self._skip_bad = skip_bad
        self._labels = {known.label: number for number, known in enumerate(index.classes)}
        self._error: DataError | None = None
        self._blocks: dict[int, _Block] = {}
        self._ends: dict[int, tuple[int, int, int]] = {}
        """(shard, number, offset) of the sample after the last one read, by segment."""

    def __call__(self, request: Request) -> tuple[Pixels, NDArray[np.int64]]:
        """Return images, uint8 (n, H, W, C), and their labels, (n,).

        Raises DataError for a damaged shard, and for a bad image unless bad ones are skipped. Every
        later call raises it again at once: requests made ahead might take long to fail.
        """
        if self._error is not None:
            raise self._error
        pixels = np.empty((len(request.rows), *array_shape(self._settings)), np.uint8)
        labels = np.zeros(len(request.rows), np.int64)
        try:
            for number, row in enumerate(request.rows):
                pixels[number], labels[number] = self._image(request.step, row)
        except DataError as error:
            self._error = error
            raise
        return pixels, labels

    def _image(self, step: int, row: int) -> tuple[Pixels, int]:
        segment, number, offset = self._order.position(step, row)
        if segment not in self._blocks or self._blocks[segment].number != number:
            self._blocks.pop(segment, None)  # before the next is read
            self._blocks[segment] = self._read_block(segment, number)
        return self._usable(self._blocks[segment], offset)

    def _usable(self, block: _Block, offset: int) -> tuple[Pixels, int]:
        """Return the image at `offset`, or the next usable one if bad ones are skipped."""
        for number in (*block.order[offset:], *block.order[:offset]):
            try:
                pixels = block.decoded.get(number)
                sample = block.sample(number)
                if pixels is None:
                    pixels = decode_sample(sample, self._settings)
                return pixels, self._label(sample)
            except BadImage as bad:
                if not self._skip_bad:
                    hint = Text("Add {} to train without it.", Setting("skip_bad", True))
                    raise self._failure(block, number, bad.reason, hint) from None
        raise self._failure(block, block.order[offset], "it and its neighbors cannot be used")

    def _label(self, sample: Sample) -> int:
        if not self._labels:
            return 0
        if sample.label not in self._labels:
            raise BadImage("its label is not in the index" if sample.label else "it has no label")
        return self._labels[sample.label]

    def _failure(
        self, block: _Block, number: int, reason: str, hint: Text | None = None
    ) -> DataError:
        address = self._index.address_of(block.shards[number])
        return DataError(f"{printable(address)}: {block.samples[number].name}: {reason}", hint)

    def _read_block(self, segment: int, number: int) -> _Block:
        samples, shards, contents = list[Sample](), list[int](), list[bytes]()
        decoded: dict[int, Pixels] = {}
        room = BLOCK_BYTES
        for shard, images in self._order.shard_ranges(segment, number):
            before = self._ends.get(segment, (-1, 0, 0))
            known = before[1:] if before[0] == shard else None
            for sample in self._index.samples(shard, images, known):
                self._ends[segment] = (shard, images.stop, sample.end)
                content = sample.content
                if len(content) > room:
                    with contextlib.suppress(BadImage):  # raised again when the image is used
                        decoded[len(samples)] = decode_sample(sample, self._settings)
                    content = b""
                room -= len(content)
                contents.append(content)
                samples.append(sample._replace(content=b""))
                shards.append(shard)
        order = self._order.permutation(segment, number).tolist()
        ends = list(itertools.accumulate(map(len, contents)))
        return _Block(number, b"".join(contents), ends, samples, shards, decoded, order)


@dataclass(frozen=True)
class _Block:
    """Consecutive samples of a segment. Their contents are one piece, to fragment no memory."""

    number: int
    content: bytes
    ends: list[int]
    """End of each sample's content in `content`."""
    samples: list[Sample]
    """The samples without their contents."""
    shards: list[int]
    """The shard of each sample."""
    decoded: dict[int, Pixels]
    """Decoded images, by number, of samples whose contents did not fit."""
    order: list[int]
    """The numbers of the samples, shuffled."""

    def sample(self, number: int) -> Sample:
        """Return a sample with its content."""
        first = self.ends[number - 1] if number else 0
        return self.samples[number]._replace(content=self.content[first : self.ends[number]])


def decode_sample(sample: Sample, settings: ImageSettings) -> Pixels:
    """Return the decoded image, (H, W, C). Raises BadImage."""
    if (problem := too_large(sample.size)) is not None:
        raise BadImage(problem[0])
    if sample.size and not sample.content:
        raise BadImage("damaged")
    return decode(sample.content, settings)
