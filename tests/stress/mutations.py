"""Checkpoints mutated in every way, each read equal to the original or refused in plain words.

    python tests/stress/mutations.py [--count 20000] [--seed 0] [--only FAMILY] [--keep FOLDER]

A file is a function of (seed, family, index). A child process reads each, under limits on CPU time
and address space: what kills it is blamed on the file it was reading. A file fails that ends in
anything but a checkpoint equal to the original, to the last bit, or a GanctlError; that executes
anything; or that takes more memory than `memory_bound`. Where only the digest stood in the way, the
file is read once more as if a forger had made it match: if that gives a checkpoint, `inspect`,
`sample` and a resume must take it, or refuse it in plain words. Failures are kept in a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import copyreg
import gc
import io
import itertools
import json
import os
import pickle
import pickletools
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganctl import archive, limits
from ganctl import checkpoint as schema
from ganctl import config as configs
from ganctl.checkpoint import Checkpoint, decode, encode
from ganctl.cli.inspect import inspect
from ganctl.errors import GanctlError
from ganctl.model import load
from ganctl.store import read_checkpoint
from ganctl.training.meter import Meter
from ganctl.training.state import create, restore

CPU = torch.device("cpu")
CPU_LIMIT = 30
"""Seconds that a file may take before its process is killed."""
HEADROOM = 2**30
"""Bytes of address space above what the process begins with."""


def memory_bound(size: int, pickle_size: int) -> int:
    """Bytes that reading a file of `size` may add to the process.

    A row of the history takes thirty times what it takes in the pickle; tensors are copied into an
    archive and read from there.
    """
    return 40 * pickle_size + 3 * size + 2**25


# The originals.


def original(preset: str) -> Checkpoint:
    """A whole checkpoint of the smallest networks there are."""
    small = {"base_channels": 1, "latent_dim": 2, "batch_size": 2}
    config = configs.override(configs.preset(preset), small | {"height": 8, "width": 8})
    state = create(config, CPU)
    row = dict.fromkeys(sorted(schema.HISTORY_COLUMNS), 0.5) | {"epoch": 1, "step": 3, "images": 40}
    return Checkpoint(
        config=config,
        step=3,
        history=[row],
        partial={"sums": [0.5] * 4, "steps": 1, "images": 16, "seconds": 0.25},
        data={
            "name": "m",
            "num_images": 40,
            "image_shape": [1, 8, 8],
            "digest": "0",
            "classes": ["a", "b"],
        },
        made_by={"ganctl": "0", "device": "cpu", "number": 1},
        **state.weights(),
        **state.moments(),
    )


@dataclass(frozen=True)
class Base:
    """An original as bytes, as a dict, and as the members of its archive."""

    data: bytes

    def content(self) -> dict[str, Any]:
        return torch.load(io.BytesIO(self.data), weights_only=True)

    def members(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def with_program(self, program: bytes, **more: bytes) -> bytes:
        """The archive with another pickle, and more tensors' bytes."""
        extra = {f"archive/data/{key.lstrip('_')}": value for key, value in more.items()}
        return zipped({**self.members(), **extra, "archive/data.pkl": program})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, buffer)
    return buffer.getvalue()


# Families that know nothing of the format.


def truncation(base: Base, rng: random.Random, index: int) -> bytes:
    return base.data[: index % len(base.data)]


def bit_flips(base: Base, rng: random.Random, index: int) -> bytes:
    data = bytearray(base.data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8, 100])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def byte_runs(base: Base, rng: random.Random, index: int) -> bytes:
    """Runs overwritten, inserted, removed, doubled, moved."""
    data = base.data
    start, length = rng.randrange(len(data)), rng.choice([1, 2, 4, 8, 64, 512, 4096])
    run, rest = data[start : start + length], data[start + length :]
    noise = rng.choice([rng.randbytes(len(run)), bytes(len(run)), b"\xff" * len(run)])
    where = rng.randrange(len(data))
    return rng.choice(
        [
            data[:start] + noise + rest,
            data[:start] + noise + data[start:],
            data[:start] + rest,
            data[:start] + run + run + rest,
            data[:where] + run + data[where + len(run) :],
            data[start:],
        ]
    )


# The archive.

_FIELDS = {  # signature: offset and format of each number
    b"PK\x03\x04": "4H 6H 8H 10H 12H 14I 18I 22I 26H 28H",
    b"PK\x01\x02": "4H 6H 8H 10H 12H 14H 16I 20I 24I 28H 30H 32H 34H 36H 38I 42I",
    b"PK\x05\x06": "4H 6H 8H 10H 12I 16I 20H",
    b"PK\x06\x06": "4Q 12H 14H 16I 20I 24Q 32Q 40Q 48Q",
    b"PK\x06\x07": "4I 8Q 16I",
    b"PK\x07\x08": "4I 8I 12I",
}


def zip_fields(base: Base, rng: random.Random, index: int) -> bytes:
    """Numbers of the archive's own records: offsets, sizes, flags, counts, CRCs."""
    data = bytearray(base.data if rng.random() < 0.5 else zipped(base.members()))
    for _ in range(rng.choice([1, 1, 2, 4])):
        signature = rng.choice([mark for mark in _FIELDS if mark in data])
        starts = [at for at in range(len(data)) if data.startswith(signature, at)]
        place = rng.choice(_FIELDS[signature].split())
        kind = "<" + place[-1]
        at = rng.choice(starts) + int(place[:-1])
        if at + struct.calcsize(kind) > len(data):
            continue
        top = 256 ** struct.calcsize(kind) - 1
        old = struct.unpack_from(kind, data, at)[0]
        other = struct.unpack_from(kind, data, rng.choice(starts) + int(place[:-1]))[0]
        values = [
            0,
            1,
            top,
            top >> 1,
            old + 1,
            old - 1,
            2 * old,
            other,
            len(data),
            rng.getrandbits(64),
        ]
        struct.pack_into(kind, data, at, rng.choice(values) & top)
    return bytes(data)


def zip_members(base: Base, rng: random.Random, index: int) -> bytes:
    """Swapped, renamed, doubled, removed, added and compressed members."""
    members = list(base.members().items())
    names = [name for name, _ in members]
    buffer = io.BytesIO(rng.choice([b"", b"", b"", b"#!/bin/sh\n", b"PK\x03\x04" + bytes(40)]))
    buffer.seek(0, io.SEEK_END)
    for _ in range(rng.choice([1, 1, 2, 3])):
        one, two = rng.randrange(len(members)), rng.randrange(len(members))
        (name, content), (other, another) = members[one], members[two]
        match rng.randrange(9):
            case 0:
                members[one], members[two] = (name, another), (other, content)
            case 1:
                members[one] = (rng.choice(_odd_names(rng, names)), content)
            case 2:
                members.append((name, another))
            case 3:
                del members[one]
            case 4:
                members.insert(two, (rng.choice(_odd_names(rng, names)), rng.randbytes(40)))
            case 5:
                members[one] = (name, content + rng.randbytes(rng.randint(1, 9)))
            case 6:
                members[one] = (name, content[: len(content) // 2])
            case 7:
                members[one], members[two] = members[two], members[one]
            case 8:
                small = [b"", b"0", b"99", b"big", b"little", b"\xff" * 9, b"1" * 5000, b"-1"]
                members[one] = (
                    rng.choice([n for n in names if "/data" not in n]),
                    rng.choice(small),
                )
    methods = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    odd = rng.randrange(len(members)) if rng.random() < 0.2 else -1
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore")
        for number, (name, content) in enumerate(members):
            method = rng.choice(methods) if number == odd else zipfile.ZIP_STORED
            info = zipfile.ZipInfo("x")
            info.filename = name  # past the constructor, which would clean it
            archive.writestr(info, content, method)
        archive.comment = rng.choice([b"", b"", b"PK\x05\x06" + bytes(18), rng.randbytes(99)])
    return buffer.getvalue()


def _odd_names(rng: random.Random, names: list[str]) -> list[str]:
    name = rng.choice(names)
    return [
        *(
            name.upper(),
            name + "\0x",
            "../" + name,
            "/" + name,
            name + "/",
            name.replace("/", "\\"),
        ),
        *(f"archive/archive/{name}", name[8:], "archive/constants.pkl", "archive/code/x.py", ""),
        *(
            "other/data.pkl",
            "archive/data.pkl",
            "archive/version",
            "archive/byteorder",
            "n" * 60000,
        ),
        *(rng.choice(names), f"archive/data/{rng.randint(-1, 99)}", "archive/data/٣", "é/\u202e"),
        *("archive/.data/serialization_id", "archive/.storage_alignment", "archive/tensors/0"),
    ]


def zip_bombs(base: Base, rng: random.Random, index: int) -> bytes:
    """Archives that unpack to far more than they are."""
    megabytes = rng.choice([1, 8, 64])
    members = base.members()
    methods = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
    match rng.randrange(7):
        case 0:  # one huge member
            name = rng.choice([*members, "archive/data/99", "archive/x"])
            return zipped({**members, name: bytes(megabytes << 20)}, rng.choice(methods))
        case 1:  # a bomb in a bomb
            inner = zipped({"x": bytes(megabytes << 20)}, rng.choice(methods))
            return zipped({**members, "archive/x.zip": inner}, rng.choice(methods))
        case 2:  # more entries than members
            return _directory(base.data, rng.choice([2, 3, 50]), keep_names=True)
        case 3:
            return _directory(base.data, rng.choice([2, 3, 50]), keep_names=False)
        case 4:  # nothing but names
            many = {f"archive/data/{number}": b"" for number in range(rng.choice([3000, 12_000]))}
            return zipped({**members, **many})
        case 5:  # sizes that are not there
            data = bytearray(zipped(members))
            for at in range(data.index(b"PK\x01\x02"), len(data)):
                if data.startswith(b"PK\x01\x02", at) and rng.random() < 0.5:
                    size = rng.choice([2**20, 2**31 - 1, 2**32 - 2])
                    struct.pack_into("<2I", data, at + 20, size, size)
            return bytes(data)
        case _:  # entries of 2**60 bytes, as zip64 allows
            data = zipped({**members, "archive/data/99": b"x" * 24})
            extra = struct.pack("<2H2Q", 1, 16, 2**60, 2**60)
            start = data.rindex(b"PK\x01\x02")
            entry = bytearray(data[start : start + 46])
            struct.pack_into("<2I", entry, 20, 2**32 - 1, 2**32 - 1)
            struct.pack_into("<H", entry, 30, len(extra))
            end = bytearray(data[data.rindex(b"PK\x05\x06") :])
            name = data[start + 46 : len(data) - len(end)]
            struct.pack_into("<I", end, 12, struct.unpack_from("<I", end, 12)[0] + len(extra))
            return data[:start] + entry + name + extra + end


_LARGE_DIRECTORIES = (200_000, 1_000_000)
"""Entries: files of 10 and of 50 MB."""


def large_directories(base: Base, rng: random.Random, index: int) -> bytes:
    """Members without end that have no bytes, their list's size in one end record or in two."""
    by_zip64, same_names = bool(index & 1), bool(index & 2)
    count = _LARGE_DIRECTORIES[index // 4]
    data = zipped(base.members())
    start, stop = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 7) + bytes(16) + b"0000000"
    entries = np.tile(np.frombuffer(entry, np.uint8), (count, 1))  # a quarter of a second, not two
    if not same_names:
        entries[:, -7:] += (np.arange(count)[:, None] // 10 ** np.arange(7) % 10).astype(np.uint8)
    directory = data[start:stop] + entries.tobytes()
    end = struct.pack("<4s4x2H2I2x", b"PK\x05\x06", 1, 1, 0 if by_zip64 else len(directory), start)
    zip64 = struct.pack(
        "<4sQ2H8x4Q4s4xQI",
        *(b"PK\x06\x06", 44, 45, 45, count, count, len(directory), start),
        *(b"PK\x06\x07", start + len(directory), 1),
    )
    return data[:start] + directory + (zip64 if by_zip64 else b"") + end


def _directory(data: bytes, times: int, *, keep_names: bool) -> bytes:
    """Each entry of the directory several times: the members share their bytes."""
    data = zipped(Base(data).members())
    start, stop = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    directory, count = data[start:stop], data.count(b"PK\x01\x02") * times
    if keep_names:
        directory *= times
    else:
        directory = b"".join(
            directory.replace(b"archive/", b"%07d/" % number) for number in range(times)
        )
    return (
        data[:start]
        + directory
        + struct.pack("<4s4x2H2I2x", b"PK\x05\x06", count, count, len(directory), start)
    )


# The content.


def _odd_values(rng: random.Random) -> list[Any]:
    ones = torch.ones(4)
    return [
        *(None, True, False, 0, -1, 1, 2, 3, 512, 4096, 255, 256, 10**9, 2**31, 2**53, 2**63 - 1),
        *(2**63, -(2**63), 10**30, 10**400, 0.0, -0.0, 1e-300, 1e308, 0.5, 1.0),
        *(float("nan"), float("inf"), -float("inf"), rng.random(), rng.getrandbits(32)),
        *("", "x", "\ud800", "\x1b[2J\x07\n", "ünï\0", "1", "fast", "dcgan", "bce", "a" * 10**5),
        *(
            [],
            {},
            [[]],
            [1, 2, 3],
            {"x": 1},
            {1: 2},
            {None: 1},
            {(1, 2): 3},
            (),
            (1, 2),
            [None] * 999,
        ),
        *({"a": {"b": {"c": [1, {}]}}}, {1, 2}, b"bytes", bytearray(3), 1j, range(3)),
        *(torch.float32, torch.device("cpu"), torch.Size([1]), np.float64(1.0), np.ones(2)),
        *(ones, ones.double(), ones.half(), ones.bfloat16(), ones.long(), ones.int(), ones.bool()),
        *(torch.tensor(1.0), torch.tensor(3), torch.empty(0), torch.empty(0, 5), ones.expand(3, 4)),
        *(
            torch.zeros(1).expand(10**12),
            torch.zeros(6, 6).T,
            ones[1:],
            ones[::2],
            ones.to_sparse(),
        ),
        *(torch.nn.Parameter(ones), ones.clone().requires_grad_(), ones.to("meta"), ones.chalf()),
        *(
            torch.full((4,), float("nan")),
            torch.full((4,), float("inf")),
            ones.reshape([1] * 9 + [4]),
        ),
    ]


def edits(base: Base, rng: random.Random, index: int) -> bytes:
    """Values replaced, removed, added, renamed, swapped and nested, at all levels."""
    content = base.content()
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(_places(content))
        holder, key = rng.choice(places)
        other, another = rng.choice(places)
        value = rng.choice(_odd_values(rng))
        match rng.randrange(9):
            case 0 | 1 | 2:
                holder[key] = value
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[rng.choice(["x", "version", "", 7, -1.5, None, "\ud800", "step"])] = value
            case 5 if isinstance(holder, dict):
                holder[rng.choice(["x", key, f"{key}.x", 7])] = holder.pop(key)
            case 6:
                holder[key], other[another] = other[another], holder[key]
            case 7:
                for _ in range(rng.choice([1, 5, 20, 200])):
                    holder[key] = rng.choice([[holder[key]], {"x": holder[key]}])
            case _:
                network = content.get("config")
                network = network.get("network") if isinstance(network, dict) else None
                if isinstance(network, dict):
                    sizes = ["base_channels", "latent_dim", "height", "width", "channels"]
                    network[rng.choice(sizes)] = rng.choice([1, 3, 8, 256, 512, 4096, 10**9, value])
    try:
        return saved(content)
    except (RecursionError, RuntimeError, TypeError, pickle.PicklingError):  # it swallowed itself
        return saved({"format": "ganctl"})


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def tensor_edits(base: Base, rng: random.Random, index: int) -> bytes:
    """Weights of other values, shapes, strides and types."""
    content = base.content()
    places = [place for place in _places(content) if isinstance(place[0][place[1]], torch.Tensor)]
    for holder, key in rng.sample(places, rng.choice([1, 1, 2, len(places)])):
        tensor = holder[key]
        noise = torch.tensor(rng.choice([0.0, -0.0, float("nan"), float("inf"), 1e38, 1e-45]))
        holder[key] = rng.choice(
            [
                *(tensor + 1, tensor * 0, tensor.clone(), tensor[None], tensor.reshape(-1)),
                *(tensor.double(), tensor.half(), tensor.long(), tensor.float(), tensor.bool()),
                *(
                    tensor.mT if tensor.dim() > 1 else tensor,
                    tensor[:0] if tensor.dim() else tensor,
                ),
                *(noise.to(tensor.dtype).expand(tensor.shape), tensor.expand(2, *tensor.shape)),
                *(noise.expand(tensor.shape).clone(), tensor * -1, tensor.to(torch.float8_e5m2)),
                tensor.contiguous(memory_format=torch.channels_last)
                if tensor.dim() == 4
                else tensor,
            ]
        )
    return saved(content)


# The pickle's program.


def opcodes(program: bytes) -> list[bytes]:
    """A pickle's instructions, one by one."""
    starts = [position for *_, position in pickletools.genops(program)] + [len(program)]
    return [program[start:stop] for start, stop in itertools.pairwise(starts)]


def _number(value: int) -> bytes:
    """An int's instruction."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return pickle.dumps(value, 2)[2:-1]


def _text(value: str) -> bytes:
    encoded = value.encode(errors="surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _any_number(rng: random.Random) -> int:
    bits = rng.choice([0, 1, 3, 8, 16, 31, 32, 33, 53, 62, 63, 64, 100])
    return rng.choice([1, -1]) * rng.choice([2**bits, 2**bits - 1, rng.getrandbits(bits + 1)])


def programs(base: Base, rng: random.Random, index: int) -> bytes:
    """Instructions removed, doubled, swapped, replaced, and numbers changed."""
    code = opcodes(base.members()["archive/data.pkl"])
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        one, two = rng.randrange(len(code)), rng.randrange(len(code))
        match rng.randrange(6):
            case 0:
                del code[one]
            case 1:
                code.insert(two, code[one])
            case 2:
                code[one], code[two] = code[two], code[one]
            case 3:
                numbers = [at for at, step in enumerate(code) if step[:1] in b"JKM\x8a"]
                code[rng.choice(numbers)] = _number(_any_number(rng))
            case 4:
                code[one] = bytes([rng.choice([rng.randrange(256), *b"}](tueasR)NQb0120\x85\x86"])])
            case 5:
                puts = [at for at, step in enumerate(code) if step[:1] in b"qhrj"]
                code[rng.choice(puts)] = rng.choice([b"q", b"h"]) + bytes([rng.randrange(256)])
    return base.with_program(b"".join(code))


def tensor_programs(base: Base, rng: random.Random, index: int) -> bytes:
    """Tensors written by hand: sizes, strides, offsets, counts and keys that do not agree."""
    size = rng.choice([0, 8, 24, 24, 24, 4096])
    kind, width = rng.choice([("Float", 4), ("Float", 4), ("Long", 8)])
    shape = rng.choice([(size // width,), (size // width, 1), (2, size // width // 2), ()])
    if rng.random() < 0.2:
        shape = (1,) * rng.randrange(12) + (size // width,)
    strides = list(torch.empty(shape, device="meta").stride())
    wrong = rng.choice(["no", "count", "offset", "shape", "strides", "key", "kind", "order", "all"])
    count, offset, shape = size // width, 0, list(shape)

    def any_of(*names: str) -> bool:
        return wrong in names or (wrong == "all" and rng.random() < 0.3)

    if any_of("count"):
        count = rng.choice([count + 1, max(0, count - 1), _any_number(rng)])
    if any_of("offset"):
        offset = rng.choice([1, -1, _any_number(rng)])
    for numbers, name in ((shape, "shape"), (strides, "strides")):
        if any_of(name):
            for _ in range(rng.choice([1, 2, 3])):
                number = rng.choice([0, 1, 2, -1, 2**31, 2**62, _any_number(rng)])
                if numbers and rng.random() < 0.7:
                    numbers[rng.randrange(len(numbers))] = number
                else:
                    numbers.append(number)
    key = rng.choice(["0", "901", "../x", "", "0" * 99, "٣", "-1"]) if any_of("key") else "900"
    if any_of("kind"):
        kind = rng.choice(["Double", "Byte", "Untyped", "ComplexDouble", "Bogus", "Half"])
    maker = b"ctorch._utils\n_rebuild_tensor_v2\n"
    storage = [b"(", _text("storage"), f"ctorch\n{kind}Storage\n".encode(), _text(key),
               _text("cpu"), _number(count), b"t", b"Q"]  # fmt: skip
    rest = [_number(offset), _tuple(shape), _tuple(strides), b"\x89",
            b"ccollections\nOrderedDict\n", b")", b"R", b"t", b"R"]  # fmt: skip
    code = [maker, b"(", *storage, *rest]
    if any_of("order"):
        one, two = rng.randrange(len(code)), rng.randrange(len(code))
        code[one], code[two] = rng.choice(
            [(code[two], code[one]), (b"", code[two]), (b"h\x07", b"0")]
        )
    program = base.members()["archive/data.pkl"]
    named = _text("generator") + b"}" + _text("weight") + b"".join(code) + b"ss."
    return base.with_program(program[:-1] + named, _900=rng.randbytes(size))


def _tuple(values: list[int]) -> bytes:
    short = {0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(values))
    numbers = b"".join(map(_number, values))
    return numbers + short if short else b"(" + numbers + b"t"


def nesting(base: Base, rng: random.Random, index: int) -> bytes:
    """Structures that are deep, wide, shared or slow to hash, in a few bytes."""
    depth = rng.choice([2, 15, 17, 100, 1000, 20_000])
    program = base.members()["archive/data.pkl"][:-1]
    end = _text("partial") + b"}" + _text("x")
    share = b"]q\xf0" + b"".join(
        b"](" + b"h\xf0" * 30 + b"eq\xf0" for _ in range(rng.choice([3, 9, 12]))
    )
    hashes = b"".join(_number((number + 1) * (2**61 - 1)) + b"N" for number in range(depth))
    value = rng.choice(
        [
            *(b"]" * depth + b"a" * (depth - 1), b"}" * depth, b"]" * depth, b"(" * depth),
            *(b"}" + b"K\x01}" * depth + b"s" * depth, b"K\x01" + b"\x85" * depth, b")" * depth),
            *(b"(" * depth + b"t" * depth, b"](" + b"N" * depth + b"e", b"}(" + hashes + b"u"),
            *(share, b"]q\xf0h\xf0a", b"}q\xf0K\x01h\xf0s", b"X\x01\x00\x00\x00xq\xf0]q\xf0h\xf0a"),
            *(b"](" + b"}" * depth + b"e", b"](" + b"K\x01r\x00\x00\x01\x00" * depth + b"e"),
            *(_text("x") * depth, b"N2" * depth, b"N" + b"0" * depth, b"\x8a\xff" + b"\x7f" * 255),
        ]
    )
    return base.with_program(program + rng.choice([end + value + b"ss.", value + b".", value]))


_LARGE = [
    lambda rng: (b"](", itertools.repeat(b"N"), b"e"),
    lambda rng: (b"](", itertools.repeat(b"K\x01"), b"e"),
    lambda rng: (b"](", map(_number, itertools.count(2**20)), b"e"),
    lambda rng: (b"](", itertools.repeat(b"G" + struct.pack(">d", rng.random())), b"e"),
    lambda rng: (b"](", map(_text, map(str, itertools.count())), b"e"),
    lambda rng: (b"](", itertools.repeat(_text("\U0001f600" * rng.choice([1, 1000]))), b"e"),
    lambda rng: (b"](", itertools.repeat(rng.choice([b"}", b"}K\x01K\x02s" + b"N" * 11])), b"e"),
    lambda rng: (b"](", itertools.repeat(b"](" + b"N" * rng.randrange(30) + b"e"), b"e"),
    lambda rng: (b"}(", (_number(n) + b"N" for n in itertools.count(2**20)), b"u"),
    lambda rng: (b"}(", (_number((n + 1) * (2**61 - 1)) + b"N" for n in itertools.count()), b"u"),
    lambda rng: (b"](", (b"K\x01r" + struct.pack("<I", n) for n in itertools.count()), b"e"),
    lambda rng: (_text("x" * 2**15) + b"q\xf0](", itertools.repeat(b"h\xf0"), b"e"),
    lambda rng: (_text("x" * 99) + b"q\xf0}(", itertools.repeat(b"h\xf0N"), b"u"),
    lambda rng: (b"](", itertools.repeat(_row(rng.random())), b"e"),
]  # fmt: skip
"""What a pickle of megabytes can be full of: its beginning, parts without end, its end."""
_LARGE_SIZES = (2**17, 2**20, 2**22, limits.PICKLE_BYTES - 2**14)
"""The last is all that `archive` lets a pickle have, less what the rest of a checkpoint takes."""


def _row(value: float) -> bytes:
    """One epoch of a history."""
    number = b"G" + struct.pack(">d", value)
    return b"}(" + b"".join(_text(name) + number for name in sorted(schema.HISTORY_COLUMNS)) + b"u"


def large(base: Base, rng: random.Random, index: int) -> bytes:
    """Up to eight megabytes of next to nothing, as a checkpoint's history."""
    begin, parts, end = _LARGE[index % len(_LARGE)](rng)
    size = _LARGE_SIZES[index // len(_LARGE)]
    code = [base.members()["archive/data.pkl"][:-1], _text("history"), begin]
    while size > 0:
        code.append(next(parts))
        size -= len(code[-1])
    return base.with_program(b"".join([*code, end, b"s."]))


# Pickles with code.

MARK = Path("executed")  # in the child's empty folder: what a payload that runs leaves behind


def _calls() -> list[tuple[str, str, tuple[Any, ...]]]:
    """Functions that would leave MARK behind, or take all the memory, and their arguments."""
    touch, python = f"touch {MARK}", f"open({str(MARK)!r}, 'w')"
    inner = pickle.dumps(_Evil(), 2)
    return [
        *((module, "system", (touch,)) for module in ("os", "posix", "nt")),
        *((module, "mkdir", (str(MARK),)) for module in ("os", "posix")),
        *(("os", name, (touch,)) for name in ("popen", "execl", "startfile")),
        *(("subprocess", name, (["touch", str(MARK)],))
          for name in ("Popen", "call", "run", "check_call", "check_output")),
        *(("subprocess", name, (touch,)) for name in ("getoutput", "getstatusoutput")),
        *((module, name, (python,)) for module in ("builtins", "__builtin__")
          for name in ("eval", "exec", "execfile")),
        *((module, "open", (str(MARK), "w")) for module in ("builtins", "io", "_io", "codecs")),
        ("builtins", "__import__", ("antigravity",)),
        ("builtins", "getattr", ("x", "__class__")),
        ("builtins", "map", (print, "x")),
        ("builtins", "bytearray", (2**33,)),
        ("builtins", "compile", (python, "x", "exec")),
        ("builtins", "breakpoint", ()),
        ("builtins", "input", ()),
        ("importlib", "import_module", ("antigravity",)),
        ("operator", "attrgetter", ("system",)),
        ("operator", "methodcaller", ("system", touch)),
        ("functools", "partial", (os.mkdir, str(MARK))),
        ("functools", "reduce", (os.mkdir, [str(MARK)])),
        ("timeit", "timeit", (python, "", 1)),
        ("timeit", "main", (["-n1", python],)),
        ("cProfile", "run", (python,)),
        ("profile", "run", (python,)),
        ("pdb", "run", (python,)),
        ("bdb", "Bdb.run", (python,)),
        ("runpy", "run_path", (str(MARK),)),
        ("runpy", "_run_code", (python, {})),
        ("code", "InteractiveInterpreter", ()),
        ("pty", "spawn", (["touch", str(MARK)],)),
        ("commands", "getoutput", (touch,)),
        ("webbrowser", "open", ("file:///x",)),
        ("shutil", "copyfile", ("/etc/hostname", str(MARK))),
        ("pathlib", "Path.touch", (str(MARK),)),
        ("tempfile", "mkdtemp", ("", "", ".")),
        ("logging", "FileHandler", (str(MARK),)),
        ("sqlite3", "connect", (str(MARK),)),
        ("socket", "create_connection", (("127.0.0.1", 9),)),
        ("urllib.request", "urlopen", ("file:///etc/hostname",)),
        ("ctypes", "CDLL", ("libc.so.6",)),
        ("marshal", "loads", (b"\xe3",)),
        ("types", "SimpleNamespace", ()),
        *((module, "loads", (inner,)) for module in ("pickle", "_pickle", "dill", "cPickle")),
        ("copyreg", "_reconstructor", ("x", "y", None)),
        ("copy_reg", "_reconstructor", ("x", "y", None)),
        ("copyreg", "add_extension", ("os", "system", 241)),
        ("joblib", "load", (str(MARK),)),
        ("numpy", "load", ("x.npy",)),
        ("numpy", "memmap", (str(MARK), "u1", "w+", 0, (9,))),
        ("numpy", "fromfile", ("/etc/hostname",)),
        ("numpy.testing._private.utils", "runstring", (python, {})),
        ("pip._internal.cli.main", "main", (["--version"],)),
        ("torch", "load", ("x.pt",)),
        ("torch", "save", (1, str(MARK))),
        ("torch", "zeros", (2**33,)),
        ("torch", "FloatStorage", (2**33,)),
        ("torch", "LongStorage", (2**33,)),
        ("torch", "UntypedStorage", (2**33,)),
        ("torch", "Tensor", (2**33,)),
        ("torch", "FloatTensor", (2**33,)),
        ("torch", "from_file", (str(MARK), True, 9)),
        ("torch", "UntypedStorage.from_file", (str(MARK), True, 9)),
        ("torch", "Size", ([1],)),
        ("torch", "device", ("cpu",)),
        ("torch.nn", "Parameter", (1,)),
        ("torch.nn.parameter", "Parameter", (1,)),
        ("torch.hub", "load", ("x", "y")),
        ("torch.jit", "load", ("x",)),
        ("torch.storage", "_load_from_bytes", (inner,)),
        ("torch._dynamo.guards", "GuardBuilder.get", (python,)),
        ("torch.utils.cpp_extension", "load", ("x", [])),
        ("torch.utils._config_module", "ConfigModule.load_config", (inner,)),
        ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression", (python,)),
        ("torch._inductor.codecache", "FxGraphCache", ()),
        *(("torch._utils", f"_rebuild_{name}", (1,) * 7) for name in (
            "tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state", "qtensor",
            "sparse_tensor", "nested_tensor", "meta_tensor_no_storage", "wrapper_subclass",
            "device_tensor_from_numpy", "device_tensor_from_cpu_tensor")),
        ("torch._utils", "_rebuild_meta_tensor_no_storage", ("float32", (2**60,), (1,), False)),
        ("torch._tensor", "_rebuild_from_type_v2", (os.mkdir, str, (str(MARK),), {})),
        ("torch.serialization", "_get_layout", ("torch.strided",)),
        ("torch.distributed.rpc", "rpc_sync", ("x", os.mkdir)),
        ("collections", "OrderedDict", ([(1, 2)],)),
        ("collections", "Counter", ("x" * 9,)),
        ("_codecs", "encode", ("x", "latin1")),
    ]  # fmt: skip


class _Evil:
    """Unpickled by any protocol, it makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(MARK),))


def _plain_arguments(arguments: tuple[Any, ...]) -> bytes:
    """The instructions that push them, none of which is itself a call."""
    code = b""
    for value in arguments:
        plain = value if isinstance(value, str | int | bytes | float | list | tuple | dict) else "x"
        code += (
            pickle.dumps(plain, 4)[2:-1]
            if isinstance(plain, bytes)
            else (_text(plain) if isinstance(plain, str) else _frameless(plain))
        )
    return code


def _frameless(value: object) -> bytes:
    code = [step for step in opcodes(pickle.dumps(value, 2)) if step[:1] not in (b"q", b"r")]
    return b"".join(code[1:-1])


def _forms(module: str, name: str, arguments: tuple[Any, ...]) -> list[bytes]:
    """A call in every form that a pickle knows, each leaving one value on the stack."""
    named, pushed = f"{module}\n{name}\n".encode(), _plain_arguments(arguments)
    get = b"c" + named
    stacked = _text(module) + _text(name) + b"\x93"
    short = b"\x8c" + bytes([len(module)]) + module.encode()
    short += b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93"
    return [
        get,
        get + b"(" + pushed + b"tR",
        stacked + b"(" + pushed + b"tR",
        short + b"(" + pushed + b"tR",
        b"(" + pushed + b"i" + named,
        b"(" + get + pushed + b"o",
        get + b"(" + pushed + b"t\x81",
        get + b"(" + pushed + b"t}\x92",
        get + b"(" + pushed + b"tq\xfaRq\xfbh\xfb0h\xfb",
        b"]" + get + b"b",
        b"ccollections\nOrderedDict\n)R}" + _text("__setstate__") + get + b"sb" + pushed + b"b",
        b"ccollections\nOrderedDict\n)R}" + _text("__reduce__") + get + b"sb",
        b"ctorch\nTensor\n)\x81(" + get + pushed + b"tb",
        b"\x82\xf0(" + pushed + b"tR",
        b"\x83\xf0\x00(" + pushed + b"tR",
        b"\x84\xf0\x00\x00\x00(" + pushed + b"tR",
        b"(" + get + pushed + b"tQ",
        b"(" + _text("storage") + get + _text("0") + _text("cpu") + b"K\x06tQ",
        b"P" + named[:-1].replace(b"\n", b" ") + b"\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + _text("storage") + get + _text("0")
        + _text("cpu") + b"K\x06tQK\x00K\x06\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR",
        b"X\x01\x00\x00\x00xq\xfa" + get + b"q\xfa0h\xfa(" + pushed + b"tR",
        b"ctorch\nFloatStorage\nq\xfa0" + get + b"q\xfa0h\xfa(" + pushed + b"tR",
        get + b"\x94(" + pushed + b"t\x94R",
        get + b"p250\n0g250\n(" + pushed + b"tR",
        b"\x95" + struct.pack("<Q", 9) + get + b"(" + pushed + b"tR",
        b"}(" + get + b"K\x01u",
    ]  # fmt: skip


_FORMS = len(_forms("os", "mkdir", ()))


def code_in_pickles(base: Base, rng: random.Random, index: int) -> bytes:
    """Every call in every form, in every place."""
    calls = _calls()
    value = _forms(*calls[index // _FORMS])[index % _FORMS]
    program = base.members()["archive/data.pkl"][:-1]
    match rng.randrange(6):
        case 0:
            return base.with_program(b"\x80\x02" + value + b".")
        case 1:  # within a checkpoint
            return base.with_program(program + _text("x") + value + b"s.")
        case 2:  # as a name
            return base.with_program(program + value + b"K\x01s.")
        case 3:  # left on the stack below
            return base.with_program(b"\x80\x02" + value + program[2:] + b".")
        case 4:
            return rng.choice([b"\x80\x02", b"\x80\x04", b"\x80\x05", b""]) + value + b"."
        case _:
            others = {
                f"archive/{n}": b"\x80\x02" + value + b"." for n in ("constants.pkl", "x.pkl")
            }
            return zipped({**base.members(), **others})


def other_files(base: Base, rng: random.Random, index: int) -> bytes:
    """What other programs write, whole or with a few bits flipped, some of it with code."""
    evil = _Evil()
    tar, numpy, legacy = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            content = pickle.dumps(evil, 2)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    np.savez(numpy, x=np.array([evil], object))
    content = base.content()
    torch.save(content | {"x": evil}, legacy, _use_new_zipfile_serialization=False)
    script = {
        **base.members(),
        "archive/constants.pkl": b"\x80\x02).",
        "archive/code/__torch__.py": b"class M(Module):\n  def f(self): pass\n",
    }
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = rng.choice(
        [
            *(pickle.dumps(evil, protocol) for protocol in range(6)),
            *(pickle.dumps({"format": "ganctl", "x": evil}, protocol) for protocol in range(6)),
            *(saved(evil), saved(content | {"x": evil}), saved([evil]), saved(torch.ones(3))),
            *(saved({"model": content["generator"], "epoch": 3}), saved(torch.nn.Linear(2, 2))),
            *(saved(torch.nn.Linear(2, 2).state_dict()), saved(torch.nn.Parameter(torch.ones(3)))),
            *(tar.getvalue(), numpy.getvalue(), legacy.getvalue(), zipped(script), zipped({})),
            *(struct.pack("<Q", len(header)) + header + bytes(4), b"\x89PNG\r\n\x1a\n" + bytes(50)),
            *(zlib.compress(base.data), rng.randbytes(500), b"PK\x03\x04" + rng.randbytes(500)),
            *(zipped({"archive/data.pkl": base.data}), zipped({"data.pkl": b"."}), base.data * 2),
            *(
                b"\x1f\x8b" + bytes(40),
                b"\xff\xd8\xff\xe0" + bytes(40),
                b"[1, 2]",
                b" ",
                b"PK\x05\x06",
            ),
        ]
    )
    if rng.random() < 0.3:
        damaged = bytearray(data)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        data = bytes(damaged)
    return data


Family = Callable[[Base, random.Random, int], bytes]
FAMILIES: dict[str, Family] = {
    "truncations": truncation,
    "bit flips": bit_flips,
    "byte runs": byte_runs,
    "zip fields": zip_fields,
    "zip members": zip_members,
    "zip bombs": zip_bombs,
    "zip directories": large_directories,
    "content": edits,
    "tensors": tensor_edits,
    "programs": programs,
    "tensor programs": tensor_programs,
    "nesting": nesting,
    "large": large,
    "code": code_in_pickles,
    "other files": other_files,
}

# How a file is judged.


def frozen(value: Any) -> Any:
    """As something that `==` compares to the last bit and to the type."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {frozen(key): frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return [frozen(item) for item in value]
    return (type(value).__name__, struct.pack("<d", value) if isinstance(value, float) else value)


def content_of(found: Checkpoint) -> Any:
    values = {each.name: getattr(found, each.name) for each in fields(found)}
    return frozen({**values, "config": configs.to_dict(found.config)})


class Wrong(Exception):  # noqa: N818
    """A promise that is broken."""


@dataclass
class Reading:
    """How a file was read."""

    outcome: str
    """equal, refused, or accepted: refused but for its digest."""
    seconds: float
    memory: int


class Reader:
    """Reads files in this process, which must be a child."""

    def __init__(self, contents: list[Any], folder: Path) -> None:
        self.contents = contents
        self.path = folder / "mutated.pt"
        self.inside = folder / "empty"
        self.inside.mkdir()
        self.events: list[str] = []
        self.watching = False
        self.honest = schema.content_digest
        self.pickle_size = 0
        self.check_program = archive._check_program
        archive._check_program = self._measured
        os.chdir(self.inside)
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event.startswith(_EVENTS):
            self.events.append(event)

    def _measured(self, program: bytes) -> dict[str, int]:
        self.pickle_size = len(program)
        return self.check_program(program)

    def read(self, data: bytes) -> Reading:
        self.pickle_size = 0
        gc.collect(0)
        before = _resident(reset=True)
        begun = time.process_time()
        self.watching = True
        try:
            outcome = self._outcome(data)
        finally:
            self.watching = False
        seconds = time.process_time() - begun
        memory = max(0, _resident(peak=True) - before)
        if self.events:
            raise Wrong(f"executed: {self.events}")
        if left := [path.name for path in self.inside.iterdir()]:
            raise Wrong(f"left files: {left}")
        if memory > memory_bound(len(data), self.pickle_size):
            raise Wrong(f"took {memory >> 20} MiB for a file of {len(data)} bytes")
        return Reading(outcome, seconds, memory)

    def _outcome(self, data: bytes) -> str:
        try:
            found = decode(data)
        except GanctlError as error:
            if "does not match its digest" not in error.message:
                return "refused"
        else:
            if content_of(found) not in self.contents:
                raise Wrong("loaded, and is not equal to the original")
            return "equal"
        schema.content_digest = self._forged
        try:
            return self._use(data)
        except GanctlError:
            return "refused"
        finally:
            schema.content_digest = self.honest

    def _forged(self, content: dict[str, Any]) -> Any:
        honest = self.honest(content)
        digest = content.get("digest")
        return digest if isinstance(digest, str) else honest  # one can be had of that type only

    def _use(self, data: bytes) -> str:
        """All that the commands do with a checkpoint, as far as it can fail."""
        found = decode(data)
        self.path.write_bytes(data)
        assert content_of(read_checkpoint(self.path)) == content_of(found)
        for use in (self._inspect, self._sample, self._resume):
            with contextlib.suppress(GanctlError):
                use()
        return "accepted"

    def _inspect(self) -> None:
        text = io.TextIOWrapper(io.BytesIO(), "utf-8")
        with contextlib.redirect_stdout(text):
            inspect([self.path])
            inspect([self.path], json=True)

    def _sample(self) -> None:
        loaded = load(self.path)
        images = loaded.generator(torch.zeros(1, loaded.network.latent_dim))
        assert images.shape[1:] == loaded.network.image_shape

    def _resume(self) -> None:
        found = read_checkpoint(self.path)
        state = restore(found, found.config, CPU)
        assert state.step == found.step
        Meter.from_dict(found.partial)


_EVENTS = (
    *("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.mkdir", "subprocess."),
    *("socket.", "pickle.find_class", "shutil.", "ctypes.dlopen", "webbrowser.", "urllib.", "pty."),
)


def _resident(*, peak: bool = False, reset: bool = False) -> int:
    """Bytes of memory of this process, now or at most since the last reset; 0 where not told."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    label = "VmHWM:" if peak else "VmRSS:"
    return (
        int(next(line for line in status.splitlines() if line.startswith(label)).split()[1]) << 10
    )


# The whole run.


@dataclass
class Row:
    """What became of a family's files."""

    files: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One file to make."""

    family: str
    index: int


class Mutations:
    """All files of one seed."""

    def __init__(self, seed: int, keep: Path) -> None:
        self.seed = seed
        self.keep = keep.absolute()
        self.bases = [Base(encode(original(preset))) for preset in ("fast", "dcgan")]
        self.contents = [content_of(decode(base.data)) for base in self.bases]

    def jobs(self, count: int, only: str | None) -> list[Job]:
        """`count` files, the same of each family; from 10,000 on, and all of those with an end."""
        names = [only] if only else list(FAMILIES)
        ends = {"truncations": len(self.bases[0].data), "code": _FORMS * len(_calls())}
        whole = count >= 10_000
        ends["large"] = len(_LARGE) * (len(_LARGE_SIZES) if whole else 1)  # they take seconds
        ends["zip directories"] = 4 * (len(_LARGE_DIRECTORIES) if whole else 1)
        share = -(-count // len(names))
        jobs = []
        for name in names:
            end = ends.get(name, share)
            step = 1 if whole else max(1, end // share)
            jobs += [Job(name, index) for index in range(0, end, step)]
        return jobs

    def make(self, job: Job) -> bytes:
        """The file of a job."""
        rng = random.Random(f"{self.seed} {job.family} {job.index}")
        base = self.bases[0 if job.family == "truncations" else rng.randrange(2)]
        return FAMILIES[job.family](base, rng, job.index)

    def run(self, jobs: list[Job]) -> dict[str, Row]:
        """Each job in a child; a new child goes on after a file that killed the last one."""
        rows = {job.family: Row() for job in jobs}
        done = 0
        while done < len(jobs):
            ended, how = self._child(jobs[done:], rows)
            done += ended
            if done < len(jobs):
                self._failed(rows, jobs[done], f"killed the process: {how}")
                done += 1
        return rows

    def _child(self, jobs: list[Job], rows: dict[str, Row]) -> tuple[int, str]:
        """How many of `jobs` a child has dealt with, and how it ended."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if not process:
            code = 1
            try:
                os.close(reading)
                with open(writing, "w") as out, tempfile.TemporaryDirectory() as folder:  # noqa: PTH123
                    self._deal(jobs, Path(folder), lambda line: print(line, file=out, flush=True))
                    os.chdir("/")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        ended = 0
        with open(reading) as lines:  # noqa: PTH123
            for line in lines:
                job, answer = jobs[ended], json.loads(line)
                ended += 1
                if isinstance(answer, str):
                    self._failed(rows, job, answer)
                    continue
                row = rows[job.family]
                outcome, seconds, memory = answer
                row.files += 1
                row.outcomes[outcome] = row.outcomes.get(outcome, 0) + 1
                row.seconds = max(row.seconds, seconds)
                row.memory = max(row.memory, memory)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return ended, signal.Signals(-status).name if status < 0 else f"exit code {status}"

    def _deal(self, jobs: list[Job], folder: Path, tell: Callable[[str], None]) -> None:
        copyreg.add_extension("os", "mkdir", 240)  # for EXT1, EXT2 and EXT4
        reader = Reader(self.contents, folder)
        for base, whole in zip(self.bases, self.contents, strict=True):  # all modules are loaded
            schema.content_digest = reader._forged
            reader._use(base.data)
            schema.content_digest = reader.honest
            assert reader._outcome(base.data) == "equal"
            assert whole in self.contents
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + HEADROOM, size + HEADROOM))
        for job in jobs:
            data = self.make(job)
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)  # not caught: it kills
            try:
                found = reader.read(data)
                answer = json.dumps([found.outcome, found.seconds, found.memory])
            except Exception:
                answer = json.dumps(traceback.format_exc())
                reader.events.clear()
                for path in reader.inside.iterdir():
                    path.rmdir() if path.is_dir() else path.unlink()
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            tell(answer)

    def _failed(self, rows: dict[str, Row], job: Job, why: str) -> None:
        row = rows[job.family]
        row.files += 1
        row.failures.append(f"{job.family} {job.index} of seed {self.seed}: {why}")
        self.keep.mkdir(parents=True, exist_ok=True)
        name = f"{job.family.replace(' ', '-')}-{job.index}-seed-{self.seed}"
        (self.keep / f"{name}.pt").write_bytes(self.make(job))
        (self.keep / f"{name}.txt").write_text(why)


def show(rows: dict[str, Row]) -> None:
    """The table."""
    heads = ("files", "equal", "refused", "accepted", "failed", "worst CPU s", "worst MiB")
    print(f"{'family':16}" + "".join(f"{head:>12}" for head in heads))
    total = Row()
    for name, row in [*rows.items(), ("all", total)]:
        counts = [row.outcomes.get(outcome, 0) for outcome in ("equal", "refused", "accepted")]
        numbers = [row.files, *counts, len(row.failures)]
        print(f"{name:16}" + "".join(f"{number:12}" for number in numbers), end="")
        print(f"{row.seconds:12.3f}{row.memory / 2**20:12.1f}")
        total.files += row.files
        total.failures += row.failures
        total.seconds, total.memory = max(total.seconds, row.seconds), max(total.memory, row.memory)
        for outcome, number in row.outcomes.items():
            total.outcomes[outcome] = total.outcomes.get(outcome, 0) + number


def main() -> int:
    """Print what happened; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAMILIES, help="one family alone")
    parser.add_argument("--keep", type=Path, default=Path("mutations-failed"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # threads do not live on in a child
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    mutations = Mutations(chosen.seed, chosen.keep)
    rows = mutations.run(mutations.jobs(chosen.count, chosen.only))
    show(rows)
    failures = [failure for row in rows.values() for failure in row.failures]
    for failure in failures[:20]:
        print(f"\n{failure}")
    print(f"{len(failures)} failures, {time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
