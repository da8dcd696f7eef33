"""The estimate of a run's time, memory and disk space, measured by a short trial."""

from __future__ import annotations

import math
import sys
import time

import torch

from ganctl import devices
from ganctl.checkpoint import encode
from ganctl.latents import draw
from ganctl.rng import Stream
from ganctl.sampling import drawing_bytes, sample_seeds
from ganctl.training import cadence
from ganctl.training.session import Session
from ganctl.training.step import train_step

_WARM_UP, _TIMED = 2, 5


def estimate(session: Session) -> dict[str, float | int | None]:
    """Return the seconds and bytes that the rest of a run takes; None where unknown.

    A few steps are made, which spoil the session's state. Samples of digits are measured; the time
    that measuring others takes follows from that of the steps.
    """
    config, state = session.config, session.state
    devices.prepare(state.device)
    num_steps = session.total_steps - state.step
    num_epochs = math.ceil(num_steps / session.steps_per_epoch)
    per_step = _time_step(session, number=1)
    if config.r1_weight:  # due in each step whose number r1_interval divides
        per_step += max(0.0, _time_step(session, number=0) - per_step) / config.r1_interval
    num_measured = math.ceil(num_epochs / (config.eval_every or 1))
    if (in_steps := cadence.in_steps(config)) is None:
        once, each = _time_measuring(session)
    else:
        once = each = in_steps * per_step if config.eval_samples else 0.0
    empty = state.checkpoint(history=[], partial={}, data={}, made_by={})
    return {
        "seconds": num_steps * per_step + once + num_measured * each,
        "images_per_sec": config.batch_size / per_step,
        "peak_memory_bytes": _peak_memory(state.device),
        "samples_memory_bytes": drawing_bytes(config.network),
        "checkpoint_bytes": len(encode(empty)),
    }


def _time_step(session: Session, number: int) -> float:
    """Return the mean seconds of a few steps with this number, after a warm-up."""
    config, state = session.config, session.state
    rng = Stream.NOISE.generator(seed=config.seed, step=0, block=0)
    (batch,) = session.dataset.batches(config.batch_size, range(1), seed=config.seed, epoch=0)
    started = 0.0
    for repeat in range(_WARM_UP + _TIMED):
        if repeat == _WARM_UP:
            devices.synchronize(state.device)
            started = time.perf_counter()
        state.step = number
        noise = draw(rng, config.batch_size, config.network.input_dim).to(state.device)
        train_step(state, batch.images(), noise, noise_seed=repeat)
    devices.synchronize(state.device)
    return (time.perf_counter() - started) / _TIMED


def _time_measuring(session: Session) -> tuple[float, float]:
    """Return the seconds that measuring digits takes: once per run, and after each epoch."""
    started = time.perf_counter()
    evaluator = session.evaluator()
    ready = time.perf_counter()
    if evaluator is not None:
        seeds = range(session.config.eval_samples)
        evaluator.measure(sample_seeds(session.state.sampler, seeds, session.config.network))
    return ready - started, time.perf_counter() - ready


def _peak_memory(device: torch.device) -> int | None:
    """Return the peak bytes on the GPU, or of this process; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
