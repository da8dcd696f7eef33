"""The processes that train together: what they add up, and what they agree on.

Each works on its share of every batch; sums over all shares make them one. Started by torchrun or
by `ganctl train --num-processes`, on PyTorch's own process groups: NCCL between GPUs, gloo between
CPUs.
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
from torch.distributed import (  # type: ignore[attr-defined]
    FileStore,
    PrefixStore,
    Store,
    TCPStore,
)
from torch.distributed.rendezvous import rendezvous

from ganctl.batch import Share
from ganctl.config.sources import STORE_FILE
from ganctl.devices import resolve_device
from ganctl.errors import GroupError, Setting, Text, UsageError

T = TypeVar("T")

TIMEOUT = 300.0
"""Seconds that the others wait for a process that does not answer."""
_READY = timedelta(hours=1)
"""For processes that still read or decode images: one of them may have more to do."""


class Sum:
    """Sums on their way; `wait` for them."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors

    def wait(self) -> list[Tensor]:
        """The sums, as a GPU's next work sees them. Raises GroupError."""
        return self._tensors


class Group:
    """A process that is alone: it is the first one, and all there is."""

    rank = 0
    """Which of the processes, counted from 0."""
    size = 1
    """How many there are."""
    local_rank = 0
    """Which of those on this machine."""
    local_size = 1
    """How many on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """The share of every batch that this process computes."""
        return Share(self.rank, self.size)

    def sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> Sum:
        """Begin to add up each of `tensors`, of one dtype, over all processes.

        The results lie in memory as `like`, the same in every process.
        """
        return Sum(list(tensors))

    def gathered(self, tensor: Tensor) -> Tensor:
        """Each process's `tensor`, (...), one after the other: (size, ...). Raises GroupError."""
        return tensor[None]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Of each flag, whether any process raised it. Raises GroupError."""
        return flags

    def agreed(self, value: T) -> T:
        """The first process's JSON-like `value`. Raises GroupError."""
        return value

    def require_same(self, value: Any, what: str) -> None:
        """UsageError unless all processes have the same JSON-like `value`."""

    def begin(self, timeout: float) -> None:
        """Make ready to add up. From here on they wait so many seconds for one another."""

    def by_first(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns in the first process; the others wait for it, and get None.

        They wait however long it takes, as long as the first process lives. Raises GroupError.
        """
        return work()

    def alone(self) -> AbstractContextManager[None]:
        """Refuse everything that needs the other processes, in this one, until it is left.

        Without this, a library that finds a process group would wait in it for good.
        """
        return contextlib.nullcontext()


ALONE = Group()


class Processes(Group):
    """This process as one of several. Until `begin` they speak through a store of keys alone."""

    def __init__(self, store: Store, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size = rank, size
        self.local_rank = int(os.environ.get("LOCAL_RANK", rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        self._store = store
        self._device = device
        self._num_agreed = 0
        self._timeout = TIMEOUT
        self._is_alone = False

    def sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> Sum:
        # One message: each costs by itself, however short it is.
        first = tensors[0]
        flat = first.new_empty(sum(map(Tensor.numel, tensors)))
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        views = [
            part.as_strided(model.shape, model.stride())
            for part, model in zip(parts, like, strict=True)
        ]
        torch._foreach_copy_(views, list(tensors))
        self._require_others()
        with _failures():
            return _Travelling(dist.all_reduce(flat, async_op=True), views)

    def gathered(self, tensor: Tensor) -> Tensor:
        self._require_others()
        tables = [torch.empty_like(tensor) for _ in range(self.size)]
        with _failures():
            dist.all_gather(tables, tensor)
        return torch.stack(tables)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        self._require_others()
        return _any(flags, dist.group.WORLD)

    def agreed(self, value: T) -> T:
        self._require_others()
        self._num_agreed += 1
        key = f"ganctl/agreed/{self._num_agreed}"
        with _failures():
            if self.is_first:
                self._store.set(key, json.dumps(value))
                return value
            found: T = json.loads(self._store.get(key))  # waits until it is there
            return found

    def require_same(self, value: Any, what: str) -> None:
        if self.agreed(value) != value:
            raise UsageError(
                f"process {self.rank} does not have the same {what} as the first one",
                "Give every machine the same command, and the same images at the same path.",
            )

    def begin(self, timeout: float) -> None:
        backend = "cpu:gloo,cuda:nccl" if self._device.type == "cuda" else "gloo"
        with _failures():
            dist.init_process_group(
                backend,
                store=self._store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=timeout),
            )
        self._timeout = timeout

    def by_first(self, work: Callable[[], T]) -> T | None:
        if not self.is_first:
            while not self.any(False)[0]:
                pass
            return None
        with self._sign_of_life(), self.alone():
            result = work()
        self.any(True)
        return result

    @contextlib.contextmanager
    def _sign_of_life(self) -> Iterator[None]:
        """Tell the others, which wait in `by_first`, that this process is still at work."""
        world, ended = dist.group.WORLD, threading.Event()

        def tell() -> None:
            with contextlib.suppress(GroupError):  # raised where the work has ended, too
                while not ended.wait(self._timeout / 3):
                    _any([False], world)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        self._require_others()
        world, dist.group.WORLD, self._is_alone = dist.group.WORLD, None, True
        try:
            yield
        finally:
            dist.group.WORLD, self._is_alone = world, False

    def _require_others(self) -> None:
        assert not self._is_alone, "the other processes take no part in what one does alone"


class _Travelling(Sum):
    def __init__(self, work: Any, views: list[Tensor]) -> None:
        super().__init__(views)
        self._work = work

    def wait(self) -> list[Tensor]:
        with _failures():
            self._work.wait()
        return self._tensors


def _any(flags: Sequence[bool], world: dist.ProcessGroup | None) -> tuple[bool, ...]:
    table = torch.tensor(flags, dtype=torch.int32)
    with _failures():
        dist.all_reduce(table, dist.ReduceOp.MAX, group=world)
    return tuple(map(bool, table.tolist()))


@contextlib.contextmanager
def joined(device: str) -> Iterator[Group]:
    """While entered: the group that this process was started in; ALONE where it was started alone.

    `device` is what `resolve_device` takes: sums are of tensors there. Raises GroupError, and as
    `resolve_device`.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    on = resolve_device(device, _local_rank())
    if on.type == "cuda":
        torch.cuda.set_device(on)
    with _failures():
        store, rank, size = _met()
    # After a restart the store may still hold what those before have left there.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    yield Processes(PrefixStore(f"ganctl/{attempt}", store), rank, size, on)
    # Not where it failed: that would wait for those who are gone.
    if dist.is_initialized():
        dist.destroy_process_group()


def _met() -> tuple[Store, int, int]:
    """Return the store of this group, this process's rank and the group's size."""
    if STORE_FILE in os.environ:
        return shared_store(_READY.total_seconds()), _local_rank(), int(os.environ["WORLD_SIZE"])
    store, rank, size = next(rendezvous("env://", timeout=_READY))
    return store, rank, size


def shared_store(seconds: float) -> Store:
    """Return the store that this process's launcher made for its group, as one more client.

    `seconds` are how long it waits for a key. Raises what PyTorch raises.
    """
    timeout = timedelta(seconds=seconds)
    if file := os.environ.get(STORE_FILE):
        store: Store = FileStore(file)
        store.set_timeout(timeout)
        return store
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=False, timeout=timeout)


def _local_rank() -> int:
    """As torchrun says it; without it all processes are on this machine."""
    rank = os.environ.get("LOCAL_RANK", os.environ.get("RANK", ""))
    if not rank.isdecimal():
        raise UsageError(
            f"WORLD_SIZE is set, but RANK is '{rank[:40]}', which is no number",
            Text(
                "Start several processes by torchrun, or with {}; unset WORLD_SIZE for one.",
                Setting("num_processes"),
            ),
        )
    return int(rank)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """What PyTorch raises where another process is gone or silent, in plain words."""
    try:
        yield
    except (RuntimeError, ValueError) as error:  # gloo's, NCCL's (DistError) and the store's
        said = re.sub(r"\[/\S+\] ", "", " ".join(str(error).split())).split(". ")[0][:200]
        raise GroupError(
            f"another process of this training has ended, or does not answer: {said}",
            Text("What was saved last is whole: {} goes on from there.", Setting("resume", True)),
        ) from None
