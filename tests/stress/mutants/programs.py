"""Mutations of a checkpoint's pickle, which is a program."""

from __future__ import annotations

import itertools
import pickle
import pickletools
import random
import struct

import torch

from ganctl import limits
from ganctl.history import COLUMNS
from mutants.base import Base


def opcodes(program: bytes) -> list[bytes]:
    """Return a pickle's instructions."""
    starts = [position for *_, position in pickletools.genops(program)] + [len(program)]
    return [program[start:stop] for start, stop in itertools.pairwise(starts)]


def number_code(value: int) -> bytes:
    """Return the instruction that pushes an int."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return pickle.dumps(value, 2)[2:-1]


def text_code(value: str) -> bytes:
    encoded = value.encode(errors="surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _any_number(rng: random.Random) -> int:
    bits = rng.choice([0, 1, 3, 8, 16, 31, 32, 33, 53, 62, 63, 64, 100])
    return rng.choice([1, -1]) * rng.choice([2**bits, 2**bits - 1, rng.getrandbits(bits + 1)])


def programs(base: Base, rng: random.Random, index: int) -> bytes:
    """Remove, double, swap and replace instructions, and change numbers."""
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
                code[rng.choice(numbers)] = number_code(_any_number(rng))
            case 4:
                code[one] = bytes([rng.choice([rng.randrange(256), *b"}](tueasR)NQb0120\x85\x86"])])
            case 5:
                puts = [at for at, step in enumerate(code) if step[:1] in b"qhrj"]
                code[rng.choice(puts)] = rng.choice([b"q", b"h"]) + bytes([rng.randrange(256)])
    return base.with_program(b"".join(code))


def tensor_programs(base: Base, rng: random.Random, index: int) -> bytes:
    """Write tensors whose sizes, strides, offsets, counts and keys disagree."""
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
    storage = [b"(", text_code("storage"), f"ctorch\n{kind}Storage\n".encode(), text_code(key),
               text_code("cpu"), number_code(count), b"t", b"Q"]  # fmt: skip
    rest = [number_code(offset), _tuple(shape), _tuple(strides), b"\x89",
            b"ccollections\nOrderedDict\n", b")", b"R", b"t", b"R"]  # fmt: skip
    code = [maker, b"(", *storage, *rest]
    if any_of("order"):
        one, two = rng.randrange(len(code)), rng.randrange(len(code))
        code[one], code[two] = rng.choice(
            [(code[two], code[one]), (b"", code[two]), (b"h\x07", b"0")]
        )
    program = base.members()["archive/data.pkl"]
    named = text_code("generator") + b"}" + text_code("weight") + b"".join(code) + b"ss."
    return base.with_program(program[:-1] + named, _900=rng.randbytes(size))


def _tuple(values: list[int]) -> bytes:
    short = {0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(values))
    numbers = b"".join(map(number_code, values))
    return numbers + short if short else b"(" + numbers + b"t"


def nesting(base: Base, rng: random.Random, index: int) -> bytes:
    """Make structures that are deep, wide, shared or slow to hash, in a few bytes."""
    depth = rng.choice([2, 15, 17, 100, 1000, 20_000])
    program = base.members()["archive/data.pkl"][:-1]
    end = text_code("partial") + b"}" + text_code("x")
    share = b"]q\xf0" + b"".join(
        b"](" + b"h\xf0" * 30 + b"eq\xf0" for _ in range(rng.choice([3, 9, 12]))
    )
    hashes = b"".join(number_code((number + 1) * (2**61 - 1)) + b"N" for number in range(depth))
    value = rng.choice(
        [
            *(b"]" * depth + b"a" * (depth - 1), b"}" * depth, b"]" * depth, b"(" * depth),
            *(b"}" + b"K\x01}" * depth + b"s" * depth, b"K\x01" + b"\x85" * depth, b")" * depth),
            *(b"(" * depth + b"t" * depth, b"](" + b"N" * depth + b"e", b"}(" + hashes + b"u"),
            *(share, b"]q\xf0h\xf0a", b"}q\xf0K\x01h\xf0s", b"X\x01\x00\x00\x00xq\xf0]q\xf0h\xf0a"),
            *(b"](" + b"}" * depth + b"e", b"](" + b"K\x01r\x00\x00\x01\x00" * depth + b"e"),
            *(
                text_code("x") * depth,
                b"N2" * depth,
                b"N" + b"0" * depth,
                b"\x8a\xff" + b"\x7f" * 255,
            ),
        ]
    )
    return base.with_program(program + rng.choice([end + value + b"ss.", value + b".", value]))


LARGE = [
    lambda rng: (b"](", itertools.repeat(b"N"), b"e"),
    lambda rng: (b"](", itertools.repeat(b"K\x01"), b"e"),
    lambda rng: (b"](", map(number_code, itertools.count(2**20)), b"e"),
    lambda rng: (b"](", itertools.repeat(b"G" + struct.pack(">d", rng.random())), b"e"),
    lambda rng: (b"](", map(text_code, map(str, itertools.count())), b"e"),
    lambda rng: (b"](", itertools.repeat(text_code("\U0001f600" * rng.choice([1, 1000]))), b"e"),
    lambda rng: (b"](", itertools.repeat(rng.choice([b"}", b"}K\x01K\x02s" + b"N" * 11])), b"e"),
    lambda rng: (b"](", itertools.repeat(b"](" + b"N" * rng.randrange(30) + b"e"), b"e"),
    lambda rng: (b"}(", (number_code(n) + b"N" for n in itertools.count(2**20)), b"u"),
    lambda rng: (b"}(", (number_code((2**61 - 1) * n) + b"N" for n in itertools.count(1)), b"u"),
    lambda rng: (b"](", (b"K\x01r" + struct.pack("<I", n) for n in itertools.count()), b"e"),
    lambda rng: (text_code("x" * 2**15) + b"q\xf0](", itertools.repeat(b"h\xf0"), b"e"),
    lambda rng: (text_code("x" * 99) + b"q\xf0}(", itertools.repeat(b"h\xf0N"), b"u"),
    lambda rng: (b"](", itertools.repeat(_row(rng.random())), b"e"),
]  # fmt: skip
"""Contents of a pickle of megabytes: its beginning, a part to repeat, its end."""
LARGE_SIZES = (2**17, 2**20, 2**22, limits.PICKLE_BYTES - 2**14)
"""The last is all that `archive` allows, less what the rest of a checkpoint takes."""


def _row(value: float) -> bytes:
    """Return the row of an epoch."""
    number = b"G" + struct.pack(">d", value)
    return b"}(" + b"".join(text_code(name) + number for name in sorted(COLUMNS)) + b"u"


def large(base: Base, rng: random.Random, index: int) -> bytes:
    """Make histories of up to eight megabytes that hold hardly any values."""
    begin, parts, end = LARGE[index % len(LARGE)](rng)
    size = LARGE_SIZES[index // len(LARGE)]
    code = [base.members()["archive/data.pkl"][:-1], text_code("history"), begin]
    while size > 0:
        code.append(next(parts))
        size -= len(code[-1])
    return base.with_program(b"".join([*code, end, b"s."]))
