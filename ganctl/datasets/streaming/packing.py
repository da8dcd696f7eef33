"""Images → tar shards as WebDataset has them, with an index: the way to sets that fit no disk."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ganctl import machine
from ganctl.config.images import ImageSettings
from ganctl.datasets.base import Progress
from ganctl.datasets.decoding import BadImage, Facts, Outcome, Pixels
from ganctl.datasets.detection import require_color
from ganctl.datasets.local import preparing
from ganctl.datasets.local.paths import require_apart
from ganctl.datasets.local.survey import Remarks, describe_problems
from ganctl.datasets.sources import Entry, Problem, Source, open_source
from ganctl.datasets.sources.labels import FILES_BESIDE
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
    """Names of shards: 'folder/', 'photos-', 3 digits from 0 on, '.tar'."""

    folder: str
    """A path, or an address of an object store; '' is the present one."""
    before: str
    first: int
    digits: int
    after: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """From 'folder/photos-{000..}.tar'. Raises UsageError."""
        match = _PATTERN.fullmatch(text)
        if match is None or "/" in match[3] or "{" in match[1] + match[3]:
            raise UsageError(
                f"'{printable(text[:200])}' is not a pattern of names for shards",
                "Write it as 'shards/{000..}.tar', in quotes: as many are made as it takes.",
            )
        if storage.is_address(match[1]):
            storage.require_address(match[1])
        folder, slash, before = match[1].rpartition("/")
        return cls(folder + slash, before, int(match[2]), len(match[2]), match[3])

    def name(self, number: int) -> str:
        """What the shard with this number, counted from 0, is called in its folder."""
        return f"{self.before}{self.first + number:0{self.digits}}{self.after}"

    @property
    def index(self) -> str:
        """Where the index of the shards is."""
        return self.folder + index.NAME

    def require_free(self) -> None:
        """Raise RunError where shards of that name, or an index, exist already."""
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
    """What was made."""

    index: Index
    left_out: tuple[Problem, ...]
    """Images that could not be used."""
    remarks: Remarks
    """What is to be said of those that are."""


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
    """Put the images at `path` into shards, in an order by `seed`, and write their index last.

    Files are kept as they are, or where `settings` has a size, decoded and stored as PNGs of it. A
    shard has `per_shard` images, or as many as fit into `shard_bytes`, and the same bytes whenever
    the same is packed. Raises UsageError, RunError, and DataError where some images cannot be used,
    unless `skip_bad`; then nothing is left behind.
    """
    require_color(settings.background)
    if not storage.is_address(out.folder):
        require_apart(path, Path(out.index))
    out.require_free()
    told = progress or (lambda *_: None)
    source = open_source(path, settings.image_key)
    entries = source.entries
    with preparing.open_pool(source, len(entries)) as reader:
        measured = preparing.measure_all(source, entries, settings, reader, told)
        bad = [
            problem for problem in (*source.problems, *measured.problems) if not problem.harmless
        ]
        found = list(measured.facts)
        _require_usable(path, found, bad, skip_bad)
        if settings.size is None and not storage.is_address(out.folder):
            machine.require_disk(Path(out.folder), sum(entry.size for entry in found))
        order = Stream.PACKING.generator(seed=seed).permutation(len(found))
        chunks = preparing.decode_chunks(reader, measured.settings, [found[k] for k in order], told)
        samples = _Samples(source, chunks, measured.facts, bad, as_png=settings.size is not None)
        made: list[str] = []
        try:
            shards = _write(iter(samples), out, made, shard_bytes, per_shard)
            _require_usable(path, found, bad, skip_bad)
            chosen = measured.settings
            packed = Index(
                out.index,
                tuple(shards),
                samples.classes,
                chosen.size,
                chosen.channels,
                labels_from=FILES_BESIDE if samples.classes else None,
                notes=tuple(source.contents.notes),
            )
            index.write(packed)
        except BaseException:
            for shard in made:
                storage.remove(shard)
            raise
    left_out = tuple(sorted(bad, key=lambda problem: problem.name))
    return Packed(packed, left_out, samples.remarks)


class _Samples:
    """What goes into the shards: of each image its files, by their suffixes."""

    def __init__(
        self,
        source: Source,
        chunks: Iterator[tuple[Sequence[Entry], tuple[Pixels, list[Outcome]]]],
        facts: Mapping[Entry, Facts],
        bad: list[Problem],
        *,
        as_png: bool,
    ) -> None:
        """Every image is decoded, and what cannot be is added to `bad`."""
        self._source = source
        self._chunks = chunks
        self._facts = facts
        self._bad = bad
        self.remarks = Remarks()
        """On the images so far."""
        self._as_png = as_png
        self._numbers = {name: number for number, name in enumerate(source.classes)}
        self._counts: Counter[str | None] = Counter()

    @property
    def classes(self) -> tuple[Class, ...]:
        """Of the images so far: .cls files hold their numbers, as WebDataset reads them."""
        return tuple(
            Class(str(number), name, self._counts[name]) for name, number in self._numbers.items()
        )

    def __iter__(self) -> Iterator[dict[str, bytes]]:
        for chunk, (pixels, outcomes) in self._chunks:
            rows = iter(pixels)
            for entry, outcome in zip(chunk, outcomes, strict=True):
                try:
                    if isinstance(outcome, str):
                        raise BadImage(outcome)
                    sample = self._image(entry, next(rows))
                except BadImage as bad:
                    self._bad.append(Problem(entry.name, bad.reason))
                    continue
                self.remarks.add(entry.name, self._facts[entry], outcome)
                if entry.label is not None:
                    sample["cls"] = str(self._numbers[entry.label]).encode()
                self._counts[entry.label] += 1
                yield sample

    def _image(self, entry: Entry, pixels: Pixels) -> dict[str, bytes]:
        content = pixels if self._as_png else self._source.read(entry)
        if not isinstance(content, bytes):
            return {"png": _png(content)}
        return {_SUFFIXES[self._facts[entry].format]: content}


def _write(
    samples: Iterator[dict[str, bytes]],
    out: Pattern,
    made: list[str],
    shard_bytes: int,
    per_shard: int | None,
) -> list[Shard]:
    """Fill one shard after another; `made` is told of each that is begun."""
    shards: list[Shard] = []
    number = 0
    sample = next(samples, None)
    while sample is not None:
        name = out.name(len(shards))
        made.append(out.folder + name)
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
                    else tar.offset + _room(sample) <= shard_bytes
                )
            ):
                if (number - first) % MARK_EVERY == 0:
                    marks.append(tar.offset)
                _add(tar, f"{number:09d}", sample)
                number += 1
                sample = next(samples, None)
            tar.close()  # which writes its end
            size = file.tell()
        shards.append(Shard(name, number - first, size, np.array(marks, np.int64)))
    return shards


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _room(sample: dict[str, bytes]) -> int:
    """Bytes that a sample takes in a tar, whose end is two blocks."""
    blocks = sum(1 + -(-len(content) // tarfile.BLOCKSIZE) for content in sample.values())
    return (blocks + 2) * tarfile.BLOCKSIZE


def _add(tar: tarfile.TarFile, key: str, sample: dict[str, bytes]) -> None:
    for suffix, content in sample.items():
        member = tarfile.TarInfo(f"{key}.{suffix}")  # of no time, and nobody's
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all


def _require_usable(
    path: str, found: Sequence[Entry], bad: Sequence[Problem], skip_bad: bool
) -> None:
    if bad and not skip_bad:
        raise DataError(
            f"{counted(len(bad), 'file')} in {printable(path)} cannot be used",
            Text("{} packs the others.", Setting("skip_bad", True)) if found else None,
            details=describe_problems(sorted(bad, key=lambda problem: problem.name)),
        )
    if len(found) < 2:
        raise DataError(
            f"only {counted(len(found), 'image')} in {printable(path)}; at least 2 are needed"
        )
