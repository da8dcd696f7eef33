"""All measurements of `ganctl bench`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganctl import devices, machine
from ganctl.bench import images, quality, steps
from ganctl.bench.record import record_for
from ganctl.bench.timing import Rate, explain
from ganctl.datasets.dataset import Progress
from ganctl.training.provenance import computed_by


@dataclass(frozen=True)
class Budget:
    """The seconds that each part may take, and what it measures in them."""

    steps: float
    sampling: float
    decoding: float
    quality: float
    num_rounds: int
    targets: tuple[float, ...]
    """Frechet distances, in falling order."""
    resolution: float
    """Relative exactness of the times to a quality."""


WHOLE = Budget(steps=120, sampling=12, decoding=12, quality=240,
               num_rounds=5, targets=(5.0, 1.0, 0.3), resolution=0.03)  # fmt: skip
QUICK = Budget(steps=10, sampling=2, decoding=2, quality=34,
               num_rounds=2, targets=(5.0, 1.0), resolution=0.1)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What was measured: values as in docs/json.md."""

    made_by: dict[str, Any]
    """Device, machine and versions."""
    quick: bool
    steps: list[dict[str, Any]]
    sampling: list[dict[str, Any]]
    decoding: list[dict[str, Any]]
    quality: dict[str, Any] | None
    quality_problem: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object, `problems` included."""
        return {**asdict(self), "problems": self.problems()}

    def problems(self) -> list[str]:
        """Return what did not work, a line each."""
        return [*self._problems()]

    def _problems(self) -> Iterator[str]:
        for part in (self.steps, self.sampling, self.decoding):
            yield from (f"{row['name']}: {row['problem']}" for row in part if row["problem"])
        if self.quality_problem:
            yield f"time to quality: {self.quality_problem}"


def measure(device_name: str, *, quick: bool, progress: Progress) -> Measured:
    """Measure this machine; what fails is a problem in the result, and the rest goes on.

    Restores torch's own number of threads. Raises UsageError or DeviceError if there is no such
    device.
    """
    device = devices.resolve_device(device_name)
    devices.prepare(device)
    budget = QUICK if quick else WHOLE
    before = torch.get_num_threads()
    try:
        return _measure(device, budget, quick, progress)
    finally:
        devices.use_threads(before)


def _measure(device: torch.device, budget: Budget, quick: bool, progress: Progress) -> Measured:
    num_threads, rounds = torch.get_num_threads(), budget.num_rounds
    made_by = computed_by(device)
    chosen = steps.ways(device, quick=quick)
    rates = steps.time_steps(chosen, device, budget.steps, rounds, progress)
    timed = [_step_row(way, rate) for way, rate in zip(chosen, rates, strict=True)]
    devices.use_threads(num_threads)
    cases = images.sampled_cases(quick=quick)
    drawn = images.time_sampling(cases, device, budget.sampling, rounds, progress)
    numbers = images.numbers_of_processes()
    decoded = images.time_decoding(numbers, budget.decoding, rounds, progress)
    found, problem = _quality(device, budget, progress)
    return Measured(
        made_by, quick, timed,
        [_sampling_row(*case, rate) for case, rate in zip(cases, drawn, strict=True)],
        [_decoding_row(number, rate) for number, rate in zip(numbers, decoded, strict=True)],
        found, problem,
    )  # fmt: skip


def is_busy() -> bool:
    """Return whether other programs use cores of this machine, so that figures will be low."""
    return machine.num_idle_cores() < machine.num_cores()


def _step_row(way: steps.Way, rate: Rate) -> dict[str, Any]:
    size = steps.config_of(way).batch_size
    return {
        "name": str(way), "preset": way.preset, "image_shape": [*way.image_shape],
        "batch_size": size, "precision": way.precision, "threads": way.threads,
        "graphs": way.graphs, "steps_per_sec": _rounded(rate.per_sec),
        "images_per_sec": _rounded(rate.per_sec, size), "problem": rate.problem,
    }  # fmt: skip


def _sampling_row(name: str, shape: tuple[int, int, int], rate: Rate) -> dict[str, Any]:
    channels, height, width = shape
    return {
        "name": f"samples of {name}, {height}x{width}x{channels}", "preset": name,
        "image_shape": [*shape], "images_per_sec": _rounded(rate.per_sec), "problem": rate.problem,
    }  # fmt: skip


def _decoding_row(number: int, rate: Rate) -> dict[str, Any]:
    sizes = f"{images.FILE_SIDE}x{images.FILE_SIDE} to {images.DECODED_SIDE}x{images.DECODED_SIDE}"
    return {
        "name": f"JPEG, {sizes}", "processes": number, "images_per_sec": _rounded(rate.per_sec),
        "problem": rate.problem,
    }  # fmt: skip


def _quality(
    device: torch.device, budget: Budget, progress: Progress
) -> tuple[dict[str, Any] | None, str | None]:
    try:
        found = quality.time_to(
            budget.targets, device, seconds=budget.quality, resolution=budget.resolution,
            progress=progress,
        )  # fmt: skip
    except Exception as error:
        return None, explain(error)
    config = found.config
    rows = []
    for each in found.reached:
        record = record_for(device.type, each.target)
        rows.append({
            "target": each.target, "seconds": _rounded(each.seconds), "step": each.step,
            "frechet_distance": _rounded(each.frechet_distance),
            "record": None if record is None else record._asdict(),
        })  # fmt: skip
    return {
        "preset": config.preset, "seed": config.seed, "batch_size": config.batch_size,
        "precision": config.precision, "threads": config.threads, "graphs": found.graphs,
        "num_samples": quality.NUM_SAMPLES, "trained_seconds": _rounded(found.trained_seconds),
        "reached": rows,
    }, None  # fmt: skip


def _rounded(value: float | None, factor: float = 1) -> float | None:
    """Return a value to four digits, which is more than any clock is worth; None if unknown."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value * factor:.4g}")
