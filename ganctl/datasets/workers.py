"""A job done on many things, in order, by as many processes as there are cores."""

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

_AHEAD = 3
"""Tasks of a worker that are begun or waiting for it."""
_KEPT = 32
"""Results a process that are begun or wait for their turn: they come in order, and may not pile up;
but this process is not to run out of work while another one starts."""
_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def mapping(job: Callable[[Task], Result], count: int) -> Iterator[Map[Task, Result]]:
    """While entered: a `map` of `job` over tasks, in their order, by `count` processes.

    One is this process itself, which works rather than wait; the others are new ones, from which
    results come pickled, as `job` and the tasks go there: `job` when the map is first used, but
    they begin to start at once. They are gone when the context is left, at once where an exception
    leaves it, and die with this process however it ends. Raises DataError where one of them is
    killed.
    """
    if count <= 1:
        yield lambda tasks: map(job, tasks)
        return
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:
        # By a file: a long job in the pipe has this process wait until the other one reads it.
        path = Path(folder) / "job"
        # Not forked: this process may have threads, torch's and the progress bar's, with locks.
        executor = ProcessPoolExecutor(
            count - 1,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
        )
        try:
            for _ in range(count - 1):
                _handed(executor, _start)
            yield lambda tasks: _in_order(executor, job, path, tasks, count)
        except BaseException as error:
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            executor.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise _ended() from None
            raise
        executor.shutdown()


@contextlib.contextmanager
def each(
    job: Callable[[Task], Result], count: int
) -> Iterator[Sequence[Callable[[Task], Future[Result]]]]:
    """While entered: `count` processes to hand tasks to, each with a copy of `job` of its own.

    So it may remember from one task to the next. None: one thread of this process. Otherwise as
    `mapping`.
    """
    executors: list[Executor]
    hands: list[Callable[[Task], Future[Result]]]
    if count < 1:
        thread = ThreadPoolExecutor(1, "ganctl-images")
        executors, hands = [thread], [lambda task: thread.submit(job, task)]
    else:
        spawn = multiprocessing.get_context("spawn")
        executors = [
            ProcessPoolExecutor(1, spawn, initializer=_begin_with, initargs=(job,))
            for _ in range(count)
        ]
        hands = [functools.partial(_handed, executor, _do) for executor in executors]
    others = set(multiprocessing.active_children())
    try:
        yield hands
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        if isinstance(error, BrokenProcessPool):
            raise _ended() from None
        raise
    finally:
        for executor in executors:
            executor.shutdown(cancel_futures=True)


def _handed(executor: Executor, job: Callable[..., Any], *tasks: Any) -> Future[Any]:
    with _signals_held_back(), _without_main():  # a process may be started here
        return executor.submit(job, *tasks)


def _ended() -> DataError:
    return DataError(
        "a process that reads images was ended from outside, perhaps for want of memory",
        "Give the same command again, with more memory free.",
    )


def _in_order(
    executor: ProcessPoolExecutor,
    job: Callable[[Any], Any],
    path: Path,
    tasks: Iterable[Any],
    count: int,
) -> Iterator[Any]:
    if not path.exists():
        path.write_bytes(pickle.dumps(job))
    remaining = iter(tasks)
    waiting: deque[Future[Any]] = deque()
    while True:
        given = sum(not future.done() for future in waiting)
        for task in itertools.islice(remaining, _AHEAD * (count - 1) - given):
            waiting.append(_handed(executor, _do_from, path, task))
        if not waiting:
            return
        is_idle = not waiting[0].done() and len(waiting) < _KEPT * count
        if is_idle and (own := list(itertools.islice(remaining, 1))):
            waiting.append(Future())
            waiting[-1].set_result(job(own[0]))
            continue
        yield waiting.popleft().result()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Have a process that is started meanwhile not import the program's main module.

    It needs nothing from there; and a script that calls ganctl outside of
    `if __name__ == "__main__"` would begin anew in each worker.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process started meanwhile is not asked to stop before it can say how: see `_begin`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = [getattr(signal, name) for name in _STOPPING]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# In a worker

_job: Callable[[Any], Any]


def _begin_with(job: Callable[[Any], Any]) -> None:
    _begin()
    global _job
    _job = job


def _begin() -> None:
    # Ctrl-C reaches every process of a terminal: the first one cleans up, this one by its order.
    for name in _STOPPING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [getattr(signal, name) for name in _STOPPING])
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _start() -> None:
    """Nothing: a process is started to do it."""


def _do(task: Any) -> Any:
    return _job(task)


def _do_from(path: Path, task: Any) -> Any:
    return _job_in(path)(task)


@functools.cache
def _job_in(path: Path) -> Any:
    return pickle.loads(path.read_bytes())
