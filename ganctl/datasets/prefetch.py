"""Batches that are read ahead: while one is used, the next ones are read and decoded."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from ganctl.datasets import workers

if TYPE_CHECKING:  # workers, which only decode images, import this module and start faster without
    import torch
    from torch import Tensor


class Request(NamedTuple):
    """A request for images: rows of the batch of one step."""

    step: int
    """Number of the step in its epoch."""
    rows: range
    """Rows of the whole batch."""
    batch_size: int
    """Number of images in the whole batch."""


Read = Callable[[Request], tuple[Any, Any]]
"""Returns images, uint8 (n, H, W, C), and labels, int64 (n,), as arrays or tensors on the CPU."""
_Future = Future[tuple[Any, Any]]


def prefetch(
    read: Read,
    requests: Iterable[Request],
    device: torch.device,
    *,
    num_ahead: int,
    num_processes: int = 0,
) -> Iterator[tuple[Request, Tensor, Tensor]]:
    """Yield each of `requests` with its images and labels on `device`.

    The next `num_ahead` requests are read meanwhile, each divided over `num_processes`, or by a
    thread of this process if there are none. Raises what `read` raises.
    """
    with workers.stateful_workers(read, num_processes) as submits:
        pending: deque[tuple[Request, list[_Future]]] = deque()
        for request in requests:
            parts = _split(request, len(submits))
            futures = [submit(part) for submit, part in zip(submits, parts, strict=True)]
            pending.append((request, futures))
            if len(pending) > num_ahead:
                yield _collect(*pending.popleft(), device)
        while pending:
            yield _collect(*pending.popleft(), device)


def _split(request: Request, count: int) -> list[Request]:
    rows = request.rows
    ends = [rows.start + len(rows) * number // count for number in range(count + 1)]
    return [request._replace(rows=range(start, end)) for start, end in itertools.pairwise(ends)]


def _collect(
    request: Request, futures: Sequence[_Future], device: torch.device
) -> tuple[Request, Tensor, Tensor]:
    images, labels = zip(*(future.result() for future in futures), strict=True)
    return request, _joined(images, device), _joined(labels, device)


def _joined(parts: Sequence[Any], device: torch.device) -> Tensor:
    import torch

    tensors = [torch.as_tensor(part) for part in parts]
    whole = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
    if device.type == "cuda":
        whole = whole.pin_memory()  # a GPU reads pinned memory directly
    return whole.to(device, non_blocking=True)
