"""Threads that each compute a part of a batch, from its images to gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from ganctl import machine
from ganctl.config.schema import TrainConfig
from ganctl.networks import computes_by_image

Part = TypeVar("Part")
Result = TypeVar("Result")


def threads_per_process(count: int | None, num_processes: int) -> int | None:
    """Return how many of `count` threads each of several processes on this machine may use."""
    if count is None or num_processes == 1:
        return count
    return max(1, min(count, machine.num_cores() // num_processes))


def num_workers(config: TrainConfig, num_processes: int) -> int:
    """Return how many parts of its share each of `num_processes` on this machine computes at once.

    One if images of a batch depend on one another: the threads are then inside the operators.
    """
    if not computes_by_image(config.network):
        return 1
    return threads_per_process(config.threads, num_processes) or 1


def threads_in_operators(config: TrainConfig, num_processes: int) -> int | None:
    """Return on how many threads operators of a run compute; None leaves torch's number.

    One beside workers: torch's own threads, once awake, spin for a while, and take a core each.
    """
    if num_workers(config, num_processes) > 1:
        return 1
    return threads_per_process(config.threads, num_processes)


class Workers:
    """`count` threads, one of them the caller's. Each does all operators of its part by itself.

    Threads inside the operators wait for one another at the end of each, over a thousand times per
    step, which small images do not repay and a busy machine turns into a crawl.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads: ThreadPoolExecutor | None = None
        if count > 1:
            self._threads = ThreadPoolExecutor(
                count - 1, "ganctl-worker", initializer=torch.set_num_threads, initargs=(1,)
            )

    def map(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Return what `work` makes of each of up to `count` parts, in their order.

        Raises what `work` raises for the first part that fails, once all parts have ended.
        """
        if self._threads is None or len(parts) == 1:
            return [work(part) for part in parts]
        first, *others = parts
        futures = [self._threads.submit(work, part) for part in others]
        try:
            result = work(first)
        finally:
            wait(futures)
        return [result, *(future.result() for future in futures)]
