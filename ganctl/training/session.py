"""From a config, or a run directory, to a training run that is ready to start."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ganctl import devices, features, places
from ganctl.classes import MAX_CLASSES
from ganctl.config.resolve import resolve
from ganctl.config.schema import TrainConfig, override, to_dict
from ganctl.datasets import loading
from ganctl.datasets.base import ImageDataset, Progress
from ganctl.datasets.local import trained
from ganctl.datasets.local.paths import require_apart
from ganctl.distributed.group import SINGLE, TIMEOUT, Group
from ganctl.errors import CheckpointError, DataError, RunError, Setting, Text, UsageError
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import Row
from ganctl.store import IntactCheckpoint, RunDirectory, naming, newest_intact
from ganctl.text import counted
from ganctl.training import memory, resuming, threads
from ganctl.training.loop import Outcome, Training
from ganctl.training.observer import Observer
from ganctl.training.provenance import computed_by, describe_data
from ganctl.training.state import TrainState, create, restore

CACHE_MEMORY = 4 * 2**30
"""Bytes of images that are kept on the device unless told otherwise."""


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
    """What the user should know before it starts."""
    warnings: list[str] = field(default_factory=list)
    """What went wrong, or may, though training is possible."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why settings have values that the user did not choose, by their names."""
    resumed_from: IntactCheckpoint | None = None

    @property
    def config(self) -> TrainConfig:
        """The resolved config: nothing is left open."""
        return self.state.config

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps of an epoch."""
        return self.config.steps_per_epoch(len(self.dataset))

    @property
    def total_steps(self) -> int:
        """The run's length."""
        return self.config.total_steps(len(self.dataset))

    @property
    def is_complete(self) -> bool:
        """Whether no step is left to do."""
        return self.state.step >= self.total_steps

    @property
    def group(self) -> Group:
        """The processes that train together."""
        return self.state.group

    def train(
        self,
        observer: Observer,
        *,
        command: str,
        save_every: float,
        should_stop: Callable[[], bool],
        timeout: float = TIMEOUT,
    ) -> Outcome:
        """Train to the end, or until `should_stop`; no other process can use the folder meanwhile.

        In a group all processes call it; each waits at most `timeout` seconds for the others.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        start = {
            "command": command,
            "date": now,
            "from_step": self.state.step,
            "save_every": save_every,
            **computed_by(self.state.device, self.group.size),
        }
        made_by = {**(self.made_by or start), "last_command": command, "last_date": now}
        devices.prepare(self.state.device)
        self.group.start(timeout)
        with contextlib.ExitStack() as stack:
            self.group.run_on_first(lambda: self._begin(stack, start))
            training = self._training(
                observer, made_by, save_every=save_every, should_stop=should_stop
            )
            return training.execute()

    def conclude(self, observer: Observer) -> Outcome:
        """Write the table and pictures that a complete run may lack."""
        with self._folder():
            return self._training(observer, self.made_by).conclude()

    def _begin(self, stack: contextlib.ExitStack, start: Mapping[str, Any]) -> None:
        stack.enter_context(self._folder())
        trained.remember(self.config.data, self.dataset.digest)
        self.run.write_config(
            {
                "config": to_dict(self.config),
                "data": describe_data(self.dataset),
                "starts": [*self.run.read_starts(), start],
            }
        )

    def _training(self, observer: Observer, made_by: dict[str, Any], **how: Any) -> Training:
        return Training(
            self.state,
            self.dataset,
            self.run,
            observer,
            data=describe_data(self.dataset),
            made_by=made_by,
            history=self.history,
            partial=self.partial,
            make_evaluator=self.evaluator,
            **how,
        )

    def evaluator(self) -> EpochEvaluator | None:
        """Return what measures an epoch's samples against images that no generator has seen.

        None if samples are not to be measured, no network knows such images, or none are held out.
        Takes seconds.
        """
        shape = self.config.network.image_shape
        if not (self.config.eval_samples and features.is_known(self.config.data, shape)):
            return None
        if not loading.has_test(self.dataset):
            return None
        network = features.load("auto", self.config.data, self.state.device)
        test = loading.load_test(self.config.data, settings=self.config.images)
        return EpochEvaluator(network, test=test.images.numpy())

    @contextlib.contextmanager
    def _folder(self) -> Iterator[None]:
        """Prepare the folder, and keep every other training run out of it."""
        with self.run.lock():
            # Again, now that no other run can train here.
            found = self.resumed_from
            if found is None:
                self.run.require_new()
            elif self.run.version() != found.version:
                raise RunError(
                    f"the run in {self.run.path} was trained further in the meantime; nothing was "
                    "changed",
                    "Give the same command again.",
                )
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
    group: Group = SINGLE,
    to_write: bool = True,
    cache_memory: int = CACHE_MEMORY,
    progress: Progress | None = None,
) -> Session:
    """Return a run from its beginning; nothing is written or computed before all is known to fit.

    `chosen` names the settings that the user chose: others are fitted to the images, and classes
    that were asked for must exist. None: `config` is taken as it is. Without `to_write` (a dry
    run) the folder may be in use. Images of up to `cache_memory` bytes are kept on the device,
    which changes no bit of the run. `progress` follows the preparation of images. Raises a
    GanctlError.
    """
    config = override(config, {"data": loading.resolve(config.data)})
    run = RunDirectory(out)
    if to_write and group.is_first:
        run.require_new()
    if config.compile:
        places.lend_to_compiler()
    on = _device(device, group)
    dataset = _load(config, out, progress)
    group.require_same(dataset.digest, "images")
    _require_labels(config, dataset, chosen is not None and "conditional" in chosen)

    def precision(name: str) -> str:
        # IntactCheckpoint by a clock, it may not be the same everywhere.
        return group.broadcast(devices.resolve_precision(name, on))

    def num_threads(finished: TrainConfig) -> int | None:
        _require_shares(finished, group)
        memory.require_room(finished, on)
        return group.broadcast(threads.choose(finished, on, group.local_size))

    resolved = resolve(config, dataset, chosen=chosen, precision=precision, threads=num_threads)
    notices = _notices(config, resolved.config, dataset, on)
    devices.use_threads(resolved.config.threads)
    return Session(
        run,
        create(resolved.config, on, group),
        dataset.to(on, cache_memory),
        notices=[*places.notices(), *dataset.notices, *notices],
        reasons=resolved.reasons,
    )


def resume(
    out: Path,
    changes: Mapping[str, Any],
    device: str,
    *,
    group: Group = SINGLE,
    cache_memory: int = CACHE_MEMORY,
    progress: Progress | None = None,
) -> Session:
    """Return the run in `out` from its newest undamaged checkpoint on.

    `changes` are the settings that the user gave: only the run's length may differ from the
    checkpoint, and the path of the images, if they are the same. The rest is as in `new`. Raises a
    GanctlError before anything is written or computed.
    """
    run = RunDirectory(out)
    if not run.is_run():
        raise RunError(
            f"there is no run to resume in {out}",
            Text("Leave out {} to start one.", Setting("resume", True)),
        )
    on = _device(device, group)
    found = newest_intact(run)
    checkpoint = found.checkpoint
    group.require_same(checkpoint.step, "checkpoint")
    config = resuming.changed(checkpoint.config, changes)
    digest = str(checkpoint.data["digest"])
    if not group.broadcast("data" in changes or loading.is_trusted(config.data, digest)):
        raise loading.untrusted(config.data)
    dataset = _load(config, out, progress)
    resuming.require_same_images(checkpoint, config, dataset)
    _require_shares(config, group)
    config = resolve(
        config,
        dataset,
        chosen=None,
        precision=lambda name: devices.resolve_precision(name, on),
        threads=lambda finished: finished.threads,
    ).config
    resuming.require_length(config, checkpoint.step, len(dataset))
    if config.total_steps(len(dataset)) > checkpoint.step:
        memory.require_room(config, on, has_begun=True)
    devices.use_threads(threads.shared(config.threads, group.local_size))
    warnings = [*map(str, found.problems)]
    if warnings:
        warnings.append(
            f"Resuming from the newest undamaged checkpoint, step {checkpoint.step}: {found.path}"
        )
    return Session(
        run,
        _restored(found, config, on, group),
        dataset.to(on, cache_memory),
        history=checkpoint.history,
        partial=checkpoint.partial,
        made_by=checkpoint.made_by,
        notices=[*places.notices(), *dataset.notices],
        warnings=[
            *warnings,
            *resuming.differences(checkpoint.made_by, computed_by(on, group.size)),
        ],
        resumed_from=found,
    )


def _restored(
    found: IntactCheckpoint, config: TrainConfig, device: torch.device, group: Group
) -> TrainState:
    with naming(found.path):
        if config.network != found.checkpoint.config.network:
            raise CheckpointError("does not fit the images that it names")
        return restore(found.checkpoint, config, device, group)


def _device(name: str, group: Group) -> torch.device:
    return devices.resolve_device(name, group.local_rank if group.size > 1 else None)


def _load(config: TrainConfig, out: Path, progress: Progress | None) -> ImageDataset:
    require_apart(config.data, out)
    return loading.load_training(
        config.data,
        limit=config.limit,
        settings=config.images,
        skip_bad=config.skip_bad,
        progress=progress,
    )


def _require_labels(config: TrainConfig, dataset: ImageDataset, is_chosen: bool) -> None:
    """Raise an error if labels are unusable, or missing though the user chose to use them."""
    if not config.conditional:
        return
    if dataset.labels_problem:
        raise DataError(
            f"the labels of '{config.data}' cannot be used: {dataset.labels_problem}",
            Text(
                "Store a whole number or a text for each image, of the shape (N,), or a row with a "
                "single 1; or train without classes: {}.",
                Setting("conditional", False),
            ),
        )
    if is_chosen and not dataset.num_classes:
        raise UsageError(
            f"the images of '{config.data}' have no classes",
            Text("Leave out {}.", Setting("conditional", True)),
            details=dataset.no_classes,
        )


def _require_shares(config: TrainConfig, group: Group) -> None:
    if config.batch_size < group.size:
        raise UsageError(
            f"a batch of {counted(config.batch_size, 'image')} cannot be split over "
            f"{group.size} processes",
            Text(
                "Use fewer processes, or a larger {} if there are as many images.",
                Setting("batch_size"),
            ),
        )


def _notices(
    before: TrainConfig, config: TrainConfig, dataset: ImageDataset, device: torch.device
) -> Iterator[str | Text]:
    if config.batch_size < before.batch_size:
        yield (
            f"The batch size is {config.batch_size}, not {before.batch_size}: there are no more "
            "images."
        )
    if dataset.num_classes and not config.conditional:
        able = dataset.num_classes <= MAX_CLASSES
        yield Text(
            f"The images have {counted(dataset.num_classes, 'class', 'classes')}, "
            "which are not used" + ("; {} trains with them." if able else "."),
            Setting("conditional", True),
        )
    if config.compile and device.type == "cpu":
        yield Text(
            "{} made training on a CPU slower wherever it was measured.", Setting("compile", True)
        )
