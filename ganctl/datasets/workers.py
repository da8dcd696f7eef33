"""Processes that read and decode images and never outlive the process they work for."""

from __future__ import annotations

import contextlib
import functools
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ganctl.errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")
Map = Callable[[Iterable[Task]], Iterator[Result]]
Submit = Callable[[Task], Future[Result]]

_TASKS_PER_WORKER = 3
"""Number of tasks that are running in, or waiting for, each worker."""
_RESULTS_PER_PROCESS = 32
"""Number of results that may wait for an earlier one: a bound on memory, and yet enough that this
process does not run out of work while a worker starts."""
_STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@contextlib.contextmanager
def parallel_map(job: Callable[[Task], Result], num_processes: int) -> Iterator[Map[Task, Result]]:
    """Yield a `map` of `job` that keeps the order of the tasks and runs in `num_processes`.

    This process is one of them and works whenever it would only wait. The others start at once,
    but `job` is pickled for them when the map is first used. They end with the context: at once if
    an exception leaves it. Raises DataError if one of them is killed.
    """
    if num_processes <= 1:
        yield lambda tasks: map(job, tasks)
        return
    with _pools([num_processes - 1]) as ((pool,), path):
        for _ in range(num_processes - 1):
            _submit(pool, os.getpid)  # starts a process
        yield lambda tasks: _ordered_results(pool, job, path, tasks, num_processes)


@contextlib.contextmanager
def stateful_workers(
    job: Callable[[Task], Result], num_processes: int
) -> Iterator[Sequence[Submit[Task, Result]]]:
    """Yield a function per process that submits a task to it.

    Each process has a copy of `job` of its own, which can remember earlier tasks. With no processes
    a thread of this one does the job. Otherwise like `parallel_map`.
    """
    if num_processes < 1:
        with ThreadPoolExecutor(1, "ganctl-images") as thread:
            try:
                yield [lambda task: thread.submit(job, task)]
            finally:
                thread.shutdown(cancel_futures=True)
        return
    with _pools([1] * num_processes) as (pools, path):
        path.write_bytes(pickle.dumps(job))
        yield [functools.partial(_submit, pool, _do, path) for pool in pools]


@contextlib.contextmanager
def _pools(sizes: Sequence[int]) -> Iterator[tuple[list[ProcessPoolExecutor], Path]]:
    """Yield pools of processes and the path at which they expect their job.

    A job in a file, unlike a long one in a pipe, does not keep this process waiting for its reader.
    """
    others = set(multiprocessing.active_children())
    # Not forked: this process may have threads that hold locks, such as torch's.
    spawn = multiprocessing.get_context("spawn")
    pools = [ProcessPoolExecutor(size, spawn, initializer=_initialize) for size in sizes]
    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:
        try:
            yield pools, Path(folder) / "job"
        except BaseException as error:
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            if isinstance(error, BrokenProcessPool):
                raise DataError(
                    "a process that reads images was killed, perhaps because memory ran out",
                    "Free some memory and run the same command again.",
                ) from None
            raise
        finally:
            for pool in pools:
                pool.shutdown(cancel_futures=True)


def _submit(pool: Executor, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Submit a job to `pool`, which may start a process for it.

    Until `_initialize` has run in that process, signals are blocked. It does not import the
    program's main module: a script without `if __name__ == "__main__"` would run again in it.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    can_block = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS) if can_block else set()
    try:
        return pool.submit(job, *arguments)
    finally:
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sys.modules["__main__"] = main


def _ordered_results(
    pool: ProcessPoolExecutor,
    job: Callable[[Any], Any],
    path: Path,
    tasks: Iterable[Any],
    num_processes: int,
) -> Iterator[Any]:
    if not path.exists():
        path.write_bytes(pickle.dumps(job))
    remaining = iter(tasks)
    waiting: deque[Future[Any]] = deque()
    while True:
        num_unfinished = sum(not future.done() for future in waiting)
        num_wanted = _TASKS_PER_WORKER * (num_processes - 1) - num_unfinished
        for task in itertools.islice(remaining, num_wanted):
            waiting.append(_submit(pool, _do, path, task))
        if not waiting:
            return
        is_idle = not waiting[0].done() and len(waiting) < _RESULTS_PER_PROCESS * num_processes
        if is_idle and (own := list(itertools.islice(remaining, 1))):
            waiting.append(Future())
            waiting[-1].set_result(job(own[0]))
            continue
        yield waiting.popleft().result()


# In a worker process:


def _initialize() -> None:
    # Ctrl-C reaches every process of a terminal, but it is up to the first one to stop the others.
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(path: Path, task: Any) -> Any:
    return _job_at(path)(task)


@functools.cache
def _job_at(path: Path) -> Any:
    return pickle.loads(path.read_bytes())
