"""Which device to compute on, and in which precision."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys
import time
from pathlib import Path

import torch

from ganctl import machine
from ganctl.errors import DeviceError, Setting, Text, UsageError
from ganctl.text import nearest

KINDS = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str, local_rank: int | None = None) -> torch.device:
    """`auto` (cuda, then mps, then cpu), `cpu`, `cuda`, `cuda:N` or `mps` → a device that is there.

    Of several processes each has the GPU that its number on this machine, `local_rank`, says.
    Raises UsageError for an unknown name, DeviceError for a device that this machine lacks.
    """
    kind, _, index = name.partition(":")
    if kind not in KINDS or (index and (kind != "cuda" or not index.isdecimal())):
        hint = "Did you mean 'cuda'?" if kind.lower() == "gpu" else nearest(kind, KINDS)
        raise UsageError(f"unknown device '{name}'", hint)
    if kind == "auto":
        has_mps = _has_mps() and local_rank is None
        kind = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if local_rank is not None and (index or kind == "mps"):
        raise UsageError(
            f"several processes cannot share the device {name}",
            Text("Give {} or cpu.", Setting("device", "cuda")),
        )
    if kind == "cuda":
        index = index or str(local_rank or 0)
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise DeviceError(
                "there is no CUDA device here",
                Text("Use {}, or leave it out.", Setting("device", "cpu")),
            )
        if int(index) >= count:
            raise DeviceError(
                f"there is no CUDA device {index} here",
                f"There {'is 1' if count == 1 else f'are {count}'}, counted from cuda:0.",
            )
        return torch.device("cuda", int(index))
    if kind == "mps" and not _has_mps():
        raise DeviceError(
            "there is no MPS device here",
            Text("Use {}, or leave it out.", Setting("device", "cpu")),
        )
    return torch.device(kind)


def prepare(device: torch.device) -> None:
    """Settings of this process that make training on `device` faster; safe to repeat."""
    if device.type == "cpu":
        _keep_freed_memory()


def use_threads(count: int | None) -> None:
    """Compute on so many threads of the CPU from here on; None: as many as torch took."""
    if count is not None:
        torch.set_num_threads(count)


def use_idle_threads() -> None:
    """Compute on no more threads than there are idle cores, for what is not stored bit for bit."""
    torch.set_num_threads(min(torch.get_num_threads(), machine.idle_cores()))


def describe(device: torch.device) -> str:
    """The device in words: 'cpu, 2 threads', 'cuda:0, NVIDIA H100'."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'' if threads == 1 else 's'}"
    return str(device)


def describe_machine() -> str:
    """The system and the processor in words: 'Linux, AMD EPYC, AVX512'.

    As much of both as decides how results are rounded: no update of the kernel changes it.
    """
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.system()}, {_processor()}, {instructions}"


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process can still take on a CPU under Linux; None elsewhere."""
    return machine.free_memory() if device.type == "cpu" else None


def resolve_precision(name: str, device: torch.device) -> str:
    """`auto` → 'bf16' where `device` computes in it in hardware and gains by it, else 'fp32'.

    On a CPU both are timed for a moment on a matrix product: several processors have bf16
    instructions that are slower than their fp32 ones.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type == "cpu" and _cpu_has_bf16():
        gain = _product_seconds(torch.float32) / _product_seconds(torch.bfloat16)
        return "bf16" if gain > 1.25 else "fp32"
    return "fp32"


def synchronize(device: torch.device) -> None:
    """Wait until `device` has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _keep_freed_memory() -> None:
    """Have glibc reuse freed blocks instead of handing them back to the system.

    A step frees and asks for the same large blocks again; handed back, each page of them is
    faulted in and zeroed anew, tens of thousands of times a step. Without glibc: does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def _processor() -> str:
    with contextlib.suppress(OSError):  # not Linux, whose `platform` does not know it
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _cpu_has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _product_seconds(dtype: torch.dtype, size: int = 768) -> float:
    """The best of a few timings of a square matrix product, after one that warms up."""
    matrix = torch.ones(size, size, dtype=dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
