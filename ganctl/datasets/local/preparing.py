"""The images of a source, looked at and decoded once, by all cores: what there is, and pixels."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ganctl import machine
from ganctl.config.images import SIZES, ImageSettings
from ganctl.datasets import workers
from ganctl.datasets.base import Progress, begun_digest
from ganctl.datasets.decoding import (
    BadImage,
    Content,
    Facts,
    Outcome,
    Pixels,
    decode,
    examine,
    measure,
)
from ganctl.datasets.local.survey import Remarks, Survey, summarize
from ganctl.datasets.sources import Entry, Problem, Source

LARGEST_CHOSEN = 64
"""Photographs are larger than any size, but a CPU trains 128x128 for hours: that is to be asked."""
_CHUNK_FILES, _CHUNK_BYTES = 64, 2**23
"""What a worker is given at once: a second's work at most, however large the files are."""
_WORTH_A_WORKER = 300
"""Files for which another process, which takes half a second to start, is no loss."""
_LOOKED_AT = 256
"""Images in which colour is looked for, where their modes do not tell that they are grey."""
_DIGEST_BYTES = 16
_BLOCK = 2**20


_Target = tuple[str, int]
"""A file, and the place in it where pixels go."""
_Task = tuple[ImageSettings | None, Sequence[Entry], _Target | None]
Reader = workers.Map[_Task, Any]
"""What measures (without settings) or decodes chunks of a source's files: see `reading`."""


@contextlib.contextmanager
def reading(source: Source, num_files: int, num_workers: int | None = None) -> Iterator[Reader]:
    """While entered: what reads so many files of `source`, by several processes if it pays."""
    if num_workers is None:
        num_workers = min(machine.cores(), num_files // _WORTH_A_WORKER)
    with workers.mapping(_Work(source), num_workers) as reader:
        yield reader


@dataclass(frozen=True)
class Measured:
    """Files whose headers were read."""

    facts: dict[Entry, Facts]
    problems: list[Problem]
    duplicates: list[tuple[str, str]]
    settings: ImageSettings
    """With size and channels set, unless there are no images to choose them by."""

    @property
    def num_bytes(self) -> int:
        """The size of all images once they are decoded."""
        return len(self.facts) * math.prod(_shape(self.settings))


def survey_of(
    source: Source, measured: Measured, damaged: Sequence[Problem], remarks: Remarks
) -> Survey:
    """All that is known of a source after its files were measured and, but for some, decoded."""
    gone = {problem.name for problem in damaged}
    return summarize(
        source,
        {entry: fact for entry, fact in measured.facts.items() if entry.name not in gone},
        [pair for pair in measured.duplicates if not gone.intersection(pair)],
        [*measured.problems, *damaged],
        remarks,
        measured.settings,
    )


def measure_all(
    source: Source,
    entries: Sequence[Entry],
    settings: ImageSettings,
    reader: Reader,
    progress: Progress,
) -> Measured:
    """Read the headers of `entries`, find those with equal content, choose what is not set."""
    facts: dict[Entry, Facts] = {}
    problems: list[Problem] = []
    duplicates: list[tuple[str, str]] = []
    first: dict[bytes, str] = {}
    for chunk, found in _read(reader, None, entries, "looking at", progress):
        for entry, result in zip(chunk, found, strict=True):
            if isinstance(result, str):
                problems.append(Problem(entry.name, result))
                continue
            facts[entry], digest = result
            if first.setdefault(digest, entry.name) != entry.name:
                duplicates.append((entry.name, first[digest]))
    size, channels = settings.size, settings.channels
    if facts and size is None:
        size = choose_size([min(fact.width, fact.height) for fact in facts.values()])
    if facts and channels is None:
        channels = 3 if _has_colour(source, facts, settings.background) else 1
    settings = dataclasses.replace(settings, size=size, channels=channels)
    return Measured(facts, problems, duplicates, settings)


def decode_all(
    source: Source,
    measured: Measured,
    file: io.FileIO,
    reader: Reader,
    progress: Progress,
) -> tuple[NDArray[np.int64], list[Problem], Remarks, str]:
    """Have the pixels written into the empty `file`, as an .npy: uint8 (N, H, W, C).

    Each process writes its own, by the file's name: they are too many to travel between processes.

    Returns the labels (N,), 0 where there are no classes, what could not be decoded, what is to be
    said of the others, and the digest as `digest_of` has it. Raises OSError where the file cannot
    be written.
    """
    shape = _shape(measured.settings)
    numbers = {name: number for number, name in enumerate(source.classes)}
    labels: list[int] = []
    problems: list[Problem] = []
    remarks = Remarks()
    entries = list(measured.facts)
    start = end = _write_header(file, (len(entries), *shape))
    digest = begun_digest((len(entries), *shape))  # right unless some cannot be decoded
    size = math.prod(shape)
    place = start
    for chunk, (count, outcomes) in _read(
        reader,
        measured.settings,
        entries,
        "decoding",
        progress,
        lambda at: (str(file.name), start + at * size),
    ):
        end = _brought_forward(file, place, end, count * size, digest)
        place += len(chunk) * size
        for entry, outcome in zip(chunk, outcomes, strict=True):
            if isinstance(outcome, str):
                problems.append(Problem(entry.name, outcome))
            else:
                remarks.add(entry.name, measured.facts[entry], outcome)
                labels.append(numbers[entry.label] if entry.label is not None else 0)
    if problems:
        file.truncate(end)
        file.seek(0)
        again = _write_header(file, (len(labels), *shape))
        assert again == start, "numpy leaves room for the count to grow"
        digest = begun_digest((len(labels), *shape))
        while block := file.read(_BLOCK):  # a mapping would count as memory
            digest.update(block)
    return np.array(labels, np.int64), problems, remarks, digest.hexdigest()


def choose_size(short_sides: Sequence[int]) -> tuple[int, int]:
    """A square for images with these short sides: one that half of them fill, if any."""
    median = median_low(short_sides)
    side = max((size for size in SIZES if size <= min(median, LARGEST_CHOSEN)), default=SIZES[0])
    return side, side


def is_colourful(content: Content, background: str) -> bool:
    """Whether an image has more than shades of grey. Raises BadImage."""
    pixels = decode(content, ImageSettings((32, 32), 3, "stretch", background))
    return bool((pixels != pixels[..., :1]).any())


def decoded(
    reader: Reader, settings: ImageSettings, entries: Sequence[Entry], progress: Progress
) -> Iterator[tuple[Sequence[Entry], tuple[Pixels, list[Outcome]]]]:
    """Chunks of `entries`, each with the pixels of those that can be decoded, and all outcomes."""
    return _read(reader, settings, entries, "packing", progress)


def _shape(settings: ImageSettings) -> tuple[int, int, int]:
    assert settings.size is not None
    assert settings.channels is not None
    return (*settings.size, settings.channels)


def _brought_forward(
    file: io.FileIO, place: int, end: int, size: int, digest: hashlib._Hash
) -> int:
    """Move `size` bytes from `place` to `end`, feed them to `digest`, and return the new end."""
    while size:
        file.seek(place)
        block = file.read(min(_BLOCK, size))
        if not block:
            raise OSError(errno.EIO, "what was written is not there")
        digest.update(block)
        if place != end:
            file.seek(end)
            file.write(block)
        place, end, size = place + len(block), end + len(block), size - len(block)
    return end


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _has_colour(source: Source, facts: Mapping[Entry, Facts], background: str) -> bool:
    """Whether some image needs three channels; of many that may, some are looked at."""
    unclear = [entry for entry, fact in facts.items() if not _is_grey(fact.mode)]
    for entry in unclear[:: -(-len(unclear) // _LOOKED_AT) or 1]:
        with contextlib.suppress(BadImage):
            if is_colourful(source.read(entry), background):
                return True
    return False


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;16")


@dataclass(frozen=True)
class _Work:
    """What a worker does with some files."""

    source: Source

    def __call__(self, task: _Task) -> Any:
        settings, entries, target = task
        if settings is None:
            return self.measured(entries)
        pixels, outcomes = self.decoded(settings, entries)
        if target is None:
            return pixels, outcomes
        path, place = target
        with open(path, "r+b") as file:  # noqa: PTH123
            file.seek(place)
            file.write(pixels.data)
        return len(pixels), outcomes

    def measured(self, entries: Sequence[Entry]) -> list[tuple[Facts, bytes] | str]:
        """Facts and content digest of each file, or why there are none."""
        return [self._measured(entry) for entry in entries]

    def _measured(self, entry: Entry) -> tuple[Facts, bytes] | str:
        try:
            content = self.source.read(entry)
            facts = measure(content)
        except BadImage as bad:
            return bad.reason
        data = content if isinstance(content, bytes) else np.ascontiguousarray(content).data
        return facts, hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()

    def decoded(
        self, settings: ImageSettings, entries: Sequence[Entry]
    ) -> tuple[Pixels, list[Outcome]]:
        """Pixels of those files that can be decoded, and what became of each file."""
        pixels = np.empty((len(entries), *_shape(settings)), np.uint8)
        outcomes: list[Outcome] = []
        count = 0
        for entry in entries:
            try:
                pixels[count], found = examine(self.source.read(entry), settings)
                outcomes.append(found)
                count += 1
            except BadImage as bad:
                outcomes.append(bad.reason)
        return pixels[:count], outcomes


def _read(
    reader: Reader,
    settings: ImageSettings | None,
    entries: Sequence[Entry],
    doing: str,
    progress: Progress,
    target: Callable[[int], _Target] | None = None,
) -> Iterator[tuple[Sequence[Entry], Any]]:
    """Chunks of `entries`, each with what `reader` makes of it.

    `target` says where the pixels of a chunk go, by the number of its first entry.
    """
    if not entries:
        return
    done = 0
    progress(doing, done, len(entries))
    chunks = list(_chunks(entries))
    firsts = itertools.accumulate(map(len, chunks), initial=0)
    results = reader(
        (settings, chunk, target(first) if target else None)
        for chunk, first in zip(chunks, firsts, strict=False)
    )
    for chunk, result in zip(chunks, results, strict=True):
        yield chunk, result
        done += len(chunk)
        progress(doing, done, len(entries))


def _chunks(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    first = size = 0
    for position, entry in enumerate(entries):
        if position - first == _CHUNK_FILES or (position > first and size >= _CHUNK_BYTES):
            yield entries[first:position]
            first, size = position, 0
        size += entry.size
    if first < len(entries):
        yield entries[first:]
