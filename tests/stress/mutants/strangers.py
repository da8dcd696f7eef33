"""Mutated archives, images, indexes, files of settings and runs, and how each is judged."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganctl import limits
from ganctl.checkpoint import encode
from ganctl.cli import completion
from ganctl.cli.inspect import inspect
from ganctl.config import sources as settings
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding import decode
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.opening import open_source
from ganctl.datasets.streaming import index, indexing
from ganctl.errors import GanctlError
from ganctl.report import read, render
from ganctl.store import RunDirectory, newest_intact
from ganctl.training.pictures import Pictures
from mutants.archives import zip_bombs, zip_fields, zip_members
from mutants.base import Base, bit_flips, byte_runs, original, truncation, zipped
from mutants.content import places_in
from mutants.judging import Judge

SIZE = ImageSettings((8, 8), 3)
LINK = 0o120777 << 16
"""Attributes of a zip's member that is a link."""


# Honest files.


def image(kind: str = "PNG", **options: Any) -> bytes:
    """Return an image of 8 x 8 pixels."""
    buffer = io.BytesIO()
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def images() -> list[bytes]:
    """Return an image of each kind, and of each variant that other code reads."""
    notes = Image.Exif()
    notes[0x0112] = 6
    kinds = [image(kind, exif=notes) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
    more = [image("JPEG", progressive=True), image("TIFF", compression="tiff_lzw")]
    return [*kinds, *more, image("BMP"), image("GIF"), image("GIF", save_all=True)]


def tar(kind: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a shard with images of two classes, one with a long name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name in ("a/1.png", "a/1.cls", f"b/{'n' * 120}.png", f"b/{'n' * 120}.json", "ü.jpg"):
            content = image() if name.endswith("g") else b'{"label": "1"}'
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive_of_images() -> bytes:
    """Return a zip of two classes."""
    names = ("a/1.png", "a/2.png", "b/é.png")
    return zipped({name: image() for name in names}, zipfile.ZIP_DEFLATED)


def arrays() -> bytes:
    """Return an .npz of images, labels and names of classes."""
    buffer = io.BytesIO()
    pixels, names = np.zeros((4, 8, 8), np.uint8), np.array(["one", "two"])
    np.savez_compressed(buffer, images=pixels, labels=np.array([0, 1, 0, 1]), classes=names)
    return buffer.getvalue()


def index_of_shards() -> bytes:
    """Return an index of two shards."""
    shards = [
        {"url": f"{name}.tar", "nsamples": 65, "filesize": 2**18, "marks": [0, 2**17]}
        for name in "ab"
    ]
    own = {
        "classes": [{"label": "1", "name": "one", "count": 130}],
        "image_size": [8, 8],
        "image_channels": 3,
    }
    return json.dumps({"wids_version": 1, "shardlist": shards, "ganctl": own}).encode()


def toml() -> bytes:
    """Return a file of settings."""
    return (
        b'# a run\npreset = "fast"\nbatch_size = 64 # images\nlr_g = 1e-3\naugment = "none"\n'
        b"conditional = true\nimage_size = '48x64'\n"
    )


def run() -> bytes:
    """Return a zip of a run's folder."""
    found = original("fast")
    header = ",".join(found.history[0])
    row = ",".join(str(value) for value in found.history[0].values())
    starts = [{"date": "2026-01-01", "from_step": 0, "device": "cpu", "command": "ganctl train"}]
    config = {"preset": "fast", "starts": starts, "data": found.data}
    return zipped(
        {
            "ckpt.pt": encode(found),
            "best.pt": encode(found),
            "config.json": json.dumps(config, indent=2).encode(),
            "losses.csv": f"{header}\n{row}\n".encode(),
            "losses.png": image(),
            "samples/epoch-0001.png": image(),
            "samples/epoch-0002.png": image(),
        }
    )


# Mutations.


def bytes_changed(base: Base, rng: random.Random, index: int) -> bytes:
    """Flip bits, change runs of bytes, or keep only the beginning."""
    change = rng.choice([bit_flips, byte_runs, truncation])
    return change(base, rng, rng.randrange(len(base.data)))


def tars(base: Base, rng: random.Random, index: int) -> bytes:
    """Change headers with a correct checksum, insert extended ones, compress."""
    blocks = [base.data[at : at + 512] for at in range(0, len(base.data), 512)]
    heads = [at for at, block in enumerate(blocks) if block[257:262] == b"ustar"]
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.choice(heads)
        if rng.random() < 0.5:
            blocks[at] = _extended(rng) + blocks[at]
            continue
        block = bytearray(blocks[at][-512:])
        start, length = rng.choice(
            [(0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
        )
        number = (-(2 ** rng.randrange(60)) + rng.choice([0, 1])).to_bytes(12, "big", signed=True)
        values = [rng.randbytes(length), bytes(length), b"7" * length, number, b"S", b"g", b"../x"]
        block[start : start + length] = rng.choice(values)[:length].ljust(length, b"\0")
        blocks[at] = blocks[at][:-512] + _summed(block)
    data = b"".join(blocks)
    packed = [gzip.compress, bz2.compress, lzma.compress]
    return rng.choice(packed)(data) if rng.random() < 0.2 else data


def _extended(rng: random.Random) -> bytes:
    digits, many = rng.choice([1, 99, 5000]), rng.choice([1, 30, 400])
    record = rng.choice([b"12 path=a/b\n", b"10 size=7\n", b"9 a=bcde\n", b"4 a\n", b"0 a=b\n"])
    content = rng.choice(
        [
            *(record * many, b"1" * digits, b"9" * digits + b" a=b\n", rng.randbytes(digits)),
            *(b"n" * digits, b"./" * digits, b"22 GNU.sparse.major=1\n" + record, b"\0" * digits),
            *(b"20 hdrcharset=BINARY\n" + record, b"13 path=a\0b\n", b"17 size=99999999\n"),
        ]
    )
    head = bytearray(512)
    head[:1], head[257:265] = b"x", b"ustar  \0"
    head[124:136] = b"%011o\0" % rng.choice([len(content), len(content), 2**30])
    head[156:157] = rng.choice([b"x", b"x", b"g", b"L", b"K", b"S", b"X"])
    block = _summed(head) + content + bytes(-len(content) % 512)
    return block * rng.choice([1, 1, 1, 3, 100])


def _summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def zips(base: Base, rng: random.Random, index: int) -> bytes:
    """Change the archive's records, members and directory, as in checkpoints."""
    return rng.choice([zip_fields, zip_fields, zip_members, zip_bombs])(base, rng, index)


def npzs(base: Base, rng: random.Random, index: int) -> bytes:
    """Change the shapes and types that arrays claim, and the archive's records."""
    if rng.random() < 0.3:
        return zips(base, rng, index)
    members = base.members()
    for _ in range(rng.choice([1, 1, 2])):
        name = rng.choice([*members, "other.npy"])
        sides = [0, 1, 2, 4, 8, 255, 2**16, 10**7, 2**31, 2**62, -1]
        shape = tuple(rng.choice(sides) for _ in range(rng.choice([0, 1, 1, 2, 3, 3, 4, 40])))
        kinds = ["|u1", "<i8", "<U3", "|S9", "|O", "<f4", "<U1000000", "|V9", "<c8", "garbage"]
        fortran = rng.choice([True, False, 1, None])
        facts = {"descr": rng.choice(kinds), "fortran_order": fortran, "shape": shape}
        text = rng.choice([repr(facts), repr(facts) + " " * 20_000, "{" * 999, "()" * 99])
        version = rng.choice([b"\1\0", b"\2\0", b"\3\0", b"\x09\x09"])
        size = len(text).to_bytes(2 if version == b"\1\0" else 4, "little")
        pixels = bytes(rng.choice([0, 9, 256, 2**20]))
        members[name] = b"\x93NUMPY" + version + size + text.encode() + pixels
    return zipped(members, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def _odd(rng: random.Random) -> Any:
    """Return a value of JSON, or one that Python's reader accepts."""
    return rng.choice(
        [
            *(None, True, False, 0, -1, 1, 3, 65, 2**31, 2**53, 2**64, 10**400, 0.5, -0.0),
            *(float("nan"), float("inf"), "", "x", "\ud800", "\x1b[2J\n", "\u202e", "../x.tar"),
            *("a" * 10**5, [], {}, [[]], [1, 2, 3], [None] * 999, {"x": {"y": []}}, "9" * 30),
        ]
    )


def json_changed(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove, swap and nest values."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):  # changed before
        return data
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not (places := list(places_in(content))):
            break
        holder, key = rng.choice(places)
        match rng.randrange(5):
            case 0 | 1:
                holder[key] = _odd(rng)
            case 2:
                del holder[key]
            case 3:
                for _ in range(rng.choice([1, 5, 200])):
                    holder[key] = rng.choice([[holder[key]], {"x": holder[key]}])
            case _:
                holder[key] = holder[key] * 3 if isinstance(holder[key], list | str) else _odd(rng)
    text = json.dumps(content).encode()
    deep = [b"[" * 10**5, b'{"a":' * 10**5, b"9" * 10**5, b"[" + b"{}," * 10**5]
    return rng.choice([text] * 20 + deep)


def indexes(base: Base, rng: random.Random, index: int) -> bytes:
    """Change values."""
    return json_changed(base.data, rng)


def tomls(base: Base, rng: random.Random, index: int) -> bytes:
    """Change values, lines and keys."""
    lines = base.data.splitlines()
    values = [b"1", b"-1", b"1e999", b"nan", b"''", b'"\\ud800"', b"[1, 2]", b"{a = 1}",
              b"9" * 5000, b"1979-05-27", b'"""\n' + b"x" * 9999 + b'"""', b"[" * 5000,
              b"0x" + b"f" * 5000, b"true", b'"\\u001b[2J"', b"'"]  # fmt: skip
    keys = [b"a" + b".a" * rng.choice([1, 90, 9000]), b'"\x1b"', b"lr_g", b"lr-d", b"preset.x",
            b"[a]", b"[[a]]", b'"' + b"k" * 9999 + b'"', "ü".encode(), b"\xff"]  # fmt: skip
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(lines))
        key, _, value = lines[at].partition(b"=")
        changed = [(key, rng.choice(values)), (rng.choice(keys), value), (rng.choice(keys), b"1")]
        lines[at] = b"=".join(rng.choice(changed))
        if rng.random() < 0.2:
            lines.insert(at, lines[at])
    return b"\n".join(lines)


def runs(base: Base, rng: random.Random, index: int) -> bytes:
    """Change, swap, remove and add files of a run, and replace them by links."""
    members = base.members()
    links: dict[str, str] = {}
    for _ in range(rng.choice([1, 1, 2, 4])):
        name = rng.choice(list(members))
        other = rng.choice(list(members))
        match rng.randrange(8):
            case 0 | 1 if members[name].startswith(b"{"):
                members[name] = json_changed(members[name], rng)
            case 0 | 1 | 2:
                members[name] = bytes_changed(Base(members[name] or b"x"), rng, index)
            case 3:
                members[name], members[other] = members[other], members[name]
            case 4 if len(members) > 3:
                del members[name]
            case 5:
                digits = rng.choice(["0001", "9" * 30, "0", "-1", "٣"])
                where = rng.choice(["samples/epoch-{}.png", "epoch-{}.pt"])
                members[where.format(digits)] = members[other]
            case 6:
                aims = [".", "..", other, "/dev/zero", "/etc/passwd", "nowhere", name, "samples"]
                links[name] = rng.choice(aims)
            case _:
                odd = ["\x1b[2J.pt", "a\nb.pt", "\u202e.png", "n" * 200, ".lock", "samples/x"]
                members[rng.choice(odd)] = members[other]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = LINK if name in links else 0
            archive.writestr(info, links.get(name, content))
    return buffer.getvalue()


# Judges.


class Stranger(Judge):
    """A judge of what a program reads from a stranger's file."""

    def __init__(self, bases: list[bytes], folder: Path) -> None:
        super().__init__(folder)
        self.bases = bases
        self.honest: list[Any] = []

    def warm(self) -> None:
        for base in self.bases:
            self.prepare(base)
            self.honest.append(self.made_of(base))

    def prepare(self, data: bytes) -> None:
        self.path.write_bytes(data)

    def outcome(self, data: bytes) -> str:
        try:
            made = self.made_of(data)
        except (GanctlError, BadImage):
            return "refused"
        return "equal" if made in self.honest else "accepted"

    def bound(self, size: int) -> int:
        return 40 * size + 3 * limits.FREE_BYTES + 2**25

    def made_of(self, data: bytes) -> Any:
        """Return what the program reads from a file."""
        raise NotImplementedError


class Sources(Stranger):
    """A judge of archives, which are listed, and their first images decoded."""

    def made_of(self, data: bytes) -> Any:
        source = open_source(str(self.path))
        made: list[Any] = [list(source.classes), [vars(entry) for entry in source.entries[:20]]]
        for entry in source.entries[:9]:
            try:
                made.append(decode.decode(source.read(entry), SIZE).tobytes())
            except BadImage as bad:
                made.append(bad.reason)
        return made


class TarSources(Sources):
    """A judge of tars, which are also read as shards."""

    suffix = ".tar"

    def made_of(self, data: bytes) -> Any:
        made = super().made_of(data)
        if data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
            return made
        address = str(self.path.with_name("index.json"))
        with contextlib.suppress(GanctlError):
            found = indexing.make(address, [self.path.name], lambda *_: None)
            made.append([shard.count for shard in found.shards])
        return made


class ZipSources(Sources):
    """A judge of zips."""

    suffix = ".zip"


class NpzSources(Sources):
    """A judge of NumPy's archives."""

    suffix = ".npz"


class ImageFiles(Stranger):
    """A judge of images."""

    def made_of(self, data: bytes) -> Any:
        return decode.measure(data), decode.decode(data, SIZE).tobytes()


class Indexes(Stranger):
    """A judge of indexes of shards."""

    suffix = ".json"

    def made_of(self, data: bytes) -> Any:
        return index.read(str(self.path)).to_json()


class SettingsFiles(Stranger):
    """A judge of files of settings."""

    suffix = ".toml"

    def made_of(self, data: bytes) -> Any:
        return repr(settings.read_file(self.path))


class Runs(Stranger):
    """A judge of runs, which are inspected, reported, completed and animated."""

    def prepare(self, data: bytes) -> None:
        folder = self.path.with_name("run")
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                _put(folder / info.filename, archive.read(info), info.external_attr == LINK)

    def made_of(self, data: bytes) -> Any:
        folder = self.path.with_name("run")
        run = RunDirectory(folder)
        completion._classes(folder)
        run.read_starts()
        with contextlib.suppress(GanctlError):
            found = newest_intact(run)
            Pictures(run, found.checkpoint.config, lambda _: None)._frames()
            render([read(folder)])
        text = io.TextIOWrapper(io.BytesIO(), "utf-8")
        with contextlib.redirect_stdout(text):
            inspect([folder])
            inspect([folder], json=True)
        text.flush()
        return text.buffer.getvalue()


def _put(path: Path, content: bytes, is_link: bool) -> None:
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_link:
            path.symlink_to(content.decode())
        else:
            path.write_bytes(content)


Family = Callable[[Base, random.Random, int], bytes]
KINDS: dict[str, tuple[type[Stranger], Callable[[], list[bytes]], list[Family]]] = {
    "tars": (
        TarSources,
        lambda: [tar(kind) for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)],
        [bytes_changed, tars],
    ),
    "zips": (ZipSources, lambda: [archive_of_images()], [bytes_changed, zips]),
    "npz": (NpzSources, lambda: [arrays()], [bytes_changed, npzs]),
    "images": (ImageFiles, images, [bytes_changed]),
    "indexes": (Indexes, lambda: [index_of_shards()], [bytes_changed, indexes]),
    "settings": (SettingsFiles, lambda: [toml()], [bytes_changed, tomls]),
    "runs": (Runs, lambda: [run()], [runs]),
}
"""Kinds of files: judge, honest files, and mutations of each."""
