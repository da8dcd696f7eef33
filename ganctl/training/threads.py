"""The number of CPU threads that training steps run on."""

from __future__ import annotations

import math
import time

import torch

from ganctl import devices, machine
from ganctl.config.schema import TrainConfig
from ganctl.training.state import TrainState, create
from ganctl.training.step import train_step

GAIN = 1.3
"""How much faster steps must be on twice as many threads to be worth them. Threads wait for one
another after every operator, some 1,700 times a step: as soon as other programs take a core, two
are many times slower than one (40 steps of batch 64: 45 s on two, 2.7 s on one). A gain of a few
percent on a quiet machine is not worth that, and the number is kept to the end of the run."""
_ROUND = 0.05
"""Seconds of steps that one timing takes at least."""
_LONGEST = 1.0
"""Seconds that a timed step may take on one thread: of a longer one, fewer images are timed."""
_ROUNDS = 3
_FEW_IMAGES = 8


def shared(count: int | None, num_processes: int) -> int | None:
    """Return how many of `count` threads one of several processes on this machine may take."""
    if count is None or num_processes == 1:
        return count
    return max(1, min(count, machine.cores() // num_processes))


def choose(config: TrainConfig, device: torch.device, num_processes: int = 1) -> int | None:
    """Return the number that `config` asks for, or else as many as are worth it; None for a GPU.

    Of several processes on this machine each has its share of the cores; nothing is timed.
    Otherwise steps of networks that are thrown away are timed on 1, 2, 4, ... threads, up to one
    for each core. Leaves torch's own number as it was.
    """
    if device.type != "cpu" or config.threads is not None:
        return config.threads
    if num_processes > 1:
        return shared(machine.cores(), num_processes)
    before = torch.get_num_threads()
    most = min(before, machine.cores())
    if most == 1:
        return most
    try:
        return _worthwhile(create(config, device), most)
    finally:
        devices.use_threads(before)


def _worthwhile(state: TrainState, most: int) -> int:
    counts = [most]
    while counts[0] > 1:
        counts.insert(0, counts[0] // 2)
    seconds = _timed(state, counts)
    chosen = 1
    for count in counts:
        if seconds[chosen] > GAIN ** math.log2(count / chosen) * seconds[count]:
            chosen = count
    return chosen


def _timed(state: TrainState, counts: list[int]) -> dict[int, float]:
    """Return the seconds that a step takes on each number of threads, the best of a few."""
    devices.use_threads(1)
    whole = state.config.batch_size
    few = min(whole, _FEW_IMAGES * state.config.accumulate)
    _seconds(state, few, steps=1)  # warms up
    an_image = _seconds(state, few, steps=1) / few
    batch = max(few, min(whole, int(_LONGEST / an_image)))
    steps = math.ceil(_ROUND / (an_image * batch))
    # In turn, so that a machine that slows down for a while slows all of them down.
    best = dict.fromkeys(counts, math.inf)
    for _ in range(_ROUNDS):
        for count in counts:
            devices.use_threads(count)
            best[count] = min(best[count], _seconds(state, batch, steps))
    return best


def _seconds(state: TrainState, batch: int, steps: int) -> float:
    """Return the seconds a step takes, without the penalty that is due now and then."""
    network = state.config.network
    real = torch.zeros(batch, *network.image_shape, device=state.device)
    latents = torch.zeros(batch, network.input_dim, device=state.device)
    started = time.perf_counter()
    for _ in range(steps):
        state.step = 1
        train_step(state, real, latents, noise_seed=0)
    return (time.perf_counter() - started) / steps
