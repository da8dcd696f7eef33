"""Pickles with code, and files of other programs."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mutants.base import Base, saved, zipped
from mutants.programs import opcodes, text_code

MARK = Path("executed")  # in the child's empty folder: what a payload that runs leaves behind


def calls() -> list[tuple[str, str, tuple[Any, ...]]]:
    """Return functions that leave MARK behind or take all memory, with their arguments."""
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
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(MARK),))


def _plain_arguments(arguments: tuple[Any, ...]) -> bytes:
    """Return instructions that push plain values and call nothing."""
    code = b""
    for value in arguments:
        plain = value if isinstance(value, str | int | bytes | float | list | tuple | dict) else "x"
        code += (
            pickle.dumps(plain, 4)[2:-1]
            if isinstance(plain, bytes)
            else (text_code(plain) if isinstance(plain, str) else _frameless(plain))
        )
    return code


def _frameless(value: object) -> bytes:
    code = [step for step in opcodes(pickle.dumps(value, 2)) if step[:1] not in (b"q", b"r")]
    return b"".join(code[1:-1])


def _forms(module: str, name: str, arguments: tuple[Any, ...]) -> list[bytes]:
    """Return a call in every form of a pickle, each of which leaves one value on the stack."""
    named, pushed = f"{module}\n{name}\n".encode(), _plain_arguments(arguments)
    get = b"c" + named
    stacked = text_code(module) + text_code(name) + b"\x93"
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
        b"ccollections\nOrderedDict\n)R}" + text_code("__setstate__") + get + b"sb" + pushed + b"b",
        b"ccollections\nOrderedDict\n)R}" + text_code("__reduce__") + get + b"sb",
        b"ctorch\nTensor\n)\x81(" + get + pushed + b"tb",
        b"\x82\xf0(" + pushed + b"tR",
        b"\x83\xf0\x00(" + pushed + b"tR",
        b"\x84\xf0\x00\x00\x00(" + pushed + b"tR",
        b"(" + get + pushed + b"tQ",
        b"(" + text_code("storage") + get + text_code("0") + text_code("cpu") + b"K\x06tQ",
        b"P" + named[:-1].replace(b"\n", b" ") + b"\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + text_code("storage") + get + text_code("0")
        + text_code("cpu") + b"K\x06tQK\x00K\x06\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR",
        b"X\x01\x00\x00\x00xq\xfa" + get + b"q\xfa0h\xfa(" + pushed + b"tR",
        b"ctorch\nFloatStorage\nq\xfa0" + get + b"q\xfa0h\xfa(" + pushed + b"tR",
        get + b"\x94(" + pushed + b"t\x94R",
        get + b"p250\n0g250\n(" + pushed + b"tR",
        b"\x95" + struct.pack("<Q", 9) + get + b"(" + pushed + b"tR",
        b"}(" + get + b"K\x01u",
    ]  # fmt: skip


FORMS = len(_forms("os", "mkdir", ()))


def code_in_pickles(base: Base, rng: random.Random, index: int) -> bytes:
    """Insert every call in every form at every place."""
    known = calls()
    value = _forms(*known[index // FORMS])[index % FORMS]
    program = base.members()["archive/data.pkl"][:-1]
    match rng.randrange(6):
        case 0:
            return base.with_program(b"\x80\x02" + value + b".")
        case 1:  # within a checkpoint
            return base.with_program(program + text_code("x") + value + b"s.")
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
    """Return files of other programs, whole or with flipped bits, some of them with code."""
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
