"""The number of CPU threads that training steps run on."""

from __future__ import annotations

import math
import time

import torch

from ganctl import devices, machine
from ganctl.config.schema import TrainConfig
from ganctl.networks import computes_by_image
from ganctl.training.state import TrainState, create
from ganctl.training.step import trial_step
from ganctl.training.workers import Workers, threads_per_process

GAIN = 1.1
"""How much faster steps must be on twice as many threads to be worth them, if each thread computes
its own part of the batch. The number is kept to the end of the run."""
_GAIN_IN_OPERATORS = 1.3
"""The same for threads inside the operators. These wait for one another after every operator, some
1,700 times a step: as soon as other programs take a core, two are many times slower than one (40
steps of batch 64: 45 s on two, 2.7 s on one). A gain of a few percent is not worth that."""
_ROUND_SECONDS = 0.05
"""Least duration of one timing."""
_MAX_STEP_SECONDS = 1.0
"""Longest step on one thread that is timed; of longer ones, fewer images are timed."""
_NUM_ROUNDS = 3
_FEW_IMAGES = 8


def choose(config: TrainConfig, device: torch.device, num_processes: int = 1) -> int | None:
    """Return the number of threads in `config`, or the fastest if it has none; None for a GPU.

    Several processes on this machine share its cores without timing. Otherwise steps of discarded
    networks are timed on 1, 2, 4, ... threads, up to one per core. Restores torch's own number.
    """
    if device.type != "cpu" or config.threads is not None:
        return config.threads
    if num_processes > 1:
        return threads_per_process(machine.num_cores(), num_processes)
    before = torch.get_num_threads()
    most = min(before, machine.num_cores())
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
    seconds = _time_steps(state, counts)
    gain = GAIN if computes_by_image(state.config.network) else _GAIN_IN_OPERATORS
    chosen = 1
    for count in counts:
        if seconds[chosen] > gain ** math.log2(count / chosen) * seconds[count]:
            chosen = count
    return chosen


def _time_steps(state: TrainState, counts: list[int]) -> dict[int, float]:
    """Return the seconds that a step takes on each number of threads, the best of a few rounds."""
    workers = {count: Workers(count) for count in {1, *counts}}
    _use(state, workers[1])
    whole = state.config.batch_size
    few = min(whole, _FEW_IMAGES * state.config.accumulate)
    _seconds_per_step(state, few, steps=1)  # warms up
    per_image = _seconds_per_step(state, few, steps=1) / few
    batch = max(few, min(whole, int(_MAX_STEP_SECONDS / per_image)))
    steps = math.ceil(_ROUND_SECONDS / (per_image * batch))
    best = dict.fromkeys(counts, math.inf)
    # In turn, so that a machine that slows down for a while slows all of them down.
    for count in counts * _NUM_ROUNDS:
        _use(state, workers[count])
        _seconds_per_step(state, batch, steps=1)  # threads are slow at first, and after a pause
        best[count] = min(best[count], _seconds_per_step(state, batch, steps))
    return best


def _use(state: TrainState, workers: Workers) -> None:
    if computes_by_image(state.config.network):
        devices.use_threads(1)
        state.workers = workers
    else:
        devices.use_threads(workers.count)


def _seconds_per_step(state: TrainState, batch: int, steps: int) -> float:
    """Return the seconds that a step takes, without an R1 penalty."""
    started = time.perf_counter()
    for _ in range(steps):
        trial_step(state, batch)
    return (time.perf_counter() - started) / steps
