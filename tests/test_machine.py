"""Memory, cores and disks of machines that are simulated in a folder."""

from __future__ import annotations

import os
import sys
import time

import pytest

from ganctl import machine
from ganctl.errors import RunError

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux tells it")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A file system with 5 MB of memory available and no control groups; eight cores."""
    write(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    5000 kB\n"})
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    return tmp_path


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def group_v2(root, name, limit, used, cached=0):
    folder = f"sys/fs/cgroup/{name}"
    write(root, {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 5\nfile 9\ninactive_file {cached}\nactive_file 7\n",
    })  # fmt: skip


def group_v1(root, name, limit, used, cached=0):
    folder = f"sys/fs/cgroup/memory/{name}"
    write(root, {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"cache 9\ninactive_file 1\ntotal_inactive_file {cached}\n",
    })  # fmt: skip


@on_linux
def test_without_control_groups_all_available_memory_is_free(root, monkeypatch):
    assert machine.free_memory(root) == 5_120_000
    group_v2(root, "", "max", 1_000_000)
    assert machine.free_memory(root) == 5_120_000
    write(root, {"proc/self/statm": "100 1 1\n"})
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_500_000, -1))
    assert machine.free_memory(root) == 1_500_000 - 100 * os.sysconf("SC_PAGESIZE")
    write(root, {"proc/meminfo": ""})
    assert machine.free_memory(root) is None


@on_linux
def test_reclaimable_cached_pages_count_as_free(root):
    """A container that has read its images must still be able to allocate memory."""
    group_v2(root, "", 3_000_000, 2_900_000, cached=2_000_000)
    assert machine.free_memory(root) == 2_100_000


@on_linux
def test_the_tightest_group_up_to_the_root_counts(root):
    write(root, {"proc/self/cgroup": "0::/a/b/c\n"})
    group_v2(root, "", "max", 0)
    group_v2(root, "a", 4_000_000, 1_000_000)
    group_v2(root, "a/b", 2_000_000, 1_500_000)
    group_v2(root, "a/b/c", "max", 0)
    group_v2(root, "a/other", 10, 10)
    assert machine.free_memory(root) == 500_000
    group_v2(root, "a/b/c", 3_000_000, 2_900_000)
    assert machine.free_memory(root) == 100_000
    group_v2(root, "a/b/c", 3_000_000, 9_900_000)
    assert machine.free_memory(root) == 0


@on_linux
def test_limits_of_control_groups_of_version_1_count(root):
    write(root, {"proc/self/cgroup": "7:pids:/x\n4:memory:/x/y\n0::/\n"})
    group_v1(root, "", 2**63 - 4096, 9)
    group_v1(root, "x", 4_000_000, 3_500_000, cached=1_000_000)
    group_v1(root, "x/y", 2**63 - 4096, 9)
    assert machine.free_memory(root) == 1_500_000


@on_linux
@pytest.mark.parametrize("name", ["/docker/1f2e", "/../../1f2e"])
def test_a_container_sees_its_own_group_as_the_topmost(root, name):
    write(root, {"proc/self/cgroup": f"4:memory:{name}\n0::{name}\n"})
    group_v1(root, "", 2_000_000, 500_000)
    assert machine.free_memory(root) == 1_500_000
    group_v2(root, "", 1_000_000, 400_000)
    assert machine.free_memory(root) == 600_000


@on_linux
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 8),
        ({"a/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ({"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "50000"}, 4),
        ({"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "50000"}, 8),
        ({"cpu.max": "nonsense"}, 8),
    ],
)
def test_cores_are_as_many_as_affinity_and_quota_allow(root, files, expected):
    write(root, {"proc/self/cgroup": "3:cpu:/a\n0::/a\n"})
    write(root, {f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()})
    assert machine.num_cores(root) == expected


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)


@pytest.mark.parametrize(("busy", "idle"), [(0.1, 8), (5.6, 2), (7, 1), (8, 1)])
def test_cores_that_other_programs_use_are_not_idle(root, eight_cores, monkeypatch, busy, idle):
    """Eight of the machine's 64 cores are ours; `busy` of them work, and all of the others."""

    def times(ticks):
        lines = ["cpu  900 0 100 5000 200 0 0 0 700 0", "intr 1 2 3"]
        for core in range(64):
            used = round(ticks * (min(1, max(0, busy - core)) if core < 8 else 1))
            lines.append(f"cpu{core} {900 + used} 0 100 {5000 + ticks - used} 200 0 0 0 700 0")
        write(root, {"proc/stat": "\n".join(lines)})

    times(0)
    monkeypatch.setattr(time, "sleep", lambda _: times(10))
    assert machine.num_idle_cores(root) == idle


@pytest.mark.parametrize(("load", "idle"), [(56.2, 8), (61.6, 2), (63.9, 1), (90, 1)])
def test_idle_cores_are_counted_by_the_load_elsewhere(root, eight_cores, monkeypatch, load, idle):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0), raising=False)
    assert machine.num_idle_cores(root) == idle


def test_a_file_larger_than_the_disk_is_refused(tmp_path):
    path = tmp_path / "new" / "folder" / "big.npz"
    machine.require_disk(path, 10**6)
    with pytest.raises(RunError, match=r"big\.npz would take 1,000,000,000\.0 GB, and .* are free"):
        machine.require_disk(path, 10**18)
