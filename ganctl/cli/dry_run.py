"""ganctl train --dry-run: the resolved settings, and an estimate of time and memory."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import torch

from ganctl import devices
from ganctl.checkpoint import Checkpoint, encode
from ganctl.cli.inspection import show_networks
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import format_setting, settings
from ganctl.config.sources import Merged
from ganctl.inspection.checkpoint import describe_networks
from ganctl.latents import draw
from ganctl.rng import Stream
from ganctl.sampling import drawing_bytes, sample_seeds
from ganctl.text import counted, duration, in_bytes
from ganctl.training.session import Session
from ganctl.training.state import TrainState
from ganctl.training.step import train_step

_WARM_UP, _TIMED = 2, 5


def show_dry_run(session: Session, terminal: Terminal, merged: Merged) -> None:
    """Show the settings and why each has its value, the networks, and what training would take.

    Time and memory are measured: a few steps, which spoil the session's state, and one epoch's end.
    """
    config = session.config
    steps = session.total_steps - session.state.step
    devices.prepare(session.state.device)
    seconds_per_step = _time_steps(session)
    seconds_per_run, seconds_per_epoch = _time_measuring(session)
    seconds = steps * seconds_per_step + seconds_per_run
    seconds += math.ceil(steps / session.steps_per_epoch) * seconds_per_epoch
    if session.resumed_from:
        reasons = dict.fromkeys(settings(config), "checkpoint")
        reasons |= {name: merged.sources[name] for name in merged.changes}
    else:
        reasons = merged.sources | session.reasons
    report = {
        "config": settings(config),
        "reasons": reasons,
        "device": devices.describe(session.state.device),
        "out": str(session.run.path),
        "data": {"name": session.dataset.name, "num_images": len(session.dataset)},
        "steps": steps,
        "steps_per_epoch": session.steps_per_epoch,
        **describe_networks(config.network),
        "estimate": {
            "seconds": seconds,
            "images_per_sec": config.batch_size / seconds_per_step,
            "peak_memory_bytes": _peak_memory(session.state.device),
            "samples_memory_bytes": drawing_bytes(config.network),
            "checkpoint_bytes": _checkpoint_bytes(session.state),
        },
    }
    if terminal.json_wanted:
        terminal.document(report)
    else:
        _show(report, terminal)


def _time_steps(session: Session) -> float:
    """Return the mean seconds per step, with its share of R1 penalties."""
    config = session.config
    plain = _time_step(session, number=1)
    if not config.r1_weight:
        return plain
    return plain + max(0.0, _time_step(session, number=0) - plain) / config.r1_interval


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
    """Return the seconds that measuring samples takes: once per run, and after each epoch."""
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


def _checkpoint_bytes(state: TrainState) -> int:
    return len(
        encode(
            Checkpoint(
                config=state.config, step=0, history=[], partial={}, data={}, made_by={},
                **state.weights(),  # type: ignore[arg-type]
                **state.moments(),  # type: ignore[arg-type]
            )
        )
    )  # fmt: skip


def _show(report: dict[str, Any], terminal: Terminal) -> None:
    terminal.heading("configuration")
    terminal.table(
        ("setting", "value", "why"),
        [
            (name, format_setting(value), report["reasons"].get(name, ""))
            for name, value in report["config"].items()
        ],
        left=3,
    )
    show_networks(report, terminal)
    data, estimate = report["data"], report["estimate"]
    memory = estimate["peak_memory_bytes"]
    terminal.heading("estimate (from a short trial run, discarded)")
    rows = {
        "device": report["device"],
        "data": f"{data['name']}, {counted(data['num_images'], 'image')}",
        "steps": f"{report['steps']:,} ({report['steps_per_epoch']:,} per epoch)",
        "time": f"{duration(estimate['seconds'])}, {estimate['images_per_sec']:,.0f} images/s",
        "memory": in_bytes(memory) if memory else "unknown on this system",
        "for samples": f"at most {in_bytes(estimate['samples_memory_bytes'])} of it",
        "disk": f"{in_bytes(estimate['checkpoint_bytes'])} per checkpoint, in {report['out']}",
    }
    terminal.table(("", ""), rows.items(), left=2)
    terminal.note("Dry run: nothing was trained, nothing was written.")
