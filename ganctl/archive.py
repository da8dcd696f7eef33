"""Checks of a `.pt` file's bytes before torch reads them. Executes nothing.

Two readers of one zip archive can see different things in it, and torch's reader believes the sizes
that a pickle claims. So Python's reader checks the members and the pickle's program, and torch gets
only a new archive of what was checked. CheckpointError messages begin with a verb: the caller puts
the file's name first.
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

_BYTES_PER_PART = 16
"""Minimum: an empty dict takes one byte of a pickle and 64 of memory, a filled one many."""
_BYTES_PER_WORD = 2
"""Minimum average: reading takes microseconds per opcode, however short it is. A history in which
little was measured has three bytes per opcode."""
_MAX_STRINGS = 8
"""Maximum total length of the strings as a multiple of the pickle's, each counted as often as it is
used: a string that is written once and used a million times would be hashed a million times."""

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
"""One letter for each opcode that torch.save writes, and for each global that a GLOBAL names."""
_STORAGE = re.compile(r"torch \w+Storage")  # S
_PLAIN = "vepifs("
"""The letters that make plain values. All others make tensors, in this order and no other:"""
_SHAPE = r"(\)|i1|ii2|iii3|\(i{4,8}t)"
_TENSOR = re.compile(rf"T\(\(sSssitQi{_SHAPE}\1fO\)RtR")
_LONGEST = len("T((sSssitQi(iiiiiiiit(iiiiiiiitfO)RtR")
_KEY = re.compile("[0-9]{1,9}")
_ITEM_SIZES = {"torch FloatStorage": 4, "torch LongStorage": 8}


def checked_archive(file: IO[bytes]) -> IO[bytes]:
    """Return a new archive of the checked content of an open file. Raises CheckpointError.

    Members are read only if the pickle can be ganctl's, so that gigabytes of another program's
    archive cost neither memory nor time.
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


class _LimitedReader:
    """A file of which at most `left` bytes can be read before CheckpointError is raised."""

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
    """Return the archive in `file`, whose directory must be of bounded size.

    ZipFile reads the whole directory, which takes ten times its size in memory. Two records hold
    the size and may disagree, and ZipFile decides which one to use; so the bytes that it reads are
    counted.
    """
    archive = ZipFile(_LimitedReader(file, limits.CHECKPOINT_DIRECTORY_BYTES))
    archive.fp = file
    return archive


def _check_members(archive: ZipFile, limit: int) -> str:
    """Return the members' common prefix. The archive may unpack to at most `limit` bytes."""
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
    """Return the size in bytes of each tensor of a pickle, by its key, without executing it.

    A pickle is a program. This one may only make plain values, and tensors as torch.save does.
    """
    sizes: dict[str, int] = {}
    parts = num_chars = depth = 0
    tensor: list[tuple[str, Any]] = []  # the opcodes so far of one that is unfinished
    try:
        for letter, value in _words(program):
            parts += letter == "p"
            num_chars += len(value) if letter == "s" else 0
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
    if num_chars > 2**16 + _MAX_STRINGS * len(program):
        raise CheckpointError(f"{ODD}: it holds one part twice")
    if parts > 1000 + len(program) // _BYTES_PER_PART:
        raise CheckpointError(_TOO_MANY)
    return sizes


def _words(program: bytes) -> Iterator[tuple[str, Any]]:
    """Yield each opcode of a pickle, as a letter, with its argument; memo reads are resolved.

    Only strings and globals may be read from the memo: with containers, a few hundred bytes can
    describe a structure that takes days to walk or to hash.
    """
    memo: dict[object, tuple[str, Any]] = {}
    word: tuple[str, Any] = ("", None)
    most = min(limits.PICKLE_WORDS, 1000 + len(program) // _BYTES_PER_WORD)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
        if count > most:
            raise CheckpointError(_TOO_MANY)
        if opcode.name in ("BINPUT", "LONG_BINPUT"):  # stores the latest, no more
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
    """Return the key and the size in bytes of a tensor's storage, which it must fill exactly."""
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
