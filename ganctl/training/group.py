"""The processes that train together: what they add up, and what they agree on.

Each works on its share of every batch; sums over all shares make them one. Started by torchrun or
by `ganctl train --num-processes`, on PyTorch's own process groups: NCCL between GPUs, gloo between
CPUs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from ganctl.devices import resolve_device
from ganctl.errors import GroupError, UsageError

T = TypeVar("T")

PATIENCE = 300.0
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

    process_group: dist.ProcessGroup | None = None
    """PyTorch's own."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> Sum:
        """Begin to add up each of `tensors`, float32, over all processes.

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

    def begin(self, patience: float) -> None:
        """From here on processes wait so many seconds for one another: all are ready."""


ALONE = Group()


class Processes(Group):
    """This process as one of several."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))

    def sum(self, tensors: Sequence[Tensor], like: Sequence[Tensor]) -> Sum:
        # One message: each costs by itself, however short it is.
        flat = torch.empty(sum(map(Tensor.numel, tensors)), device=tensors[0].device)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        views = [
            part.as_strided(model.shape, model.stride())
            for part, model in zip(parts, like, strict=True)
        ]
        torch._foreach_copy_(views, list(tensors))
        with _failures():
            return _Travelling(
                dist.all_reduce(flat, group=self.process_group, async_op=True), views
            )

    def gathered(self, tensor: Tensor) -> Tensor:
        tables = [torch.empty_like(tensor) for _ in range(self.size)]
        with _failures():
            dist.all_gather(tables, tensor, group=self.process_group)
        return torch.stack(tables)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        table = torch.tensor(flags, dtype=torch.int32)
        with _failures():
            dist.all_reduce(table, dist.ReduceOp.MAX, group=self.process_group)
        return tuple(map(bool, table.tolist()))

    def agreed(self, value: T) -> T:
        box = [value]
        with _failures():
            dist.broadcast_object_list(
                box, src=0, group=self.process_group, device=torch.device("cpu")
            )
        return box[0]

    def require_same(self, value: Any, what: str) -> None:
        if self.any(self.agreed(value) != value)[0]:
            raise UsageError(
                f"the processes do not have the same {what}",
                "Give every machine the same command, and the same images at the same path.",
            )

    def begin(self, patience: float) -> None:
        with _failures():
            group = dist.new_group(timeout=timedelta(seconds=patience))
        assert isinstance(group, dist.ProcessGroup)
        self.process_group = group


class _Travelling(Sum):
    def __init__(self, work: Any, views: list[Tensor]) -> None:
        super().__init__(views)
        self._work = work

    def wait(self) -> list[Tensor]:
        with _failures():
            self._work.wait()
        return self._tensors


@contextlib.contextmanager
def joined(device: str) -> Iterator[Group]:
    """While entered: the group that this process was started in; ALONE where it was started alone.

    `device` is what `resolve_device` takes: sums are of tensors there. Raises GroupError, and as
    `resolve_device`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    on = resolve_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    backend = "gloo"
    if on.type == "cuda":
        torch.cuda.set_device(on)
        backend = "cpu:gloo,cuda:nccl"
    with _failures():
        dist.init_process_group(backend, timeout=_READY)
    try:
        yield Processes()
    finally:
        # Not destroyed where it failed: that would wait for those who are gone.
        if not _has_failed:
            dist.destroy_process_group()


_has_failed = False


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """What PyTorch raises where another process is gone or silent, in plain words."""
    global _has_failed
    try:
        yield
    except (RuntimeError, ValueError) as error:  # gloo's, NCCL's (DistError) and the store's
        _has_failed = True
        said = " ".join(str(error).split())[:200]
        raise GroupError(
            f"another process of this training has ended, or does not answer: {said}",
            "What was saved last is whole: --resume goes on from there.",
        ) from None
