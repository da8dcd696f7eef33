"""Jobs on many tasks, in order, by processes that end afterwards."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ganctl.datasets import workers
from ganctl.errors import DataError

# Functions that other processes can import: tests are not, under importmode importlib.
JOBS = """
import multiprocessing, os, sys, time
def double(number):
    time.sleep(0.002 * (number % 3))
    return 2 * number
class Count:
    def __init__(self): self.tasks = 0
    def __call__(self, number):
        self.tasks += 1
        return os.getpid(), self.tasks
def fail(number):
    if number == 5:
        raise ValueError("five")
    return number
def die(number):
    if multiprocessing.parent_process() is not None:
        os._exit(9)
    return number
def process(number):
    time.sleep(0.05)
    return os.getpid()
class Times:
    factor = 2
    def __call__(self, number):
        time.sleep(0.02)
        return self.factor * number
def sleep(number):
    os.write(1, f"{os.getpid()}\\n".encode())  # whole, whatever the other one writes
    time.sleep(1000)  # longer than a test may take
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A module of jobs that worker processes can import."""
    (tmp_path / "jobs_of_a_test.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    import jobs_of_a_test

    return jobs_of_a_test


def test_a_single_process_is_this_one(jobs):
    with workers.parallel_map(jobs.double, 1) as mapped:
        assert list(mapped(range(20))) == [2 * number for number in range(20)]
    assert not multiprocessing.active_children()


def test_several_processes_keep_the_order_and_end(jobs):
    with workers.parallel_map(jobs.double, 2) as mapped:
        assert list(mapped(range(50))) == [2 * number for number in range(50)]
        assert list(mapped(range(3))) == [0, 2, 4]
    assert not multiprocessing.active_children()


def test_this_process_does_some_of_the_work(jobs):
    with workers.parallel_map(jobs.process, 2) as mapped:
        found = set(mapped(range(60)))
    assert len(found) == 2
    assert os.getpid() in found


def test_other_processes_start_before_the_map_is_used(jobs):
    """The job is pickled only when the map is first used."""
    job = jobs.Times()
    with workers.parallel_map(job, 2) as mapped:
        assert multiprocessing.active_children()
        job.factor = 3
        assert list(mapped(range(40))) == [3 * number for number in range(40)]


def test_a_map_of_no_tasks_is_empty(jobs):
    with workers.parallel_map(jobs.double, 2) as mapped:
        assert list(mapped([])) == []


def test_an_exception_in_a_job_is_raised_and_ends_the_workers(jobs):
    with pytest.raises(ValueError, match="five"), workers.parallel_map(jobs.fail, 2) as mapped:
        list(mapped(range(50)))
    assert not multiprocessing.active_children()


def test_a_killed_process_of_a_map_is_a_data_error(jobs):
    with pytest.raises(DataError, match="was killed"), workers.parallel_map(jobs.die, 2) as mapped:
        list(mapped(range(50)))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("count", [0, 2])
def test_each_stateful_worker_remembers_its_own_tasks(jobs, count):
    with workers.stateful_workers(jobs.Count(), count) as submits:
        done = [[submit(number).result() for number in range(3)] for submit in submits]
    assert [[number for _, number in one] for one in done] == [[1, 2, 3]] * max(count, 1)
    assert len({process for one in done for process, _ in one}) == max(count, 1)
    assert (done[0][0][0] == os.getpid()) == (count == 0)
    assert not multiprocessing.active_children()


def test_a_killed_stateful_worker_is_a_data_error(jobs):
    with (
        pytest.raises(DataError, match="was killed"),
        workers.stateful_workers(jobs.die, 1) as submits,
    ):
        submits[0](5).result()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_ends_workers_at_once(jobs):
    previous = signal.signal(signal.SIGALRM, _interrupt)
    with pytest.raises(KeyboardInterrupt), workers.parallel_map(jobs.sleep, 2) as mapped:
        next(iter(_interrupted(mapped)))
    signal.signal(signal.SIGALRM, previous)
    assert not multiprocessing.active_children()


def _interrupted(mapped):
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    yield from mapped(range(4))


def _interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_workers_end_with_their_parent_even_if_it_is_killed(jobs):
    source = (
        "import jobs_of_a_test as jobs\n"
        "from ganctl.datasets import workers\n"
        "with workers.parallel_map(jobs.sleep, 3) as mapped:\n"
        "    list(mapped(range(9)))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            children = [int(parent.stdout.readline()) for _ in range(3)]
        finally:
            parent.kill()
        parent.wait()
        parent.stdout.read()  # ends when the last of them has closed it
    assert not any(_is_alive(child) for child in children)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie, whose exit code nobody has read, is not
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_script_without_a_main_guard_does_not_run_again_in_each_worker(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from ganctl.datasets import workers\n"
        "with workers.parallel_map(str.upper, 2) as apply:\n"
        "    print(*apply('ab' * 20), sep='')\n"
        "with workers.stateful_workers(str.upper, 1) as (first,):\n"
        "    print(first('c').result())\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "AB" * 20 + "\nC\n"), done.stderr
