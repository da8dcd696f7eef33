"""Resources that are free for this process: memory, CPU cores, disk space."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
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
"""Files of a control group, version 2 and 1: its limit, its use, and the entry of memory.stat for
cached pages, which the kernel gives up as soon as memory is needed."""
_LOOK_SECONDS = 0.1
_NUM_TIMES = 8
"""Number of times of a core in /proc/stat that add up; those of guests are in the first two."""
_IDLE = slice(3, 5)
"""Which of them are those in which the core did nothing: idle, and waiting for a disk."""


def free_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes that this process can still allocate under Linux; None elsewhere.

    This is what the system has available, unless a control group (of a container or batch system)
    or the limit of this process (ulimit -v) leaves less. `root` is the file system's, for tests.
    """
    available = _table(root / "proc/meminfo").get("MemAvailable:")
    if not sys.platform.startswith("linux") or available is None:
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


def num_cores(root: Path = _ROOT) -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    The limits are its affinity and a control group's quota, rounded down: threads that wait for one
    another use up the rest. `root` is the file system's, for tests.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = [len(affinity(0)) if affinity else os.cpu_count() or 1]
    for group in _control_groups("cpu", root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # "max": no quota
            quota, period = map(int, (group / "cpu.max").read_text("ascii").split())
            allowed.append(quota // period)
        quota_v1, period_v1 = (_number(group / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        if quota_v1 is not None and period_v1 and quota_v1 > 0:  # -1: no quota
            allowed.append(quota_v1 // period_v1)
    return max(1, min(allowed))


def num_idle_cores(root: Path = _ROOT) -> int:
    """Return how many of `num_cores` other programs leave idle just now, at least 1.

    Several threads that must wait for a core at every step are far slower than a single one. Under
    Linux the cores that this process may use are watched for a tenth of a second; elsewhere the
    mean load of the last minute is taken, or all are idle if that is not known. `root` is the file
    system's, for tests.
    """
    before = _core_times(root)
    if before:
        time.sleep(_LOOK_SECONDS)
    idle = [_idle_share(before[core], now) for core, now in _core_times(root).items()
            if core in before]  # fmt: skip
    if not idle:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        idle = [(os.cpu_count() or 1) - load]
    return max(1, min(num_cores(), round(sum(idle))))


def limit_threads() -> None:
    """Make libraries that are imported later use `num_cores` threads: they ignore quotas."""
    if hasattr(os, "sched_getaffinity") and num_cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(num_cores()))


def require_memory(num_bytes: int, task: str) -> None:
    """Raise DeviceError if `task` takes `num_bytes` of memory and less is free."""
    free = free_memory()
    if free is not None and num_bytes > free:
        raise DeviceError(
            f"{task} takes {in_bytes(num_bytes)} of memory, and {in_bytes(free)} are free",
            "Free some memory, or use a machine with more.",
        )


def require_disk(path: Path, num_bytes: int, hint: str = _ANOTHER_DISK) -> None:
    """Raise RunError if the disk of `path`, which may not exist yet, has less than `num_bytes`."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    with contextlib.suppress(OSError):  # writing will fail with a better message
        free = shutil.disk_usage(folder).free
        if num_bytes > free:
            raise RunError(
                f"{path} would take {in_bytes(num_bytes)}, and {in_bytes(free)} are free there",
                hint,
            )


def _core_times(root: Path) -> dict[str, list[int]]:
    """Return the times that each core this process may use spent on each kind of work, by name.

    It is empty if they are not known.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = {f"cpu{number}" for number in affinity(0)} if affinity else set()
    lines = (line.split() for line in _lines(root / "proc/stat"))  # "cpu0 4705 356 584 ..."
    return {name: [int(word) for word in times[:_NUM_TIMES]]
            for name, *times in lines if name in allowed}  # fmt: skip


def _idle_share(before: list[int], now: list[int]) -> float:
    """Return the share of the time between both that a core did nothing."""
    spent = [later - earlier for earlier, later in zip(before, now, strict=True)]
    return sum(spent[_IDLE]) / sum(spent) if sum(spent) > 0 else 1.0


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and its parents, in both versions.

    A container may see its own group as the topmost one, under whatever name the host gave it.
    """
    for line in ["0::/", *_lines(root / "proc/self/cgroup")]:
        controllers, _, name = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        inside = PurePosixPath(name.lstrip("/"))
        if ".." in inside.parts:  # outside of what this process can see
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield root / "sys/fs/cgroup" / controllers / part


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text("utf-8", "replace").splitlines()
    return []


def _number(path: Path) -> int | None:
    """Return the number at the beginning of a file; None if there is none ("max")."""
    with contextlib.suppress(IndexError, ValueError):
        return int(_lines(path)[0].split()[0])
    return None


def _table(path: Path) -> dict[str, int]:
    """Return {name: number} from a file with a name and a number on each line."""
    pairs = (line.split()[:2] for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
