"""A `.pt` file's bytes, checked before torch reads them. Executes nothing.

Two readers of one zip archive can see two different things in it, and torch's believes the sizes
that a pickle claims. So this one, Python's, checks the members and the pickle's program, and torch
gets to see only an archive made anew of what was checked. CheckpointError messages begin with a
verb: the caller puts the file's name first.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any
from zipfile import ZipFile, ZipInfo

from ganctl import limits
from ganctl.errors import CheckpointError

ODD = "is damaged, or not a ganctl checkpoint"
FOREIGN = "is not a ganctl checkpoint: another program wrote this .pt file"
NOT_PLAIN = "holds more than tensors and plain values, which a ganctl checkpoint never does"
NOT_OPENED = "It was not opened: loading it could run code."
_NOT_TORCHS = "is not a ganctl checkpoint: its archive is not torch's own"
_TOO_MANY = f"{ODD}: it has too many parts"
_ODD_TENSOR = f"{ODD}: it holds a tensor that ganctl does not write"
DAMAGE_HINT = "Use an earlier checkpoint: a run directory keeps some as epoch-*.pt."

_BYTES_A_PART = 16
"""At least; an empty dict is one byte of a pickle and 64 of memory, a filled one is many."""
_BYTES_A_WORD = 2
"""At least, on average: reading takes microseconds a word, however short. A history of which
little was measured has three."""
_MENTIONED = 8
"""Strings are no longer than so many times the pickle, each counted as often as it is mentioned:
written once and mentioned a million times, one would be hashed a million times."""

_LETTERS = {
    **dict.fromkeys(("PROTO", "STOP", "BINFLOAT", "NEWTRUE", "NONE"), "v"),
    **dict.fromkeys(("EMPTY_DICT", "EMPTY_LIST"), "p"),
    **dict.fromkeys(("APPEND", "SETITEM"), "v"),
    **dict.fromkeys(("APPENDS", "SETITEMS"), "e"),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), "i"),
    "BINUNICODE": "s", "NEWFALSE": "f", "MARK": "(",
    "EMPTY_TUPLE": ")", "TUPLE1": "1", "TUPLE2": "2", "TUPLE3": "3", "TUPLE": "t",
    "BINPERSID": "Q", "REDUCE": "R", "BUILD": "B",
    "torch._utils _rebuild_tensor_v2": "T",
    "torch._utils _rebuild_parameter": "P",
    "collections OrderedDict": "O",
}  # fmt: skip
"""What torch.save writes, a letter each: opcodes, and the globals that a GLOBAL names."""
_STORAGE = re.compile(r"torch \w+Storage")  # S
_PLAIN = "vepifs("
"""These alone make plain values. All others make tensors, in this order and no other:"""
_SHAPE = r"(\)|i1|ii2|iii3|\(i{4,8}t)"
_TENSOR = re.compile(rf"T\(\(sSssitQi{_SHAPE}\1fO\)RtR")
_LONGEST = len("T((sSssitQi(iiiiiiiit(iiiiiiiitfO)RtR")
_KEY = re.compile("[0-9]{1,9}")
_ITEM_SIZES = {"torch FloatStorage": 4, "torch LongStorage": 8}


def vetted(file: IO[bytes]) -> IO[bytes]:
    """An archive of what in `file`, open and seekable, torch may read. Raises CheckpointError.

    Members are read only once the pickle is known to be of ganctl's kind: another program's
    archive of gigabytes costs neither memory nor time.
    """
    _check_start(file)
    try:
        with _opened(file) as archive:
            prefix = _check_members(archive, file.seek(0, io.SEEK_END))
            program = archive.read(f"{prefix}data.pkl")
            sizes = {f"data/{key}": size for key, size in _check_program(program).items()}
            if sum(sizes.values()) > limits.CHECKPOINT_BYTES:
                raise CheckpointError(f"{ODD}: it is larger than any that ganctl writes")
            found = {member.filename: member.file_size for member in archive.infolist()}
            target = io.BytesIO()
            with ZipFile(target, "w") as rewritten:
                rewritten.writestr(ZipInfo("archive/data.pkl"), program)
                rewritten.writestr(ZipInfo("archive/version"), "3\n")
                if f"{prefix}byteorder" in found:
                    order = archive.read(f"{prefix}byteorder")
                    rewritten.writestr(ZipInfo("archive/byteorder"), order)
                for name, size in sizes.items():
                    if found.get(prefix + name, 0) != size:
                        raise CheckpointError(f"{ODD}: a tensor and its bytes differ in size")
                    content = archive.read(prefix + name) if size else b""
                    rewritten.writestr(ZipInfo(f"archive/{name}"), content)
    except (zipfile.BadZipFile, EOFError, OSError, ArithmeticError, ValueError, RuntimeError,
            struct.error):  # fmt: skip
        raise CheckpointError("is cut short or damaged", DAMAGE_HINT) from None
    target.seek(0)
    return target


def _check_start(file: IO[bytes]) -> None:
    file.seek(0)
    start = file.read(4)
    if not start:
        raise CheckpointError("is empty")
    if start == b"PK\x03\x04":
        return
    if start == b"\x89PNG":
        raise CheckpointError("is a PNG picture, not a checkpoint")
    if start[:1] == b"\x80":
        raise CheckpointError(
            "is a bare pickle, not a ganctl checkpoint",
            "It was not opened: loading a pickle can run code.",
        )
    raise CheckpointError("is not a ganctl checkpoint")


class _Rationed:
    """A file of which no more than `left` bytes are read; CheckpointError instead."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.file = file
        self.left = left

    def read(self, size: int = -1) -> bytes:
        content = self.file.read(size if 0 <= size <= self.left else self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise CheckpointError(_NOT_TORCHS)
        return content


def _opened(file: IO[bytes]) -> ZipFile:
    """The archive in `file`, whose directory is of bounded size.

    ZipFile reads all of it, and takes ten times its memory. Its size stands in two records, which
    may disagree, and which one counts is for ZipFile to say: so what it reads is counted.
    """
    archive = ZipFile(_Rationed(file, limits.CHECKPOINT_DIRECTORY_BYTES))
    archive.fp = file
    return archive


def _check_members(archive: ZipFile, limit: int) -> str:
    """The members' common prefix, of an archive that unpacks to no more than `limit` bytes."""
    members = archive.infolist()
    pickles = [member for member in members if member.filename.endswith("/data.pkl")]
    if (
        len({member.filename for member in members}) != len(members)
        or any(member.compress_type != zipfile.ZIP_STORED for member in members)
        or sum(member.file_size for member in members) > limit
        or len(pickles) != 1
        or pickles[0].file_size > limits.PICKLE_BYTES
    ):
        raise CheckpointError(_NOT_TORCHS)
    return pickles[0].filename.removesuffix("data.pkl")


def _check_program(program: bytes) -> dict[str, int]:
    """How many bytes each tensor of a pickle has, by its key. The pickle is read, not executed.

    A pickle is a program. This one may make plain values, and each tensor in the one way in which
    torch.save makes it.
    """
    sizes: dict[str, int] = {}
    parts = mentioned = depth = 0
    tensor: list[tuple[str, Any]] = []  # as far as it is made
    try:
        for letter, value in _words(program):
            parts += letter == "p"
            mentioned += len(value) if letter == "s" else 0
            depth += (letter == "(") - (letter in "et")
            if depth > limits.PICKLE_DEPTH:
                raise CheckpointError(_TOO_MANY)
            if not tensor and letter in _PLAIN:
                continue
            if not tensor and letter != "T":
                raise CheckpointError(FOREIGN)
            tensor.append((letter, value))
            if letter == "R" and _TENSOR.fullmatch("".join(letter for letter, _ in tensor)):
                key, size = _storage(tensor)
                if key in sizes:
                    raise CheckpointError(f"{ODD}: it holds one part twice")
                sizes[key] = size
                tensor = []
            elif len(tensor) == _LONGEST:
                raise CheckpointError(_ODD_TENSOR)
    except ValueError:
        raise CheckpointError(ODD, DAMAGE_HINT) from None
    if tensor:
        raise CheckpointError(_ODD_TENSOR)
    if mentioned > 2**16 + _MENTIONED * len(program):
        raise CheckpointError(f"{ODD}: it holds one part twice")
    if parts > 1000 + len(program) // _BYTES_A_PART:
        raise CheckpointError(_TOO_MANY)
    return sizes


def _words(program: bytes) -> Iterator[tuple[str, Any]]:
    """A pickle's opcodes as letters, each with its argument; what is fetched as if written there.

    Fetching a container that was made before would let a few hundred bytes describe a structure
    that takes days to walk or to hash: only strings and globals are fetched.
    """
    memo: dict[object, tuple[str, Any]] = {}
    word: tuple[str, Any] = ("", None)
    most = min(limits.PICKLE_WORDS, 1000 + len(program) // _BYTES_A_WORD)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
        if count > most:
            raise CheckpointError(_TOO_MANY)
        if opcode.name in ("BINPUT", "LONG_BINPUT"):  # stores the latest, changes nothing else
            if word[0] in ("s", "S", "T", "O"):
                memo[argument] = word
            else:
                memo.pop(argument, None)
            continue
        if opcode.name in ("BINGET", "LONG_BINGET"):
            if argument not in memo:
                raise CheckpointError(f"{ODD}: it holds one part twice")
            word = memo[argument]
        else:
            word = (_letter(opcode.name, argument), argument)
        yield word


def _letter(opcode: str, argument: object) -> str:
    name = str(argument) if opcode == "GLOBAL" else opcode
    letter = "S" if _STORAGE.fullmatch(name) else _LETTERS.get(name)
    if letter is None:
        raise CheckpointError(NOT_PLAIN, NOT_OPENED)
    if letter == "i" and not -(2**63) <= int(str(argument)) < 2**63:
        # longer ones can be made to share a hash, and a dict of them takes hours to fill
        raise CheckpointError(f"{ODD}: it holds a number that is too large")
    return letter


def _storage(tensor: Sequence[tuple[str, Any]]) -> tuple[str, int]:
    """The key and the size in bytes of a tensor's storage, which it fills exactly."""
    kind = next(value for letter, value in tensor if letter == "S")
    text, key, device = [value for letter, value in tensor if letter == "s"]
    count, offset, *both = [value for letter, value in tensor if letter == "i"]
    shape, strides = both[: len(both) // 2], both[len(both) // 2 :]
    span = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if not (
        (text, device) == ("storage", "cpu")
        and _KEY.fullmatch(key)
        and offset == 0
        and min(both, default=0) >= 0
        and math.prod(shape) == count
        and count in (0, span)
        and kind in _ITEM_SIZES
    ):
        raise CheckpointError(_ODD_TENSOR)
    return key, count * _ITEM_SIZES[kind]
