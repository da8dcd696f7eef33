"""The files that a training run writes into its folder, and the metrics of its samples."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ganctl.checkpoint import Checkpoint, encode
from ganctl.datasets.dataset import ImageDataset
from ganctl.errors import DataError, PackageError, RunError
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import Meter, Row, best, new_signs, signs
from ganctl.images import Pixels
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory
from ganctl.training import memory
from ganctl.training.callback import CONTINUES, Callback
from ganctl.training.pictures import Pictures, variety
from ganctl.training.state import TrainState

_NUM_COMPARED = 1024
"""Number of real images that the variety of the samples is compared with."""


class Recorder:
    """A recorder of a run's history and files; only the first process of a group writes.

    `data` and `made_by` are what checkpoints say about the images and about what made them.
    """

    def __init__(
        self,
        state: TrainState,
        dataset: ImageDataset,
        run: RunDirectory,
        callbacks: Callback,
        *,
        data: dict[str, Any],
        made_by: dict[str, Any],
        history: Sequence[Row] = (),
        make_evaluator: Callable[[], EpochEvaluator | None] = lambda: None,
    ) -> None:
        self.history = list(history)
        self.last_saved = time.monotonic()
        self._state = state
        self._config = state.config
        self._steps_per_epoch = state.config.steps_per_epoch(len(dataset))
        self._total_steps = state.config.total_steps(len(dataset))
        self._run = run
        self.latest = run.latest
        """The checkpoint that was saved last."""
        self.callbacks = callbacks
        self._data = data
        self._made_by = made_by
        self._make_evaluator = make_evaluator
        self._samples: Pixels | None = None
        """The fixed samples of the epoch that is not reported yet."""
        self._pictures = Pictures(run, state.config, self._report_problem)
        self._real_variety = variety(dataset.evenly_spaced(_NUM_COMPARED))

    def checkpoint(self, meter: Meter) -> Checkpoint:
        """Return the present state as a checkpoint, with the sums of the unfinished epoch."""
        return self._state.checkpoint(
            history=self.history, partial=meter.to_dict(), data=self._data, made_by=self._made_by
        )

    def save(self, meter: Meter) -> None:
        """Write the present state, inside an epoch, as the latest checkpoint."""
        self._write_latest(encode(self.checkpoint(meter)))

    def end_epoch(self, meter: Meter) -> None:
        """Measure, write, draw and report the epoch whose sums are in `meter`."""
        self.history.append(self._row(meter, self._measure()))
        content = encode(self.checkpoint(Meter()))
        epoch, every = self._epoch, self._config.snapshot_every
        # ckpt.pt comes last: a run that is killed before it repeats all of this when resumed.
        if every and self._config.keep and epoch % every == 0:
            self._run.write_snapshot(epoch, content, self._config.keep)
        if best(self.history) is self.history[-1]:
            self._run.write(self._run.best, content)
        self._write_latest(content)
        self.write_losses(self.history)
        self._pictures.draw_if_due(self.history)
        self._report(self.history)

    def end_run(self, meter: Meter, *, is_finished: bool) -> list[Row]:
        """Bring losses.csv and the pictures up to date, report, and return all rows."""
        history = self.conclude(meter, is_finished=is_finished)
        if meter.steps:
            self._report(history)
        return history

    def conclude(self, meter: Meter, *, is_finished: bool) -> list[Row]:
        """Bring losses.csv and the pictures up to date, and return all rows.

        The last row may be that of an epoch that the run ended in: it is shown, but checkpoints
        hold its sums instead.
        """
        history = self.history
        if meter.steps:
            history = [*history, self._row(meter, self._measure() if is_finished else {})]
        try:
            self.write_losses(history)
            self._pictures.draw(history)
        except RunError as error:
            if is_finished:
                raise
            # The state is saved, which is what matters most to a user who stopped the run.
            self._report_problem(str(error))
        return history

    def write_losses(self, history: Sequence[Row]) -> None:
        """Write losses.csv: the history, with a column for the signs of trouble."""
        rows = [{**row, "signs": ", ".join(sign.name for sign in signs(row))} for row in history]
        self._run.write_losses(rows)

    def preview(self) -> bool:
        """Show the present fixed samples inside an epoch, if drawing them takes little time."""
        try:
            with self._state.group.isolated():
                pixels = self._pictures.preview_if_due(self._state.sampler)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            return False  # at the end of the epoch there may be room
        if pixels is not None:
            self.callbacks.on_samples(pixels, self._state.step)
        return pixels is not None

    @property
    def _epoch(self) -> int:
        """Number of the epoch that the last step belonged to, counted from 1."""
        return (self._state.step - 1) // self._steps_per_epoch + 1

    def _row(self, meter: Meter, measured: Mapping[str, float | None]) -> Row:
        return meter.row(
            epoch=self._epoch, step=self._state.step, history=self.history, measured=measured
        )

    def _write_latest(self, content: bytes) -> None:
        self._run.write(self._run.latest, content)
        self.last_saved = time.monotonic()
        self.callbacks.on_save(self._run.latest, self._state.step)

    def _report(self, history: Sequence[Row]) -> None:
        row, samples, self._samples = history[-1], self._samples, None
        self.callbacks.on_epoch(row, samples)
        for sign in new_signs(history):
            self.callbacks.on_warning(f"in epoch {row['epoch']} {sign.meaning}", sign.advice)

    def _report_problem(self, problem: str) -> None:
        self.callbacks.on_warning(problem, CONTINUES)

    def _measure(self) -> dict[str, float | None]:
        """Draw the fixed samples and measure others; nothing if there is no memory for it."""
        try:
            return {"diversity": self._draw_samples(), **self._measure_quality()}
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            self._report_problem(f"out of memory for the samples of epoch {self._epoch}")
            return {}

    def _draw_samples(self) -> float | None:
        """Draw the fixed samples; return their variety relative to that of real images."""
        samples = self._pictures.draw_samples(self._state.sampler, self._epoch)
        self._samples = samples
        self.callbacks.on_samples(samples, self._state.step)
        if len(samples) > 1 and self._real_variety:
            return variety(samples) / self._real_variety
        return None

    def _measure_quality(self) -> dict[str, float | None]:
        """Measure this epoch's samples, if that is due."""
        is_last = self._state.step >= self._total_steps
        is_due = is_last or self._epoch % (self._config.eval_every or 1) == 0
        if not is_due or self._evaluator is None:
            return {}
        seeds = range(self._config.eval_samples)
        samples = sample_seeds(self._state.sampler, seeds, self._config.network)
        return self._evaluator.measure(samples)

    @functools.cached_property
    def _evaluator(self) -> EpochEvaluator | None:
        """The evaluator, made only when samples are first measured, as that takes seconds."""
        try:
            return self._make_evaluator()
        except (DataError, PackageError) as error:  # hours of training are not to end here
            self._report_problem(f"samples are not measured: {error}")
            return None
