"""Images at their own sizes, decoded as they are needed and never all in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import workers
from ganctl.datasets.dataset import Progress, digest_of
from ganctl.datasets.decoding.decode import BadImage, Facts, Pixels, decode_whole
from ganctl.datasets.decoding.formats import optional_formats
from ganctl.datasets.detection import require_color
from ganctl.datasets.local import cache, preparing
from ganctl.datasets.local.paths import fingerprint
from ganctl.datasets.local.survey import Remarks, Survey
from ganctl.datasets.sources.base import Entry, Problem, Source
from ganctl.datasets.sources.folder import Folder
from ganctl.datasets.sources.memory import Memory
from ganctl.datasets.sources.opening import open_folder, open_source
from ganctl.rng import Stream

_CHUNK_IMAGES, _CHUNK_PIXELS = 64, 2**22
"""Limits of a chunk of images that is decoded at once; a larger image is decoded alone."""
_CHUNKS_AHEAD = 2
"""Number of chunks per process that are decoded ahead: a bound on memory."""


class WholeImages:
    """The training images of a source, or `limit` of them, chosen at random and always the same.

    They are opaque and in color or gray as in training, but neither cropped nor resized.
    """

    def __init__(
        self,
        source: Source,
        identity: object,
        *,
        limit: int | None = None,
        background: str = "white",
    ) -> None:
        """Use the images of a source; JSON-like `identity` stands for them. Raises UsageError."""
        require_color(background)
        self._source, self._limit, self._background = source, limit, background
        self._is_in_memory = isinstance(source, Memory)
        self._facts: dict[Entry, Facts] = {}
        self._value_range = "auto"
        self.key = cache.key_of("whole", identity, limit, background, optional_formats())
        """Cache key of results that are computed from these images."""

    @classmethod
    def at(cls, path: str, *, limit: int | None = None, background: str = "white") -> WholeImages:
        """Return the images at `path` without opening any. Raises UsageError, DataError."""
        folder = Folder(path) if os.path.isdir(path) else None  # noqa: PTH112
        identity = fingerprint(path, folder)
        source = open_source(path) if folder is None else open_folder(folder)
        return cls(source, identity, limit=limit, background=background)

    @classmethod
    def of_array(cls, name: str, images: Pixels, *, limit: int | None = None) -> WholeImages:
        """Return images from an array called `name`, uint8 (N, H, W) or (N, H, W, C)."""
        return cls(Memory(name, images), digest_of(images), limit=limit)

    def measure(self, progress: Progress) -> Survey:
        """Read the headers of all images, and return a survey of them.

        Its training size means nothing here: no image is resized. Afterwards `read` can be called.
        """
        entries = self._source.entries
        if self._limit is not None and self._limit < len(entries):
            chosen = Stream.LIMIT.generator().permutation(len(entries))[: self._limit]
            entries = [entries[index] for index in sorted(chosen)]
        settings = ImageSettings(channels=3)
        with preparing.open_pool(self._source, 0 if self._is_in_memory else len(entries)) as pool:
            measured = preparing.measure_all(self._source, entries, settings, pool, progress)
        self._facts, self._value_range = measured.facts, measured.settings.value_range
        return Survey.of_source(self._source, measured, [], Remarks())

    def read(self) -> Iterator[Pixels | Problem]:
        """Yield every measured image, uint8 (H, W, C), or why it cannot be decoded.

        C is 1 for shades of gray, else 3. Other processes decode ahead if there are many images.
        """
        chunks = list(_chunks(self._facts))
        num_processes = preparing.num_workers_for(len(self._facts)) - 1
        job = partial(_decode, self._source, self._background, self._value_range)
        with workers.stateful_workers(job, 0 if self._is_in_memory else num_processes) as submits:
            waiting: deque[Future[list[Pixels | Problem]]] = deque()
            for number, chunk in enumerate(chunks):
                waiting.append(submits[number % len(submits)](chunk))
                if len(waiting) >= _CHUNKS_AHEAD * len(submits):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()


def _chunks(facts: dict[Entry, Facts]) -> Iterator[Sequence[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry, fact in facts.items():
        pixels = fact.width * fact.height
        if chunk and (len(chunk) == _CHUNK_IMAGES or size + pixels > _CHUNK_PIXELS):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += pixels
    if chunk:
        yield chunk


def _decode(
    source: Source, background: str, value_range: str, entries: Sequence[Entry]
) -> list[Pixels | Problem]:
    """Decode some images, in any process."""
    found: list[Pixels | Problem] = []
    for entry in entries:
        try:
            found.append(decode_whole(source.read(entry), background, value_range))
        except BadImage as bad:
            found.append(Problem(entry.name, bad.reason))
    return found
