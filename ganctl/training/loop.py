"""The training loop: epochs, and when to read metrics, save and stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganctl import latents
from ganctl.batch import MicroBatch
from ganctl.config.schema import NetworkConfig
from ganctl.datasets.dataset import Batch, ImageDataset
from ganctl.history import Meter, Row
from ganctl.training import failures, memory
from ganctl.training.callback import Progress
from ganctl.training.graphs import GraphedSteps
from ganctl.training.noise import NoiseSource
from ganctl.training.readback import MetricsReader
from ganctl.training.recorder import Recorder
from ganctl.training.state import TrainState
from ganctl.training.step import train_step

_AGREE_EVERY = 16
"""Steps on a GPU after which a group agrees on whether to stop: the host runs ahead of the device
and of other processes. On a CPU it agrees after every step."""


@dataclass(frozen=True)
class Outcome:
    """The end of a run: its history, and whether it is finished."""

    history: list[Row]
    """One row per epoch; the last one is incomplete if the run ended inside an epoch."""
    finished: bool
    """Whether the run reached its planned length; otherwise it was stopped."""


class Training:
    """The training of a run from its present state to its end, or until `should_stop()`.

    In a group every process trains, and the first one alone writes and reports.

    Everything that is written depends on (config, weights, optimizers, step) alone, except for
    times: stopped at any step and resumed, a run ends with the same bits as one never stopped.
    """

    def __init__(
        self,
        state: TrainState,
        dataset: ImageDataset,
        recorder: Recorder,
        meter: Meter,
        *,
        save_every: float,
        should_stop: Callable[[], bool],
        graphed: GraphedSteps | None = None,
    ) -> None:
        self.state, self.group, self.config = state, state.group, state.config
        self.dataset = dataset
        self.recorder = recorder
        self.metrics = MetricsReader(state, meter, recorder.latest)
        self.steps_per_epoch = self.config.steps_per_epoch(len(dataset))
        self.total_steps = self.config.total_steps(len(dataset))
        self._save_every = save_every
        self._should_stop = should_stop
        self._graphed = graphed
        self._noise = NoiseSource(self.config, state.device)

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached its planned length."""
        return self.state.step >= self.total_steps

    def execute(self) -> Outcome:
        """Train. Raises TrainingError if a loss, a gradient or a weight is not finite."""
        self.metrics.restart_clock()
        if self.state.step == 0:
            self._save()
        else:  # it may have rows past the checkpoint, of a run that ended inside an epoch
            self.group.run_on_first(lambda: self.recorder.write_losses(self.recorder.history))
        is_stopped = False
        while not is_stopped and not self.is_finished:
            is_stopped = self._train_epoch()
        history = self.group.run_on_first(
            lambda: self.recorder.end_run(self.metrics.meter, is_finished=self.is_finished)
        )
        return Outcome(history or [], self.is_finished)

    def _train_epoch(self) -> bool:
        """Train for the rest of the present epoch; return whether the run was stopped."""
        epoch, first = divmod(self.state.step, self.steps_per_epoch)
        end = min(self.steps_per_epoch, self.total_steps - epoch * self.steps_per_epoch)
        batches = self.dataset.batches(
            self.config.batch_size,
            range(first, end),
            seed=self.config.seed,
            epoch=epoch,
            share=self.group.share,
        )
        for step_in_epoch, batch in zip(range(first + 1, end + 1), batches, strict=True):
            self._train_step(batch)
            self._read_metrics(is_last=step_in_epoch == end)
            ends_epoch = step_in_epoch == self.steps_per_epoch
            if ends_epoch:
                self._end_epoch()
            should_stop, should_save = self._agree()
            should_stop = should_stop and not self.is_finished
            if not ends_epoch and (should_stop or should_save or step_in_epoch == end):
                self._save()
            if should_stop:
                return True
        return False

    def _train_step(self, batch: Batch) -> None:
        own = MicroBatch.whole(batch.size, self.config.batch_size).share(self.group.share)
        noise = self._noise.draw(self.state.step, own.fake_rows)
        measured = None
        try:
            images = batch.images(noise.mirrored)
            drawn = noise.latents.to(self.state.device, non_blocking=True)
            inputs = generator_inputs(self.config.network, drawn, batch.labels, own)
            if self._graphed is not None:
                measured = self._graphed.step(images, inputs, noise.seed)
            else:
                measured = train_step(self.state, images, inputs, noise.seed, own)
        except Exception as error:
            if failed := failures.compiler_error(error):
                raise failed from None
            if not memory.is_out_of_memory(error):
                raise
        if measured is None:  # not in the except clause, where the step's tensors are still held
            raise failures.out_of_memory_error(self.state)
        self.metrics.add(measured, batch.size)

    def _read_metrics(self, *, is_last: bool) -> None:
        """Read metrics and report progress if it is time to, and always after the last step."""
        if is_last:
            self.metrics.read_all()
        if not (self.metrics.read_if_due() or is_last):
            return
        epoch, done_before = divmod(self.state.step - 1, self.steps_per_epoch)
        self.recorder.callbacks.on_step(
            Progress(
                step=self.state.step,
                total_steps=self.total_steps,
                epoch=epoch + 1,
                epochs=self.config.total_epochs(len(self.dataset)),
                step_in_epoch=done_before + 1,
                steps_per_epoch=self.steps_per_epoch,
                images_per_sec=self.metrics.meter.images_per_sec,
                recent=self.metrics.recent,
            )
        )
        if self.recorder.callbacks.wants_samples and not is_last and self.recorder.preview():
            self.metrics.restart_clock()

    def _end_epoch(self) -> None:
        failures.require_finite(self.state, self.recorder.latest)  # before anything of it is shown
        self.group.run_on_first(lambda: self.recorder.end_epoch(self.metrics.meter))
        self.metrics.start_epoch()

    def _agree(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save, the same in all processes."""
        on_cpu = self.state.device.type == "cpu"
        if self.group.size > 1 and not on_cpu and self.state.step % _AGREE_EVERY:
            return False, False
        is_overdue = time.monotonic() - self.recorder.last_saved >= self._save_every
        should_stop, should_save = self.group.any(
            self._should_stop(), is_overdue and self.group.is_first
        )
        return should_stop, should_save

    def _save(self) -> None:
        """Save a checkpoint, unless a number in it is not finite."""
        self.metrics.read_all()
        failures.require_finite(self.state, self.recorder.latest)
        self.group.run_on_first(lambda: self.recorder.save(self.metrics.meter))
        self.metrics.restart_clock()


def generator_inputs(
    network: NetworkConfig, noise: Tensor, labels: Tensor, own: MicroBatch
) -> Tensor:
    """Return latents for the fakes of a micro-batch: `noise`, and classes if it has any.

    Fakes have the `labels` of the real images beside them; extra ones take classes in turn. All are
    on one device.
    """
    count = network.num_classes
    if not count:
        return noise
    if len(own.extra):
        extra = torch.arange(own.extra.start, own.extra.stop, device=labels.device)
        labels = torch.cat([labels, extra % count])
    return latents.with_classes(noise, labels, count)
