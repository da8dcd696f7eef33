"""What this machine has left for this process: memory, processor cores, room on a disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ganctl.errors import DeviceError, RunError
from ganctl.text import in_bytes

_ROOT = Path("/")
_ANOTHER_DISK = "Free some space, or write to another disk."
_MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Files of a control group, version 2 and 1: its limit, what it uses, and the entry of memory.stat
with those of its cached pages that the kernel gives up as soon as memory is asked for."""


def free_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes that this process can still take under Linux; None elsewhere.

    What the system has available, or less where a control group (a container, a batch system) or
    this process (ulimit -v) is given less. `root` is where the file system begins, for tests.
    """
    if not sys.platform.startswith("linux"):
        return None
    available = _table(root / "proc/meminfo").get("MemAvailable:")
    if available is None:
        return None
    free = [available * 1024]
    for group in _control_groups("memory", root):
        for limit_file, used_file, cached in _MEMORY:
            limit, used = _number(group / limit_file), _number(group / used_file)
            if limit is not None and used is not None:
                reclaimable = _table(group / "memory.stat").get(cached, 0)
                free.append(limit - max(0, used - reclaimable))
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _number(root / "proc/self/statm")
    if limit != resource.RLIM_INFINITY and pages is not None:
        free.append(limit - pages * resource.getpagesize())
    return max(0, min(free))


def cores(root: Path = _ROOT) -> int:
    """Return how many processor cores this process may use, at least 1.

    As many as its affinity says, or fewer where a control group has a quota, which is rounded down:
    threads that wait for one another use it up. `root` is where the file system begins, for tests.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = [len(os.sched_getaffinity(0))]
    else:
        allowed = [os.cpu_count() or 1]
    for group in _control_groups("cpu", root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # "max": no quota
            quota, period = map(int, (group / "cpu.max").read_text("ascii").split())
            allowed.append(quota // period)
        quota_v1, period_v1 = (_number(group / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        if quota_v1 is not None and period_v1 and quota_v1 > 0:  # -1: no quota
            allowed.append(quota_v1 // period_v1)
    return max(1, min(allowed))


def idle_cores() -> int:
    """Return how many of `cores` other programs left idle in the last minute, at least 1.

    Threads that wait for one another at every step are far slower than a single one where each
    must first be given a core.
    """
    if not hasattr(os, "getloadavg"):
        return cores()
    with contextlib.suppress(OSError):  # not known
        return max(1, min(cores(), round((os.cpu_count() or 1) - os.getloadavg()[0])))
    return cores()


def limit_threads() -> None:
    """Have libraries that are imported later compute on `cores` threads: they see no quota."""
    if hasattr(os, "sched_getaffinity") and cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


def require_memory(num_bytes: int, doing: str) -> None:
    """DeviceError if `doing` something takes `num_bytes`, and less than that is free."""
    free = free_memory()
    if free is not None and num_bytes > free:
        raise DeviceError(
            f"{doing} takes {in_bytes(num_bytes)} of memory, and {in_bytes(free)} are free",
            "Free some memory, or use a machine with more.",
        )


def require_disk(path: Path, num_bytes: int, hint: str = _ANOTHER_DISK) -> None:
    """RunError if the disk that `path` is, or will be, on has less than `num_bytes` free."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # whoever writes says what is wrong
        return
    if num_bytes > free:
        raise RunError(
            f"{path} would take {in_bytes(num_bytes)}, and {in_bytes(free)} are free there",
            hint,
        )


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those that it is in, of both versions.

    A container may see its own group as the topmost one, under whatever name the host gave it.
    """
    mounts = root / "sys/fs/cgroup"
    for line in ["0::/", *_lines(root / "proc/self/cgroup")]:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mount = mounts / controllers
        inside = PurePosixPath(name.lstrip("/"))
        if ".." in inside.parts:  # outside of what this process can see
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield mount / part


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    """Return the number that the file `path` begins with, None if there is none ("max")."""
    with contextlib.suppress(IndexError, ValueError):
        return int(_lines(path)[0].split()[0])
    return None


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file of names and numbers, a pair a line."""
    pairs = (line.split()[:2] for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
