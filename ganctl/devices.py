"""The device to compute on, its precision and threads, and descriptions of it."""

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
from ganctl.text import counted, suggestion

KINDS = ("auto", "cpu", "cuda", "mps")
_USE_CPU = Text("Use {}, or leave it out.", Setting("device", "cpu"))


def resolve_device(name: str, local_rank: int | None = None) -> torch.device:
    """Return the device that `name` means: `auto` (cuda, mps or cpu), `cpu`, `cuda[:N]` or `mps`.

    Each of several processes on this machine gets the GPU with its number, `local_rank`. Raises
    UsageError for an unknown name, DeviceError for a device that this machine lacks.
    """
    kind, _, index = name.partition(":")
    if kind not in KINDS or (index and (kind != "cuda" or not index.isdecimal())):
        hint = "Did you mean 'cuda'?" if kind.lower() == "gpu" else suggestion(kind, KINDS)
        raise UsageError(f"unknown device '{name}'", hint)
    wants_gpu, wants_mps = kind in ("auto", "cuda"), kind in ("auto", "mps")
    count = torch.cuda.device_count() if wants_gpu and torch.cuda.is_available() else 0
    has_mps = wants_mps and torch.backends.mps.is_available()
    if kind == "auto":
        kind = "cuda" if count else "mps" if has_mps and local_rank is None else "cpu"
    if local_rank is not None and (index or kind == "mps"):
        raise UsageError(
            f"several processes cannot share the device {name}",
            Text("Give {} or cpu.", Setting("device", "cuda")),
        )
    if (kind == "cuda" and not count) or (kind == "mps" and not has_mps):
        raise DeviceError(f"there is no {kind.upper()} device here", _USE_CPU)
    if kind != "cuda":
        return torch.device(kind)
    index = index or str(local_rank or 0)
    if int(index) >= count:
        raise DeviceError(
            f"there is no CUDA device {index} here",
            f"There {'is 1' if count == 1 else f'are {count}'}, counted from cuda:0.",
        )
    return torch.device("cuda", int(index))


def prepare(device: torch.device) -> None:
    """Change settings of this process that make training on `device` faster; safe to repeat.

    glibc hands freed blocks back to the system. A step frees and allocates the same large blocks
    again, and each page of them would be zeroed again, tens of thousands of times per step.
    """
    if device.type == "cpu" and sys.platform.startswith("linux"):
        m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
        with contextlib.suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(m_mmap_max, 0)
            mallopt(m_trim_threshold, 2**31 - 1)


def use_threads(count: int | None) -> None:
    """Compute on `count` CPU threads from here on; None leaves torch's number."""
    if count is not None:
        torch.set_num_threads(count)


def use_idle_threads() -> None:
    """Compute on no more threads than there are idle cores, where rounding does not matter."""
    torch.set_num_threads(min(torch.get_num_threads(), machine.num_idle_cores()))


def describe(device: torch.device, num_threads: int | None = None) -> str:
    """Return the device in words: 'cpu, 2 threads', 'cuda:0, NVIDIA H100'.

    Without `num_threads`, those of torch's operators are counted.
    """
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu, {counted(num_threads or torch.get_num_threads(), 'thread')}"
    return str(device)


def describe_machine() -> str:
    """Return the system and processor in words: 'Linux, AMD EPYC, AVX512'.

    It names only what decides how results are rounded, so that no kernel update changes it.
    """
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):  # `platform` does not know Linux's
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        processor = next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    return f"{platform.system()}, {processor}, {torch.backends.cpu.get_cpu_capability()}"


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process can still allocate on a CPU under Linux; else None."""
    return machine.free_memory() if device.type == "cpu" else None


def resolve_precision(name: str, device: torch.device) -> str:
    """Return `name`, or for `auto`, 'bf16' if it is faster on `device`, else 'fp32'.

    On a CPU both are timed on a matrix product: some processors have bf16 instructions that are
    slower than their fp32 ones.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        speedup = _product_seconds(torch.float32) / _product_seconds(torch.bfloat16)
        return "bf16" if speedup > 1.25 else "fp32"
    return "fp32"


def synchronize(device: torch.device) -> None:
    """Wait until `device` has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _product_seconds(dtype: torch.dtype, size: int = 768) -> float:
    """Return the shortest time of a square matrix product, after one that warms up."""
    matrix = torch.ones(size, size, dtype=dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
