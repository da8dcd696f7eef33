"""Epochs, cadence and stopping. Tells an observer what happens and prints nothing."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import torch
from torch import Tensor

from ganctl import history as histories
from ganctl import latents
from ganctl.batch import MicroBatch
from ganctl.checkpoint import Checkpoint, encode
from ganctl.config.schema import TrainConfig
from ganctl.datasets.base import Batch, ImageDataset
from ganctl.errors import RunError, Setting, Text, TrainingError
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import STEP_METRICS, Meter, Row, Sign
from ganctl.images import Pixels
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory
from ganctl.training import memory, pictures
from ganctl.training.noise import NoiseSource
from ganctl.training.pictures import Pictures
from ganctl.training.readback import Readback
from ganctl.training.state import TrainState
from ganctl.training.step import gradient_names, train_step

_READ_EVERY = 50
"""Steps whose metrics are read from a GPU together."""
_READ_SECONDS = 0.1
"""On a CPU they are read by the clock instead, often enough for a person who watches."""
_AGREE_EVERY = 16
"""Steps on a GPU after which a group agrees on whether to stop: the host runs ahead of the device,
and of the others. On a CPU it does after each."""
_NUM_COMPARED = 1024
"""Real images that the samples' variety is compared with."""


@dataclass(frozen=True)
class Progress:
    """Where a training is, after a step."""

    step: int
    total_steps: int
    epoch: int
    """Counted from 1."""
    epochs: int
    step_in_epoch: int
    steps_per_epoch: int
    images_per_sec: float
    recent: Mapping[str, float]
    """Each of STEP_METRICS, its mean over the steps since the last time."""


class Observer(Protocol):
    """What a training tells the world."""

    @property
    def wants_samples(self) -> bool:
        """Whether the samples are to be drawn now and then inside an epoch, too."""

    def on_step(self, progress: Progress) -> None: ...

    def on_samples(self, pixels: Pixels, step: int) -> None:
        """The fixed samples after `step`, uint8 (N, H, W, C)."""

    def on_epoch(self, row: Row) -> None:
        """An epoch ended; or the run did inside one, whose row this is as far as it came."""

    def on_sign(self, row: Row, sign: Sign) -> None:
        """Something is wrong with an epoch that was not with any before."""

    def on_problem(self, problem: str) -> None:
        """Something failed that the training can go on without."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    history: list[Row]
    """One row an epoch, the last one unfinished where the run ended inside an epoch."""
    finished: bool
    """False: it was stopped."""


class Training:
    """One run from its present state to its end, or until `should_stop` says so.

    In a group every process trains, and the first one alone writes and tells.

    Everything that is written depends on (config, weights, optimizers, step) alone, except for
    times: stopped at any step and resumed, a run ends with the same bits as one never stopped.
    """

    def __init__(
        self,
        state: TrainState,
        dataset: ImageDataset,
        run: RunDirectory,
        observer: Observer,
        *,
        data: dict[str, Any],
        made_by: dict[str, Any],
        history: list[Row] | None = None,
        partial: dict[str, Any] | None = None,
        save_every: float = 120.0,
        should_stop: Callable[[], bool] = lambda: False,
        make_gauge: Callable[[], EpochEvaluator | None] = lambda: None,
    ) -> None:
        self.state = state
        self.group = state.group
        self.config: TrainConfig = state.config
        self.dataset = dataset
        self.run = run
        self.observer = observer
        self.data = data
        self.made_by = made_by
        self.history: list[Row] = list(history or [])
        self.meter = Meter.from_dict(partial or {})
        self.save_every = save_every
        self.should_stop = should_stop
        self._make_gauge = make_gauge
        self.steps_per_epoch = self.config.steps_per_epoch(len(dataset))
        self.total_steps = self.config.total_steps(len(dataset))
        self._measured = (*STEP_METRICS, *(f"the gradient of {n}" for n in gradient_names(state)))
        self._variety = pictures.variety(dataset.some(_NUM_COMPARED))
        self._metrics = Readback(state.device)
        self._num_read = state.step
        """Steps whose metrics are in the meter, or in one before it."""
        self._recent: Mapping[str, float] = {}
        self._noise = NoiseSource(self.config, state.device)
        self._pictures = Pictures(run, self.config, observer.on_problem)
        self._clock = self._last_saved = time.monotonic()

    def execute(self) -> Outcome:
        """Train. Raises TrainingError where a loss or a weight is no longer a number."""
        finished = True
        self._clock = self._last_saved = time.monotonic()
        if self.state.step == 0:
            self._save()
        else:  # rows past the checkpoint may stand there, of a run that ended in mid-epoch
            self.group.run_on_first(lambda: self._write_losses(self.history))
        while finished and self.state.step < self.total_steps:
            finished = self._epoch()
        return self.group.run_on_first(self._end) or Outcome([], finished)

    def _end(self) -> Outcome:
        outcome = self.conclude()
        if self.meter.steps:
            self._tell(outcome.history)
        return outcome

    def conclude(self) -> Outcome:
        """Bring the table and the pictures up to the present state."""
        finished = self.state.step >= self.total_steps
        history = self.history
        if self.meter.steps:  # stopped inside an epoch: shown, but not part of the checkpoint
            seen = self._look_at_samples() if finished else {}
            history = [*history, self._row(seen)]
        try:
            self._write_losses(history)
            self._pictures.draw(history)
        except RunError as error:
            if finished:
                raise
            # The state is saved, and whoever stopped the training is to hear that first of all.
            self.observer.on_problem(str(error))
        return Outcome(history, finished)

    def _epoch(self) -> bool:
        """The rest of the epoch that the state is in; False if it was stopped."""
        epoch, first = divmod(self.state.step, self.steps_per_epoch)
        last = min(self.steps_per_epoch, self.total_steps - epoch * self.steps_per_epoch)
        numbers = range(first, last)
        batches = self.dataset.batches(
            self.config.batch_size,
            numbers,
            seed=self.config.seed,
            epoch=epoch,
            share=self.group.share,
        )
        for index, batch in zip(numbers, batches, strict=True):
            self._step(batch)
            if index + 1 == last:
                self._read_metrics()
            if self._read_some() or index + 1 == last:
                self.observer.on_step(self._progress(epoch, index + 1))
                if self.observer.wants_samples and index + 1 < last:
                    self._preview()
            ends_epoch = index + 1 == self.steps_per_epoch
            if ends_epoch:
                self._end_epoch()
            should_stop, overdue = self._agreed()
            if should_stop and self.state.step < self.total_steps:
                if not ends_epoch:
                    self._save()
                return False
            if not ends_epoch and (overdue or index + 1 == last):
                self._save()
        return True

    def _agreed(self) -> tuple[bool, bool]:
        """Whether to stop, and whether to save: the same in all processes."""
        on_cpu = self.state.device.type == "cpu"
        if self.group.size > 1 and not on_cpu and self.state.step % _AGREE_EVERY:
            return False, False
        overdue = time.monotonic() - self._last_saved >= self.save_every
        should_stop, overdue = self.group.any(self.should_stop(), overdue and self.group.is_first)
        return should_stop, overdue

    def _step(self, batch: Batch) -> None:
        part = MicroBatch.whole(batch.size, self.config.batch_size).share(self.group.share)
        noise = self._noise.of_step(self.state.step, part.fake_rows.ranges)
        measured = None
        try:
            measured = train_step(
                self.state,
                batch.images(noise.mirrored),
                self._inputs(noise.latents, batch.labels, part),
                noise.seed,
                part,
            )
        except Exception as error:
            if _is_of_compiler(error):
                said = " ".join(str(error).split("\n\n")[0].split())
                raise TrainingError(
                    f"torch.compile fails here: {said[:200]}",
                    Text("Begin anew elsewhere without {}.", Setting("compile", True)),
                ) from None
            if not memory.is_out_of_memory(error):
                raise
        if measured is None:  # only here is all that the step held let go of
            raise self._out_of_memory()
        self._metrics.add(torch.cat(measured))
        self.meter.images += batch.size

    def _inputs(self, noise: Tensor, labels: Tensor, part: MicroBatch) -> Tensor:
        """What a part's fakes are made from: `noise`, and their classes.

        These are the `labels` of the reals beside them, or of fakes beyond those each in turn.
        """
        own = noise.to(self.state.device, non_blocking=True)
        count = self.config.network.num_classes
        if not count:
            return own
        if len(part.extra):
            beyond = torch.arange(part.extra.start, part.extra.stop, device=labels.device)
            labels = torch.cat([labels, beyond % count])
        return latents.with_classes(own, labels, count)

    def _read_some(self) -> bool:
        """Read the metrics if it is time to; whether any came."""
        if self.state.device.type == "cpu":
            due = time.monotonic() - self._clock >= _READ_SECONDS
            if due:
                self._read_metrics()
            return due
        if self._metrics.num_kept >= _READ_EVERY:
            self._metrics.send()
        return self._count(self._metrics.receive(wait=self.state.device.type != "cuda"))

    def _read_metrics(self) -> None:
        """Bring the metrics of all steps so far to the host, which waits for them."""
        self._metrics.send()
        self._count(self._metrics.receive(wait=True))

    def _count(self, rows: list[list[float]]) -> bool:
        """Add the metrics of the next steps to the meter; each must be a number."""
        for row in rows:
            bad = [n for n, x in zip(self._measured, row, strict=True) if not math.isfinite(x)]
            self._num_read += 1
            if bad:
                name = min(bad, key=_turn)
                kind = "NaN" if math.isnan(row[self._measured.index(name)]) else "infinite"
                raise self._went_wrong(f"{name} became {kind}", self._num_read)
            self.meter.add(row[: len(STEP_METRICS)])
        if rows:
            means = map(fmean, zip(*rows, strict=True))
            self._recent = dict(zip(STEP_METRICS, means, strict=False))
            now = time.monotonic()
            self.meter.seconds += now - self._clock
            self._clock = now
        return bool(rows)

    def _went_wrong(self, what: str, step: int) -> TrainingError:
        return TrainingError(
            f"{what} at step {step}; the training was stopped there",
            Text(
                "The last good checkpoint is {}. Begin anew elsewhere with lower learning rates "
                "({} {})" + (" or {}." if self.config.precision == "bf16" else "."),
                self.run.latest,
                Setting("lr_g", self.config.lr_g / 4),
                Setting("lr_d", self.config.lr_d / 4),
                Setting("precision", "fp32"),
            ),
        )

    def _out_of_memory(self) -> TrainingError:
        step = self.state.step + 1
        if self.group.size > 1:  # the others are in the middle of a step, and would take part
            return TrainingError(
                f"out of memory at step {step}, in one of {self.group.size} processes, with a "
                f"batch of {self.config.batch_size} for all of them",
                Text(
                    "Begin anew elsewhere with a smaller {}, with more processes, or with {}.",
                    Setting("batch_size"),
                    Setting("accumulate", 2 * self.config.accumulate),
                ),
            )
        size = memory.find_fitting_batch(self.state)
        if size:
            hint = Text(
                "Begin anew elsewhere with {}, which should fit, or with {}, which "
                "takes longer, but changes little else.",
                Setting("batch_size", size),
                Setting("accumulate", math.ceil(self.config.batch_size / size)),
            )
        else:
            hint = Text(
                "Not even a batch of 2 fits: free some memory, or make the networks "
                "smaller, for example with {}.",
                Setting("base_channels", max(1, self.config.network.base_channels // 4)),
            )
        return TrainingError(
            f"out of memory at step {step}, with a batch of {self.config.batch_size}", hint
        )

    def _end_epoch(self) -> None:
        self._require_finite()  # before anything shows what is not
        self.group.run_on_first(self._record_epoch)
        self.meter = Meter()

    def _record_epoch(self) -> None:
        row = self._row(self._look_at_samples())
        self.history.append(row)
        self.meter = Meter()
        self._write(snapshot=row["epoch"])
        self._write_losses(self.history)
        self._pictures.draw_now_and_then(self.history)
        self._tell(self.history)
        self._clock = time.monotonic()

    def _tell(self, history: list[Row]) -> None:
        """The last epoch, and what is wrong with it that was not before."""
        row = history[-1]
        self.observer.on_epoch(row)
        for sign in histories.new_signs(history):
            self.observer.on_sign(row, sign)

    @property
    def _epoch_number(self) -> int:
        """Of the epoch that the last step belonged to, counted from 1."""
        return (self.state.step - 1) // self.steps_per_epoch + 1

    def _row(self, seen: Row) -> Row:
        return self.meter.row(
            epoch=self._epoch_number, step=self.state.step, history=self.history, measured=seen
        )

    def _progress(self, epoch: int, step_in_epoch: int) -> Progress:
        return Progress(
            step=self.state.step,
            total_steps=self.total_steps,
            epoch=epoch + 1,
            epochs=self.config.total_epochs(len(self.dataset)),
            step_in_epoch=step_in_epoch,
            steps_per_epoch=self.steps_per_epoch,
            images_per_sec=self.meter.images_per_sec,
            recent=self._recent,
        )

    def checkpoint(self) -> Checkpoint:
        """The present state as it is saved."""
        return Checkpoint(
            config=self.config,
            step=self.state.step,
            history=self.history,
            partial=self.meter.to_dict(),
            data=self.data,
            made_by=self.made_by,
            **self.state.weights(),  # type: ignore[arg-type]
            **self.state.moments(),  # type: ignore[arg-type]
        )

    def _save(self) -> None:
        """Write the state; never one that holds anything but numbers."""
        self._read_metrics()
        self._require_finite()
        self.group.run_on_first(self._write)

    def _write(self, snapshot: int | None = None) -> None:
        content = encode(self.checkpoint())
        every = self.config.snapshot_every
        # Before the latest: a run that ends between the two makes its way here again.
        if snapshot is not None and every and self.config.keep and snapshot % every == 0:
            self.run.write_snapshot(snapshot, content, self.config.keep)
        if snapshot is not None and self._is_best():
            self.run.write(self.run.best, content)
        self.run.write(self.run.latest, content)
        self._last_saved = self._clock = time.monotonic()

    def _require_finite(self) -> None:
        """TrainingError unless the whole state is numbers."""
        for name, tensor in self.state.tensors():
            if not bool(torch.isfinite(tensor).all()):
                raise self._went_wrong(f"{name} was no longer finite", self.state.step)

    def _is_best(self) -> bool:
        """Whether the last epoch's samples were nearer to real images than any before."""
        return histories.best(self.history) is self.history[-1]

    def _preview(self) -> None:
        """Show the samples as they are inside an epoch, in time that is no update's."""
        started = time.monotonic()
        try:
            with self.group.isolated():
                pixels = self._pictures.preview_now_and_then(self.state.sampler)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            return  # at the epoch's end there may be room
        if pixels is not None:
            self.observer.on_samples(pixels, self.state.step)
            self._clock += time.monotonic() - started

    def _look_at_samples(self) -> Row:
        """`_look`, or nothing where there is no memory for it: that ends no training."""
        try:
            return self._look()
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            self.observer.on_problem(f"out of memory for the samples of epoch {self._epoch_number}")
            return {}

    def _look(self) -> Row:
        """Draw the fixed samples and measure those that nobody sees, for a row of the history."""
        samples = self._pictures.draw_samples(self.state.sampler, self._epoch_number)
        self.observer.on_samples(samples, self.state.step)
        diversity = None  # 1 is as varied as the real images
        if len(samples) > 1 and self._variety:
            diversity = pictures.variety(samples) / self._variety
        return {"diversity": diversity, **self._measure_samples()}

    def _measure_samples(self) -> Row:
        if self._gauge is None:
            return {}
        seeds = range(self.config.eval_samples)
        return self._gauge.measure(sample_seeds(self.state.sampler, seeds, self.config.network))

    @functools.cached_property
    def _gauge(self) -> EpochEvaluator | None:
        # Not before the first epoch's end: it takes seconds.
        return self._make_gauge()

    def _write_losses(self, history: list[Row]) -> None:
        """losses.csv, with a column more than the checkpoint needs: what is wrong, in words."""
        self.run.write_losses(
            [{**row, "signs": ", ".join(s.name for s in histories.signs(row))} for row in history]
        )


def _is_of_compiler(error: Exception) -> bool:
    """Whether torch.compile could not do its work, for want of a C++ compiler for one."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


def _turn(measured: str) -> int:
    """When in a step it comes about: what went wrong first is the cause of the rest."""
    return 0 if measured == "d_loss" else 1 if "discriminator" in measured else 2
