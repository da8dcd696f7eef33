"""A training run that is ready to start, made from a config or from a run directory."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganctl import devices, features, private_folders
from ganctl.config.resolve import followed, resolve
from ganctl.config.schema import (
    MIN_MEASURED,
    TrainConfig,
    from_dict,
    override,
    settings,
    to_dict,
)
from ganctl.datasets import loading
from ganctl.datasets.dataset import ImageDataset, Progress, Rows
from ganctl.datasets.local import trained
from ganctl.distributed.group import SINGLE, TIMEOUT, Group
from ganctl.errors import CheckpointError, RunError, Setting, Text, UsageError
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import Meter, Row
from ganctl.images import Pixels
from ganctl.networks import first_layers
from ganctl.store import IntactCheckpoint, RunDirectory, errors_about, newest_intact
from ganctl.text import counted
from ganctl.training import cadence, data, graphs, memory, resuming, threads, workers
from ganctl.training.callback import Callback, Callbacks, End, Start
from ganctl.training.loop import Outcome, Training
from ganctl.training.origin import Beginning, Origin
from ganctl.training.provenance import computed_by, differences
from ganctl.training.recorder import Recorder
from ganctl.training.state import TrainState, create, restore

CACHE_MEMORY = 4 * 2**30
"""Default limit on the bytes of images that are kept on the device."""


@dataclass
class Session:
    """A training run that is ready to start; nothing has been written yet."""

    run: RunDirectory
    state: TrainState
    dataset: ImageDataset
    history: list[Row] = field(default_factory=list)
    partial: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    notices: list[str | Text] = field(default_factory=list)
    """Notes for the user before the run starts."""
    warnings: list[str] = field(default_factory=list)
    """Problems, actual or possible, that do not prevent training."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Reasons for values that the user did not choose, by setting."""
    resumed_from: IntactCheckpoint | None = None
    beginning: Beginning | None = None
    """What a new run took from another checkpoint."""

    @property
    def config(self) -> TrainConfig:
        """The resolved config, in which nothing is left open."""
        return self.state.config

    @property
    def group(self) -> Group:
        """The processes that train together."""
        return self.state.group

    @property
    def num_threads(self) -> int | None:
        """Number of CPU threads of this process that compute; None if torch's number."""
        return workers.threads_per_process(self.config.threads, self.group.local_size)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch."""
        return self.config.steps_per_epoch(len(self.dataset))

    @property
    def total_steps(self) -> int:
        """The run's length in steps."""
        return self.config.total_steps(len(self.dataset))

    @property
    def is_complete(self) -> bool:
        """Whether no step is left to do."""
        return self.state.step >= self.total_steps

    def train(
        self,
        callbacks: Sequence[Callback] = (),
        *,
        command: str,
        save_every: float = 120.0,
        should_stop: Callable[[], bool] = lambda: False,
        timeout: float = TIMEOUT,
        use_graphs: bool = True,
    ) -> Outcome:
        """Train to the end, or until `should_stop`; no other process can use the folder meanwhile.

        A checkpoint is saved at least every `save_every` seconds. In a group all processes call it;
        each waits at most `timeout` seconds for the others, and only the first one has callbacks.
        On a CUDA device steps are replayed as graphs, if they can be.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        start = {
            "command": command,
            "date": now,
            "from_step": self.state.step,
            "save_every": save_every,
            **computed_by(self.state.device, self.group.size, self.num_threads),
            **(self.beginning.record() if self.beginning else {}),
        }
        made_by = {**(self.made_by or start), "last_command": command, "last_date": now}
        called = Callbacks(callbacks if self.group.is_first else ())
        devices.prepare(self.state.device)
        self.group.start(timeout)
        with contextlib.ExitStack() as stack:
            self.group.run_on_first(lambda: self._begin(stack, start, called))
            training = Training(
                self.state, self.dataset, self._recorder(called, made_by),
                Meter.from_dict(self.partial), save_every=save_every, should_stop=should_stop,
                graphed=graphs.attempt(self.state, called) if use_graphs else None,
            )  # fmt: skip
            return training.execute()

    def conclude(self, callback: Callback) -> Outcome:
        """Write the table and pictures that may be missing from a complete run.

        `callback` receives warnings, and nothing else.
        """
        with self._folder():
            recorder = self._recorder(callback, self.made_by)
            history = recorder.conclude(Meter.from_dict(self.partial), is_finished=True)
            return Outcome(history, finished=True)

    def evaluator(self) -> EpochEvaluator | None:
        """Return the evaluator of an epoch's samples; None if they are not to be measured.

        They are compared with held-out or test images, or else with training images. Takes seconds.
        Raises DataError or PackageError if the weights of the feature network or the test images
        cannot be read.
        """
        config = self.config
        test: Pixels | Rows = np.empty(0, np.uint8)
        if config.eval_samples and loading.has_held_out(self.dataset):
            test = loading.load_held_out(self.dataset, config.image_settings).pixels
        elif config.eval_samples:
            test = self.dataset.evenly_spaced(config.eval_samples)
        if len(test) < MIN_MEASURED:
            return None
        shape, device = config.network.image_shape, self.state.device
        choice = features.automatic(config.data, shape)
        if choice != "digits":  # as each image takes as long as a sample
            test = test[: config.eval_samples]
        network = features.load(choice, config.data, device, shape, config.precision)
        return EpochEvaluator(network, test=test)

    @property
    def quality(self) -> str:
        """Name of the metric by which the best epoch is chosen."""
        choice = features.automatic(self.config.data, self.config.network.image_shape)
        return "patch_distance" if choice == "none" else "frechet_distance"

    def _recorder(self, callback: Callback, made_by: dict[str, Any]) -> Recorder:
        return Recorder(
            self.state, self.dataset, self.run, callback,
            data=data.describe(self.dataset), made_by=made_by,
            history=self.history, make_evaluator=self.evaluator,
        )  # fmt: skip

    def _begin(
        self, stack: contextlib.ExitStack, start: Mapping[str, Any], callback: Callback
    ) -> None:
        stack.enter_context(self._folder())
        trained.remember(self.config.data, self.dataset.digest)
        starts = [*self.run.read_starts(), start]
        images = data.describe(self.dataset)
        self.run.write_config({"config": to_dict(self.config), "data": images, "starts": starts})
        stack.enter_context(self._reported(callback, str(start["command"])))

    @contextlib.contextmanager
    def _reported(self, callback: Callback, command: str) -> Iterator[None]:
        """Report the start of the run to `callback` and, after this context, its end."""
        failure = None
        try:
            callback.on_start(
                Start(
                    folder=self.run.path,
                    settings=settings(self.config),
                    data=data.describe(self.dataset),
                    command=command,
                    resumed=self.resumed_from is not None,
                    step=self.state.step,
                    total_steps=self.total_steps,
                    steps_per_epoch=self.steps_per_epoch,
                    history=[*self.history],
                    quality=self.quality,
                )
            )
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            callback.on_end(End(self.state.step, self.is_complete and not failure, failure))

    @contextlib.contextmanager
    def _folder(self) -> Iterator[None]:
        """Prepare the run's folder and lock it against other training runs."""
        found = self.resumed_from
        with self.run.lock():
            # Checked again, now that no other run can train here.
            if found is None:
                self.run.require_new()
            elif self.run.version() != found.version:
                changed = f"the run in {self.run.path} was trained further in the meantime"
                raise RunError(f"{changed}; nothing was changed", "Give the same command again.")
            self.run.prepare()
            if found is not None and found.path != self.run.latest:
                # A run that is complete would never save it again.
                self.run.replace_latest(found.path)
            yield


def new(
    config: TrainConfig,
    out: Path,
    device: str,
    *,
    chosen: Collection[str] | None = None,
    is_preset_chosen: bool = True,
    origin: Origin | None = None,
    group: Group = SINGLE,
    to_write: bool = True,
    cache_memory: int = CACHE_MEMORY,
    progress: Progress | None = None,
) -> Session:
    """Return a new run; nothing is written or computed before everything is known to fit.

    `chosen` names the settings that the user chose: others are fitted to the images, and classes
    that were asked for must exist. None: `config` is taken as it is. Unless `is_preset_chosen`, the
    other settings are those of the preset that suits the images best. The run begins with the
    weights of `origin` and has, where nothing else was chosen, its size and networks. Without
    `to_write` (a dry run) the folder may be in use. Images of up to `cache_memory` bytes are kept
    on the device, which changes no bit of the run. `progress` follows the preparation of images.
    Raises a GanctlError.
    """
    config = override(config, {"data": loading.resolve(config.data)})
    if config.freeze_d and origin is None:
        raise UsageError(
            Text("{} keeps layers as they were, and this run begins anew", Setting("freeze_d")),
            Text("Begin from a checkpoint with {}, or leave it out.", Setting("init_from")),
        )
    as_there: dict[str, Any] = {}
    if origin is not None:
        group.require_same(origin.checkpoint.digest, "checkpoint to begin from")
        if chosen is not None:
            as_there = followed(config, origin.checkpoint.config, chosen)
            config, chosen = override(config, as_there), {*chosen, *as_there}
    run = RunDirectory(out)
    if to_write and group.is_first:
        run.require_new()
    if config.compile:
        private_folders.use_private_compiler_folder()
    on = _device(device, group)
    images = data.load(config, out, progress)
    group.require_same(images.digest, "images")
    if not is_preset_chosen:
        config = data.with_default_preset(config, images.image_shape, chosen or ())
    data.require_labels(config, images, chosen is not None and "conditional" in chosen)

    def num_threads(finished: TrainConfig) -> int | None:
        _require_shares(finished, group)
        first_layers(finished.network, finished.freeze_d)
        memory.require_room(finished, on)
        return threads.choose(finished, on, group.local_size)

    precision = functools.partial(devices.resolve_precision, device=on)
    found = resolve(
        config, images, chosen=chosen, precision=precision, threads=num_threads,
        eval_every=cadence.choose,
    )  # fmt: skip
    if not is_preset_chosen:
        found.reasons["preset"] = "chosen by the images"
    # What was found by timing may not be the same everywhere.
    resolved = from_dict(group.broadcast(to_dict(found.config)))
    dataset = images.hold_out(resolved.num_held_out(len(images)))
    group.require_same(dataset.held_out_digest, "classes")
    devices.use_threads(workers.threads_in_operators(resolved, group.local_size))
    notices = [*data.notices(config, resolved, dataset)]
    if config.compile and on.type == "cpu":
        compiled = Setting("compile", True)
        notices.append(Text("{} made training on a CPU slower in every measurement.", compiled))
    state = create(resolved, on, group)
    beginning = None
    if origin is not None:
        beginning = origin.fill(state, dataset.classes)
        notices.append(beginning.notice())
        found.reasons.update(dict.fromkeys(as_there, f"as in {origin.path}"))
    return Session(
        run, state, dataset.to(on, cache_memory), reasons=found.reasons,
        notices=[*private_folders.notices(), *dataset.notices, *notices], beginning=beginning,
    )  # fmt: skip


def resume(
    out: Path,
    changes: Mapping[str, Any],
    device: str,
    *,
    group: Group = SINGLE,
    cache_memory: int = CACHE_MEMORY,
    progress: Progress | None = None,
) -> Session:
    """Return the run in `out`, ready to continue from its newest undamaged checkpoint.

    `changes` are the settings that the user gave: only the run's length may differ from the
    checkpoint, and the path of the images, if they are the same. The rest is as in `new`. Raises a
    GanctlError before anything is written or computed.
    """
    run = RunDirectory(out)
    if not run.is_run():
        hint = Text("Leave out {} to start one.", Setting("resume", True))
        raise RunError(f"there is no run to resume in {out}", hint)
    on = _device(device, group)
    found = newest_intact(run)
    checkpoint = found.checkpoint
    group.require_same(checkpoint.step, "checkpoint")
    config = resuming.changed(checkpoint.config, changes)
    is_trusted = loading.is_trusted(config.data, str(checkpoint.data["digest"]))
    if not group.broadcast("data" in changes or is_trusted):
        raise loading.untrusted_error(config.data)
    images = data.load(config, out, progress)
    dataset = images.hold_out(config.num_held_out(len(images)))
    data.require_same(checkpoint, config, dataset)
    _require_shares(config, group)
    precision = functools.partial(devices.resolve_precision, device=on)
    config = resolve(
        config, images, chosen=None, precision=precision, threads=lambda config: config.threads,
        eval_every=cadence.choose,
    ).config  # fmt: skip
    resuming.require_length(config, checkpoint.step, len(dataset))
    if config.total_steps(len(dataset)) > checkpoint.step:
        memory.require_room(config, on, has_begun=True)
    devices.use_threads(workers.threads_in_operators(config, group.local_size))
    with errors_about(found.path):
        if config.network != checkpoint.config.network:
            raise CheckpointError("does not fit the images that it names")
        state = restore(checkpoint, config, on, group)
    warnings = [*map(str, found.problems)]
    if warnings:
        newest = f"Resuming from the newest undamaged checkpoint, step {state.step}: {found.path}"
        warnings.append(newest)
    num_threads = workers.threads_per_process(config.threads, group.local_size)
    warnings += differences(checkpoint.made_by, computed_by(on, group.size, num_threads))
    return Session(
        run, state, dataset.to(on, cache_memory), history=checkpoint.history,
        partial=checkpoint.partial, made_by=checkpoint.made_by, warnings=warnings,
        notices=[*private_folders.notices(), *dataset.notices], resumed_from=found,
    )  # fmt: skip


def _device(name: str, group: Group) -> torch.device:
    return devices.resolve_device(name, group.local_rank if group.size > 1 else None)


def _require_shares(config: TrainConfig, group: Group) -> None:
    if config.batch_size < group.size:
        batch, size = counted(config.batch_size, "image"), Setting("batch_size")
        raise UsageError(
            f"a batch of {batch} cannot be split over {group.size} processes",
            Text("Use fewer processes, or a larger {} if there are as many images.", size),
        )
