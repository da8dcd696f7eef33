"""The images of a source, measured and decoded once, by all cores."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ganctl import machine
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import workers
from ganctl.datasets.dataset import Progress, start_digest
from ganctl.datasets.decoding.decode import BadImage, Facts, Outcome, Pixels, examine, measure
from ganctl.datasets.decoding.levels import is_wide
from ganctl.datasets.detection import array_shape, detect, detect_range, is_colorful
from ganctl.datasets.local.survey import Measured, Remarks
from ganctl.datasets.sources.base import Entry, Problem, Source

_CHUNK_FILES, _CHUNK_BYTES = 64, 2**23
"""Limits of a task: at most a second's work, however large the files are."""
_CHUNK_PIXEL_BYTES = 2**25
"""Limit of the decoded images of a task, which a process holds in memory."""
_WORTH_A_WORKER = 300
"""Number of files that are worth another process, which takes half a second to start."""
_MAX_COLOR_CHECKS = 256
"""Number of images that are searched for color, if their modes do not rule it out."""
_BLOCK_BYTES = 2**20

_Target = tuple[str, int]
"""A file, and the position in it where pixels go."""
_Task = tuple[ImageSettings | None, Sequence[Entry], _Target | None]
Pool = workers.Map[_Task, Any]
"""Measures (without settings) or decodes chunks of a source's files."""


def open_pool(
    source: Source, num_files: int, num_workers: int | None = None
) -> AbstractContextManager[Pool]:
    """Return a pool to read `num_files` of `source`, with several processes if it pays."""
    count = num_workers_for(num_files) if num_workers is None else num_workers
    return workers.parallel_map(partial(_work, source), count)


def num_workers_for(num_files: int) -> int:
    """Return how many processes, with this one, are worth starting to read `num_files`."""
    return min(machine.num_cores(), num_files // _WORTH_A_WORKER)


def measure_all(
    source: Source,
    entries: Sequence[Entry],
    settings: ImageSettings,
    pool: Pool,
    progress: Progress,
) -> Measured:
    """Read the headers of `entries`, find duplicates, and detect the size and channels to use."""
    facts: dict[Entry, Facts] = {}
    problems: list[Problem] = []
    duplicates: list[tuple[str, str]] = []
    first: dict[bytes, str] = {}
    for chunk, found in map_chunks(pool, None, entries, "scanning", progress):
        for entry, result in zip(chunk, found, strict=True):
            if isinstance(result, str):
                problems.append(Problem(entry.name, result))
                continue
            facts[entry], digest = result
            if first.setdefault(digest, entry.name) != entry.name:
                duplicates.append((entry.name, first[digest]))
    if facts:
        sides = [min(fact.width, fact.height) for fact in facts.values()]
        settings = detect_range(settings, (fact.extent for fact in facts.values()))
        has_color = not settings.channels and _has_color(source, facts, settings)
        settings = detect(settings, sides, has_color=has_color)
    return Measured(facts, problems, duplicates, settings)


def decode_all(
    source: Source, measured: Measured, file: io.FileIO, pool: Pool, progress: Progress
) -> tuple[NDArray[np.int64], list[Problem], Remarks, str]:
    """Decode all images into the empty `file`, as an .npy: uint8 (N, H, W, C).

    Each process opens the file and writes its own pixels, which are too many to send between
    processes. Returns the labels (N,), 0 without classes, the files that could not be decoded, the
    remarks on the others, and the `digest_of` the images. Raises OSError if the file cannot be
    written.
    """
    shape = array_shape(measured.settings)
    size = math.prod(shape)
    numbers = {name: number for number, name in enumerate(source.classes)}
    labels: list[int] = []
    problems: list[Problem] = []
    remarks = Remarks()
    entries = list(measured.facts)
    start = end = position = _write_header(file, (len(entries), *shape))
    digest = start_digest((len(entries), *shape))  # right unless some cannot be decoded
    for chunk, (count, outcomes) in map_chunks(
        pool,
        measured.settings,
        entries,
        "decoding",
        progress,
        lambda at: (str(file.name), start + at * size),
    ):
        end = _move_forward(file, position, end, count * size, digest)
        position += len(chunk) * size
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
        digest = start_digest((len(labels), *shape))
        while block := file.read(_BLOCK_BYTES):  # a mapping would count as memory
            digest.update(block)
    return np.array(labels, np.int64), problems, remarks, digest.hexdigest()


def map_chunks(
    pool: Pool,
    settings: ImageSettings | None,
    entries: Sequence[Entry],
    doing: str,
    progress: Progress,
    target: Callable[[int], _Target] | None = None,
) -> Iterator[tuple[Sequence[Entry], Any]]:
    """Yield chunks of `entries`, each with the result of `pool` for it.

    Without `settings` the result is facts and digests, with them (pixels of the usable images,
    outcomes of all). If a `target` is given, the pixels are written to `target(index of the chunk's
    first entry)`, and only their number is returned.
    """
    if not entries:
        return
    done = 0
    progress(doing, done, len(entries))
    max_files = _CHUNK_FILES
    if settings is not None:
        max_files = min(max_files, max(1, _CHUNK_PIXEL_BYTES // math.prod(array_shape(settings))))
    chunks = list(_chunks(entries, max_files))
    firsts = itertools.accumulate(map(len, chunks), initial=0)
    results = pool(
        (settings, chunk, target(first) if target else None)
        for chunk, first in zip(chunks, firsts, strict=False)
    )
    for chunk, result in zip(chunks, results, strict=True):
        yield chunk, result
        done += len(chunk)
        progress(doing, done, len(entries))


def _move_forward(
    file: io.FileIO, position: int, end: int, size: int, digest: hashlib._Hash
) -> int:
    """Move `size` bytes from `position` to `end`, add them to `digest`; return the new end."""
    while size:
        file.seek(position)
        block = file.read(min(_BLOCK_BYTES, size))
        if not block:
            raise OSError(errno.EIO, "what was written is not there")
        digest.update(block)
        if position != end:
            file.seek(end)
            file.write(block)
        position, end, size = position + len(block), end + len(block), size - len(block)
    return end


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _has_color(source: Source, facts: Mapping[Entry, Facts], settings: ImageSettings) -> bool:
    """Return whether some image needs three channels; if many may, only a sample is checked."""
    unclear = [entry for entry, fact in facts.items() if not _is_gray(fact.mode)]
    for entry in unclear[:: -(-len(unclear) // _MAX_COLOR_CHECKS) or 1]:
        with contextlib.suppress(BadImage):
            if is_colorful(source.read(entry), settings):
                return True
    return False


def _is_gray(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La") or (is_wide(mode) and " " not in mode)


def _work(source: Source, task: _Task) -> Any:
    """Measure or decode some files, in any process."""
    settings, entries, target = task
    if settings is None:
        return [_measure(source, entry) for entry in entries]
    pixels, outcomes = _decode(source, settings, entries)
    if target is None:
        return pixels, outcomes
    path, position = target
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(position)
        file.write(pixels.data)
    return len(pixels), outcomes


def _measure(source: Source, entry: Entry) -> tuple[Facts, bytes] | str:
    """Return a file's facts and the digest of its content, or why there are none."""
    try:
        content = source.read(entry)
        facts = measure(content)
    except BadImage as bad:
        return bad.reason
    data = content if isinstance(content, bytes) else content.tobytes()
    return facts, hashlib.blake2b(data, digest_size=16).digest()


def _decode(
    source: Source, settings: ImageSettings, entries: Sequence[Entry]
) -> tuple[Pixels, list[Outcome]]:
    """Return the pixels of the files that can be decoded, and the outcome of every file."""
    pixels = np.empty((len(entries), *array_shape(settings)), np.uint8)
    outcomes: list[Outcome] = []
    count = 0
    for entry in entries:
        try:
            pixels[count], found = examine(source.read(entry), settings)
            outcomes.append(found)
            count += 1
        except BadImage as bad:
            outcomes.append(bad.reason)
    return pixels[:count], outcomes


def _chunks(entries: Sequence[Entry], max_files: int) -> Iterator[Sequence[Entry]]:
    first = size = 0
    for position, entry in enumerate(entries):
        if position - first == max_files or (position > first and size >= _CHUNK_BYTES):
            yield entries[first:position]
            first, size = position, 0
        size += entry.size
    if first < len(entries):
        yield entries[first:]
