"""The transfer of step metrics from the device into the meter."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from ganctl.history import STEP_METRICS, Meter
from ganctl.training import failures
from ganctl.training.state import TrainState
from ganctl.training.step import StepResult, gradient_names

_READ_SECONDS = 0.1
"""Seconds between two readings on a CPU: often enough for someone who watches."""
_READ_STEPS = 50
"""Steps between two readings on other devices."""


class MetricsReader:
    """A reader that adds up an epoch's metrics and checks that they and gradients are finite."""

    def __init__(self, state: TrainState, meter: Meter, checkpoint: Path) -> None:
        self.meter = meter
        self.recent: Mapping[str, float] = {}
        """Mean of each of STEP_METRICS over the steps that were read last."""
        self._state = state
        self._checkpoint = checkpoint
        gradients = (f"the gradient of {name}" for name in gradient_names(state))
        self._names = [*STEP_METRICS, *gradients]
        self._readback = Readback(state.device)
        self._num_read = state.step
        self._clock = time.monotonic()

    def add(self, measured: StepResult, num_images: int) -> None:
        """Add the metrics of one step on `num_images` images."""
        self._readback.add(torch.cat(measured))
        self.meter.images += num_images

    def read_if_due(self) -> bool:
        """Read the metrics that have arrived, if it is time to; return whether any were read."""
        if self._state.device.type == "cpu":
            is_due = time.monotonic() - self._clock >= _READ_SECONDS
            if is_due:
                self.read_all()
            return is_due
        if self._readback.num_kept >= _READ_STEPS:
            self._readback.send()
        return self._read(self._readback.receive(wait=self._state.device.type != "cuda"))

    def read_all(self) -> None:
        """Wait for the metrics of all steps so far. Raises TrainingError if one is not finite."""
        self._readback.send()
        self._read(self._readback.receive(wait=True))

    def restart_clock(self) -> None:
        """Restart the clock: the time since the last reading is not counted as training time."""
        self._clock = time.monotonic()

    def start_epoch(self) -> None:
        """Start an epoch with an empty meter."""
        self.meter = Meter()
        self.restart_clock()

    def _read(self, rows: list[list[float]]) -> bool:
        for row in rows:
            self._num_read += 1
            self._require_finite(row)
            self.meter.add(row[: len(STEP_METRICS)])
        if rows:
            means = map(fmean, zip(*rows, strict=True))
            self.recent = dict(zip(STEP_METRICS, means, strict=False))
            now = time.monotonic()
            self.meter.seconds += now - self._clock
            self._clock = now
        return bool(rows)

    def _require_finite(self, row: list[float]) -> None:
        values = dict(zip(self._names, row, strict=True))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            name = min(bad, key=_place_in_step)
            kind = "NaN" if math.isnan(values[name]) else "infinite"
            what = f"{name} became {kind}"
            raise failures.divergence_error(what, self._num_read, self._state, self._checkpoint)


def _place_in_step(name: str) -> int:
    """Return the rank of a value in the order of computation: the first bad one caused the rest."""
    return 0 if name == "d_loss" else 1 if "discriminator" in name else 2


class Readback:
    """A queue that copies rows of numbers, tensors (K,) on `device`, to the host, as lists.

    On CUDA neither side waits for the other; elsewhere receiving waits for the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rows: list[Tensor] = []
        self._under_way: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def add(self, row: Tensor) -> None:
        """Keep `row` for the next `send`."""
        self._rows.append(row)

    @property
    def num_kept(self) -> int:
        """Number of rows that wait for the next `send`."""
        return len(self._rows)

    def send(self) -> None:
        """Begin to copy all rows that were added since the last `send`."""
        if not self._rows:
            return
        table = torch.stack(self._rows)
        self._rows.clear()
        if self._device.type != "cuda":
            self._under_way.append((table, None))
            return
        host = torch.empty(table.shape, dtype=table.dtype, pin_memory=True)
        host.copy_(table, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._under_way.append((host, event))

    def receive(self, *, wait: bool) -> list[list[float]]:
        """Return the rows that have arrived or, with `wait`, all that were sent."""
        rows: list[list[float]] = []
        while self._under_way:
            table, event = self._under_way[0]
            if event is not None:
                if wait:
                    event.synchronize()
                elif not event.query():  # type: ignore[no-untyped-call]
                    break
            self._under_way.popleft()
            rows += table.tolist()
        return rows
