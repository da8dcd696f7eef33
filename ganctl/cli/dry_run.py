"""ganctl train --dry-run: what would be trained, and what it would take."""

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
from ganctl.inspection.checkpoint import describe_networks
from ganctl.latents import draw
from ganctl.rng import Stream
from ganctl.sampling import drawing_bytes, sample_seeds
from ganctl.text import counted, duration, in_bytes
from ganctl.training.session import Session
from ganctl.training.step import train_step

_WARM_UP, _TIMED = 2, 5


def dry_run(session: Session, terminal: Terminal) -> None:
    """Show the resolved configuration, the networks, and an estimate of time and memory.

    The estimate is measured: a few updates of networks that are thrown away afterwards, and one
    epoch's end.
    """
    config = session.config
    steps = session.total_steps - session.state.step
    steps_per_epoch = config.steps_per_epoch(len(session.dataset))
    devices.prepare(session.state.device)
    seconds_a_step = _time_steps(session)
    seconds_once, seconds_an_epoch = _time_looking(session)
    seconds = steps * seconds_a_step + seconds_once
    seconds += math.ceil(steps / steps_per_epoch) * seconds_an_epoch
    checkpoint_bytes = _checkpoint_bytes(session)
    report = {
        "config": settings(config),
        "device": devices.describe(session.state.device),
        "out": str(session.run.path),
        "data": {"name": session.dataset.name, "num_images": len(session.dataset)},
        "steps": steps,
        "steps_per_epoch": steps_per_epoch,
        **describe_networks(config.network),
        "estimate": {
            "seconds": seconds,
            "images_per_sec": config.batch_size / seconds_a_step,
            "peak_memory_bytes": _peak_memory(session),
            "samples_memory_bytes": drawing_bytes(config.network),
            "checkpoint_bytes": checkpoint_bytes,
        },
    }
    if terminal.json_wanted:
        terminal.document(report)
    else:
        _show(report, terminal)


def _time_steps(session: Session) -> float:
    """Seconds an update takes, a mean with its share of penalties; spoils the session's state."""
    config = session.config
    plain = _time_step(session, number=1)
    if not config.r1_weight:
        return plain
    with_penalty = _time_step(session, number=0)
    return plain + max(0.0, with_penalty - plain) / config.r1_interval


def _time_step(session: Session, number: int) -> float:
    """Seconds that the update with this number takes, the mean of a few after a warm-up."""
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


def _time_looking(session: Session) -> tuple[float, float]:
    """Seconds that go into measuring samples: once a run, and after each epoch."""
    started = time.perf_counter()
    gauge = session.gauge()
    ready = time.perf_counter()
    if gauge is not None:
        seeds = range(session.config.eval_samples)
        gauge.measure(sample_seeds(session.state.sampler, seeds, session.config.network))
    return ready - started, time.perf_counter() - ready


def _peak_memory(session: Session) -> int | None:
    """Bytes at the peak of all that, on the GPU or of this process; None where unknown."""
    if session.state.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(session.state.device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _checkpoint_bytes(session: Session) -> int:
    state = session.state
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
    rows = [(name, format_setting(value)) for name, value in report["config"].items()]
    terminal.table(("setting", "value"), rows, left=2)
    show_networks(report, terminal)
    estimate = report["estimate"]
    memory = estimate["peak_memory_bytes"]
    terminal.heading("estimate, from a few updates and an epoch's end, thrown away")
    terminal.table(
        ("", ""),
        [
            ("device", report["device"]),
            ("data", f"{report['data']['name']}, {counted(report['data']['num_images'], 'image')}"),
            ("steps", f"{report['steps']:,} ({report['steps_per_epoch']:,} an epoch)"),
            (
                "time",
                f"{duration(estimate['seconds'])}, {estimate['images_per_sec']:,.0f} images/s",
            ),
            ("memory", in_bytes(memory) if memory else "not known on this system"),
            ("for samples", f"{in_bytes(estimate['samples_memory_bytes'])} of it at most"),
            ("disk", f"{in_bytes(estimate['checkpoint_bytes'])} a checkpoint, in {report['out']}"),
        ],
        left=2,
    )
    terminal.note("Dry run: nothing was trained, nothing was written.")
