"""On how many threads of a CPU the updates are quickest."""

from __future__ import annotations

import math
import time

import torch

from ganctl import devices
from ganctl.config import TrainConfig
from ganctl.datasets import workers
from ganctl.training.state import TrainState, create
from ganctl.training.step import train_step

_SMALL = 0.05
"""An update that takes longer than so many seconds is shared out well by any number of threads."""
_ROUND = 0.05
"""Seconds of updates that one timing takes."""
_ROUNDS = 3
_GAIN = 1.1
"""Fewer threads must be so much quicker: the same machine should find the same number again."""


def shared(count: int | None, num_processes: int) -> int | None:
    """As many of `count` threads as one of several processes on this machine may take."""
    if count is None or num_processes == 1:
        return count
    return max(1, min(count, workers.available() // num_processes))


def choose(config: TrainConfig, device: torch.device, num_processes: int = 1) -> int | None:
    """The number that `config` asks for, or else the quickest; None for a GPU.

    Of several processes on this machine each has its share of the cores; nothing is timed.

    Small networks have little to share out: beyond some number, threads cost more than they bring.
    So updates of networks that are thrown away are timed, with all threads, half of them, and so
    on. Leaves torch's own number as it was.
    """
    if device.type != "cpu" or config.threads is not None:
        return config.threads
    if num_processes > 1:
        return shared(workers.available(), num_processes)
    most = torch.get_num_threads()
    if most == 1:
        return most
    state = create(config, device)
    _seconds(state, steps=2)  # warms up
    an_update = _seconds(state, steps=2)
    if an_update > _SMALL:
        return most
    try:
        return _quickest(state, most, steps=math.ceil(_ROUND / an_update))
    finally:
        devices.use_threads(most)


def _quickest(state: TrainState, most: int, steps: int) -> int:
    counts = [most]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    # In turn, so that a machine that slows down for a while slows all of them down.
    best = dict.fromkeys(counts, math.inf)
    for _ in range(_ROUNDS):
        for count in counts:
            devices.use_threads(count)
            best[count] = min(best[count], _seconds(state, steps))
    quickest = min(counts, key=best.__getitem__)
    return quickest if best[most] > _GAIN * best[quickest] else most


def _seconds(state: TrainState, steps: int) -> float:
    """Seconds an update takes, without the penalty that is due now and then."""
    config = state.config
    real = torch.zeros(config.batch_size, *config.network.image_shape, device=state.device)
    latents = torch.zeros(config.batch_size, config.network.input_dim, device=state.device)
    started = time.perf_counter()
    for _ in range(steps):
        state.step = 1
        train_step(state, real, latents, noise_seed=0)
    return (time.perf_counter() - started) / steps
