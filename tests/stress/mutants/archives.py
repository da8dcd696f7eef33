"""Mutations of a zip archive's records, members and directory."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile

import numpy as np

from mutants.base import Base, zipped

_FIELDS = {  # signature: offset and format of each number
    b"PK\x03\x04": "4H 6H 8H 10H 12H 14I 18I 22I 26H 28H",
    b"PK\x01\x02": "4H 6H 8H 10H 12H 14H 16I 20I 24I 28H 30H 32H 34H 36H 38I 42I",
    b"PK\x05\x06": "4H 6H 8H 10H 12I 16I 20H",
    b"PK\x06\x06": "4Q 12H 14H 16I 20I 24Q 32Q 40Q 48Q",
    b"PK\x06\x07": "4I 8Q 16I",
    b"PK\x07\x08": "4I 8I 12I",
}


def zip_fields(base: Base, rng: random.Random, index: int) -> bytes:
    """Change numbers in the archive's records: offsets, sizes, flags, counts, CRCs."""
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
    """Swap, rename, double, remove, add and compress members."""
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
    """Make archives that unpack to far more than their size."""
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


LARGE_DIRECTORIES = (200_000, 1_000_000)
"""Numbers of entries, for files of 10 and of 50 MB."""


def large_directories(base: Base, rng: random.Random, index: int) -> bytes:
    """Make a very long list of empty members, whose size is in one or two end records."""
    by_zip64, same_names = bool(index & 1), bool(index & 2)
    count = LARGE_DIRECTORIES[index // 4]
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
    """Repeat each entry of the directory, so that members share their bytes."""
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
