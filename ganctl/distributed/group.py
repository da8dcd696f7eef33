"""The group of processes that train together: sums over all of them, and shared decisions.

Each process computes its share of every batch. The processes are started by torchrun or by
`ganctl train --num-processes` and use PyTorch's process groups: NCCL for GPUs, gloo for CPUs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed import FileStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from ganctl.batch import Share
from ganctl.config.sources import STORE_FILE
from ganctl.devices import resolve_device
from ganctl.errors import GroupError, Setting, Text, UsageError

T = TypeVar("T")

TIMEOUT = 300.0
"""Default number of seconds to wait for a process that does not respond."""
_STARTUP_TIMEOUT = timedelta(hours=1)
"""Timeout while processes read images: one may have much more to decode than the others."""


class PendingSum:
    """Sums over all processes that may still be on their way."""

    def __init__(self, tensors: list[Tensor], work: Any = None) -> None:
        self._tensors = tensors
        self._work = work

    def wait(self) -> list[Tensor]:
        """Return the sums; a GPU's later work waits for them, not the host. Raises GroupError."""
        if self._work is not None:
            with _group_errors():
                self._work.wait()
        return self._tensors


class Group:
    """A process that trains alone, and the interface of one of several processes.

    Methods that need other processes raise GroupError if one of them is lost.
    """

    rank = 0
    """Number of this process, counted from 0."""
    size = 1
    """Number of processes."""
    local_rank = 0
    """Number of this process among those on this machine, counted from 0."""
    local_size = 1
    """Number of processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and messages of the run."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """The share of every batch that this process computes."""
        return Share(self.rank, self.size)

    def start(self, timeout: float) -> None:
        """Connect the processes; from now on they wait `timeout` seconds for one another."""

    def begin_sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> PendingSum:
        """Begin to add up each of `tensors`, all of one dtype, over all processes.

        The sums have the same bits in every process, and the memory layouts of `like`.
        """
        return PendingSum(list(tensors))

    def all_gather(self, tensor: Tensor) -> Tensor:
        """Return the `tensor` of each process, (...), in the order of ranks, (size, ...)."""
        return tensor[None]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether any process has set it."""
        return flags

    def broadcast(self, value: T) -> T:
        """Return the JSON-like `value` of the first process."""
        return value

    def require_same(self, value: Any, name: str) -> None:
        """Raise UsageError unless the JSON-like `value` equals that of the first process."""
        if self.broadcast(value) != value:
            raise UsageError(
                f"process {self.rank} does not have the same {name} as the first one",
                "Use the same command, and the same images at the same path, on every machine.",
            )

    def run_on_first(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns in the first process; the others wait and get None.

        They wait as long as the first process lives, however long `work` takes.
        """
        return work()

    def isolated(self) -> AbstractContextManager[None]:
        """Hide the group within this context, and refuse all waiting for other processes.

        Otherwise a library that finds a process group would wait in it forever.
        """
        return contextlib.nullcontext()


SINGLE = Group()
"""The group of a process that trains alone."""


class Processes(Group):
    """A group of several processes. Before `start` they share only a key-value store."""

    def __init__(self, store: Store, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size = rank, size
        self.local_rank = int(os.environ.get("LOCAL_RANK", rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        self._store = store
        self._backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        self._num_broadcasts = 0
        self._timeout = timedelta(seconds=TIMEOUT)
        self._is_isolated = False

    def start(self, timeout: float) -> None:
        self._timeout = timedelta(seconds=timeout)
        member: dict[str, Any] = {"store": self._store, "rank": self.rank, "world_size": self.size}
        with _group_errors():
            dist.init_process_group(self._backend, timeout=self._timeout, **member)

    def begin_sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> PendingSum:
        # One message for all, since each has a cost of its own, however short it is.
        sizes = [tensor.numel() for tensor in tensors]
        flat = tensors[0].new_empty(sum(sizes))
        parts = zip(torch.split(flat, sizes), like, strict=True)
        views = [part.as_strided(model.shape, model.stride()) for part, model in parts]
        torch._foreach_copy_(views, list(tensors))
        with self._messages():
            return PendingSum(views, dist.all_reduce(flat, async_op=True))

    def all_gather(self, tensor: Tensor) -> Tensor:
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._messages():
            dist.all_gather(tensors, tensor)
        return torch.stack(tensors)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        with self._messages():
            return _any(flags, dist.group.WORLD)

    def broadcast(self, value: T) -> T:
        self._num_broadcasts += 1
        key = f"ganctl/broadcast/{self._num_broadcasts}"
        with self._messages():
            if self.is_first:
                self._store.set(key, json.dumps(value))
                return value
            received: T = json.loads(self._store.get(key))  # waits until the key is set
            return received

    def run_on_first(self, work: Callable[[], T]) -> T | None:
        if not self.is_first:
            while not self.any(False)[0]:
                pass
            return None
        with self._heartbeat(), self.isolated():
            result = work()
        self.any(True)
        return result

    @contextlib.contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Signal to the others, which wait in `run_on_first`, that this process still works."""
        world, has_ended = dist.group.WORLD, threading.Event()

        def beat() -> None:
            with contextlib.suppress(GroupError):  # raised again at the end of the work
                while not has_ended.wait(self._timeout.total_seconds() / 3):
                    _any([False], world)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        self._require_not_isolated()
        world, dist.group.WORLD, self._is_isolated = dist.group.WORLD, None, True
        try:
            yield
        finally:
            dist.group.WORLD, self._is_isolated = world, False

    @contextlib.contextmanager
    def _messages(self) -> Iterator[None]:
        """Convert failures of messages to GroupError, and refuse messages while isolated."""
        self._require_not_isolated()
        with _group_errors():
            yield

    def _require_not_isolated(self) -> None:
        assert not self._is_isolated, "an isolated process cannot wait for the others"


def _any(flags: Sequence[bool], world: dist.ProcessGroup | None) -> tuple[bool, ...]:
    table = torch.tensor(flags, dtype=torch.int32)
    with _group_errors():
        dist.all_reduce(table, dist.ReduceOp.MAX, group=world)
    return tuple(map(bool, table.tolist()))


@contextlib.contextmanager
def join_group(device: str) -> Iterator[Group]:
    """Join the group that this process was started in, within this context.

    Yields SINGLE if it was started alone. `device` is what `resolve_device` takes; sums are over
    tensors there. Raises GroupError, and what `resolve_device` raises.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield SINGLE
        return
    resolved = resolve_device(device, _local_rank())
    if resolved.type == "cuda":
        torch.cuda.set_device(resolved)
    with _group_errors():
        if STORE_FILE in os.environ:
            store = shared_store(_STARTUP_TIMEOUT.total_seconds())
            rank, size = _local_rank(), int(os.environ["WORLD_SIZE"])
        else:
            store, rank, size = next(rendezvous("env://", timeout=_STARTUP_TIMEOUT))
    # After a restart the store may still hold the keys of the processes before.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    yield Processes(PrefixStore(f"ganctl/{attempt}", store), rank, size, resolved)
    # Not after an error: that would wait for processes that are gone.
    if dist.is_initialized():
        dist.destroy_process_group()


def shared_store(seconds: float) -> Store:
    """Return a client of the key-value store that the launcher made for this process's group.

    It waits at most `seconds` for a key. Raises what PyTorch raises.
    """
    timeout = timedelta(seconds=seconds)
    if file := os.environ.get(STORE_FILE):
        store: Store = FileStore(file)
        store.set_timeout(timeout)
        return store
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=False, timeout=timeout)


def _local_rank() -> int:
    """Return torchrun's LOCAL_RANK; without it all processes are on this machine."""
    rank = os.environ.get("LOCAL_RANK", os.environ.get("RANK", ""))
    if not rank.isdecimal():
        raise UsageError(
            f"WORLD_SIZE is set, but RANK is not a number: '{rank[:40]}'",
            Text(
                "Start several processes with torchrun or {}; unset WORLD_SIZE to start one.",
                Setting("num_processes"),
            ),
        )
    return int(rank)


@contextlib.contextmanager
def _group_errors() -> Iterator[None]:
    """Convert PyTorch's errors about lost or slow processes to GroupError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:  # from gloo, NCCL (DistError) and the store
        reason = re.sub(r"\[/\S+\] ", "", " ".join(str(error).split())).split(". ")[0][:200]
        raise GroupError(
            f"another process of this run has ended or does not respond: {reason}",
            Text("The last save is intact: {} continues from there.", Setting("resume", True)),
        ) from None
