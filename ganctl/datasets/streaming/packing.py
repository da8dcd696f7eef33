"""Packing of images into tar shards in WebDataset's format, with an index to stream them by."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ganctl import machine
from ganctl.config.image_settings import RGBA, ImageSettings
from ganctl.datasets.dataset import Progress
from ganctl.datasets.decoding.decode import BadImage, Outcome, Pixels, to_pixels
from ganctl.datasets.detection import require_color, require_range_used
from ganctl.datasets.local.paths import require_apart
from ganctl.datasets.local.preparing import map_chunks, measure_all, open_pool
from ganctl.datasets.local.survey import Measured, Remarks, describe_problems
from ganctl.datasets.sources.base import Entry, Problem, Source
from ganctl.datasets.sources.labels import FILES_BESIDE
from ganctl.datasets.sources.opening import open_source
from ganctl.datasets.streaming import index, storage
from ganctl.datasets.streaming.index import MARK_EVERY, Class, Index, Shard
from ganctl.errors import DataError, RunError, Setting, Text, UsageError
from ganctl.rng import Stream
from ganctl.text import counted, printable

_PATTERN = re.compile(r"(.*)\{(\d{1,9})\.\.\}(.*\.tar)", re.DOTALL)
_SUFFIXES = {
    "PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif",
    "GIF": "gif", "AVIF": "avif", "HEIF": "heic",
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """Names of shards: 'folder/photos-{000..}.tar' is ('folder/', 'photos-', 0, 3, '.tar')."""

    folder: str
    """A path, or an address of an object store; empty for the current one."""
    before: str
    first: int
    digits: int
    after: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Return the pattern written as 'folder/photos-{000..}.tar'. Raises UsageError."""
        match = _PATTERN.fullmatch(text)
        if match is None or "/" in match[3] or "{" in match[1] + match[3]:
            raise UsageError(
                f"'{printable(text[:200])}' is not a pattern of names for shards",
                "Write it as 'shards/{000..}.tar', in quotes; as many are made as are needed.",
            )
        if storage.is_address(match[1]):
            storage.require_address(match[1])
        folder, slash, before = match[1].rpartition("/")
        return cls(folder + slash, before, int(match[2]), len(match[2]), match[3])

    def name(self, number: int) -> str:
        """Return the name in its folder of the shard `number`, counted from 0."""
        return f"{self.before}{self.first + number:0{self.digits}}{self.after}"

    @property
    def index(self) -> str:
        """Path or address of the index of the shards."""
        return self.folder + index.NAME

    def require_free(self) -> None:
        """Raise RunError if shards with such names, or an index, exist already."""
        wanted = re.compile(re.escape(self.before) + r"\d+" + re.escape(self.after))
        for name in storage.list_names(self.folder or "."):
            if name == index.NAME or wanted.fullmatch(name):
                raise RunError(
                    f"'{printable(self.folder + name)}' already exists; nothing was changed",
                    Text(
                        "Give another folder with {}, or remove what is in this one.",
                        Setting("out"),
                    ),
                )


@dataclass(frozen=True)
class Packed:
    """The result of packing."""

    index: Index
    left_out: tuple[Problem, ...]
    """Images that could not be used."""
    remarks: Remarks
    """Peculiarities of the images that were packed."""
    settings: ImageSettings
    """The settings with which the images were decoded."""
    as_png: bool
    """Whether the decoded images were stored, not the files as they are."""
    has_wide: bool = False
    """Whether files with more than 8 bits were stored as they are."""

    def notices(self) -> list[str | Text]:
        """Return what a user should know about the images that were packed."""
        lines: list[str | Text] = [*self.remarks.messages()]
        if (lost := self.remarks.lost_transparency(self.settings)) and self.as_png:
            lines.append(lost)
        elif lost:
            lines.append(
                Text(
                    "The transparent parts of images are stored, too: train with {} to keep them.",
                    Setting("image_channels", RGBA),
                )
            )
        if self.has_wide:
            lines.append(
                Text(
                    "Some images have more than 8 bits and are stored as they are: train with {}, "
                    "or black and white are the lowest and highest possible values.",
                    Setting("value_range", self.settings.value_range),
                )
            )
        return lines


def pack(
    path: str,
    out: Pattern,
    *,
    settings: ImageSettings,
    shard_bytes: int,
    per_shard: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Write the images at `path` into shards, shuffled by `seed`, and their index last.

    Files are stored as they are or, if `settings` has a size, decoded and stored as PNGs of it. A
    shard has `per_shard` images, or as many as fit into `shard_bytes`; the same images always give
    the same bytes. Raises UsageError, RunError, and DataError if some images cannot be used, unless
    `skip_bad`; then nothing is left behind.
    """
    require_color(settings.background)
    is_local = not storage.is_address(out.folder)
    if is_local:
        require_apart(path, Path(out.index))
    out.require_free()
    report = progress or (lambda *_: None)
    source = open_source(path, settings)
    with open_pool(source, len(source.entries)) as pool:
        measured = measure_all(source, source.entries, settings, pool, report)
        bad = [
            problem for problem in (*source.problems, *measured.problems) if not problem.harmless
        ]
        entries = list(measured.facts)
        is_used = any(fact.extent is not None for fact in measured.facts.values())
        require_range_used(settings.value_range, is_used=is_used)
        _require_usable(path, entries, bad, skip_bad)
        as_png = settings.size is not None
        if is_local and not as_png:
            machine.require_disk(Path(out.folder), sum(entry.size for entry in entries))
        order = Stream.PACKING.generator(seed=seed).permutation(len(entries))
        shuffled = [entries[number] for number in order]
        chunks = map_chunks(pool, measured.settings, shuffled, "packing", report)
        counts, remarks = Counter[str | None](), Remarks()
        samples = _samples(source, measured, chunks, bad, counts, remarks, as_png=as_png)
        written: list[str] = []
        try:
            shards = _write(samples, out, written, shard_bytes, per_shard)
            _require_usable(path, entries, bad, skip_bad)
            packed = Index(
                out.index,
                tuple(shards),
                # A .cls file holds the class's number, as WebDataset reads it.
                tuple(Class(str(k), name, counts[name]) for k, name in enumerate(source.classes)),
                measured.settings.size,
                measured.settings.channels,
                labels_from=FILES_BESIDE if source.classes else None,
                notes=tuple(source.contents.notes),
            )
            index.write(packed)
        except BaseException:
            for shard in written:
                storage.remove(shard)
            raise
    has_wide = not as_png and any(
        fact.extent is not None and fact.format != "array" for fact in measured.facts.values()
    )
    return Packed(
        packed, tuple(sorted(bad, key=lambda problem: problem.name)), remarks,
        measured.settings, as_png, has_wide,
    )  # fmt: skip


def _samples(
    source: Source,
    measured: Measured,
    chunks: Iterable[tuple[Sequence[Entry], tuple[Pixels, list[Outcome]]]],
    bad: list[Problem],
    counts: Counter[str | None],
    remarks: Remarks,
    *,
    as_png: bool,
) -> Iterator[dict[str, bytes]]:
    """Yield the files of each image, by suffix.

    Every image is decoded. Those that cannot be are added to `bad`, the others to the `counts` of
    the classes and to the `remarks`.
    """
    numbers = {name: number for number, name in enumerate(source.classes)}
    for chunk, (pixels, outcomes) in chunks:
        rows = iter(pixels)
        for entry, outcome in zip(chunk, outcomes, strict=True):
            try:
                if isinstance(outcome, str):
                    raise BadImage(outcome)
                row = next(rows)
                content = row if as_png else source.read(entry)
            except BadImage as error:
                bad.append(Problem(entry.name, error.reason))
                continue
            facts = measured.facts[entry]
            if isinstance(content, bytes):
                sample = {_SUFFIXES[facts.format]: content}
            else:
                sample = {"png": _png(to_pixels(content, measured.settings.value_range))}
            if entry.label is not None:
                sample["cls"] = str(numbers[entry.label]).encode()
            counts[entry.label] += 1
            remarks.add(entry.name, facts, outcome)
            yield sample


def _write(
    samples: Iterator[dict[str, bytes]],
    out: Pattern,
    written: list[str],
    shard_bytes: int,
    per_shard: int | None,
) -> list[Shard]:
    """Fill one shard after another, adding the address of each to `written` before it exists."""
    shards: list[Shard] = []
    number, sample = 0, next(samples, None)
    while sample is not None:
        name = out.name(len(shards))
        written.append(out.folder + name)
        first, marks = number, list[int]()
        with (
            storage.writer(out.folder + name) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            while sample is not None and (
                number == first
                or (
                    number - first < per_shard
                    if per_shard is not None
                    else tar.offset + _size_in_tar(sample) <= shard_bytes
                )
            ):
                if (number - first) % MARK_EVERY == 0:
                    marks.append(tar.offset)
                for suffix, content in sample.items():
                    # Without time and owner: the same images give the same bytes.
                    member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                number += 1
                sample = next(samples, None)
            tar.close()  # writes the end of the archive
            size = file.tell()
        shards.append(Shard(name, number - first, size, np.array(marks, np.int64)))
    return shards


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _size_in_tar(sample: dict[str, bytes]) -> int:
    """Return the bytes that a sample takes in a tar, with the two blocks at the tar's end."""
    blocks = sum(1 + -(-len(content) // tarfile.BLOCKSIZE) for content in sample.values())
    return (blocks + 2) * tarfile.BLOCKSIZE


def _require_usable(
    path: str, entries: Sequence[Entry], bad: Sequence[Problem], skip_bad: bool
) -> None:
    if bad and not skip_bad:
        raise DataError(
            f"{counted(len(bad), 'file')} in {printable(path)} cannot be used",
            Text("Add {} to pack the others.", Setting("skip_bad", True)) if entries else None,
            details=describe_problems(sorted(bad, key=lambda problem: problem.name)),
        )
    if len(entries) < 2:
        raise DataError(
            f"only {counted(len(entries), 'image')} in {printable(path)}; at least 2 are needed"
        )
