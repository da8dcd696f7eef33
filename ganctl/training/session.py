"""From a config, or a run directory, to a training that is ready to go."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import math
import platform
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ganctl
from ganctl import devices, features, places
from ganctl.checkpoint import Checkpoint
from ganctl.classes import MAX_CLASSES, stored
from ganctl.config import images, schema
from ganctl.config.presets import fitting_batch, tuned
from ganctl.config.schema import LENGTH_FIELDS, TrainConfig
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
from ganctl.training import memory, threads
from ganctl.training.loop import Outcome, Training
from ganctl.training.observer import Observer
from ganctl.training.state import TrainState, create, restore

_DECIDE_BITS = ("device", "machine", "ganctl", "torch", "numpy", "processes")
"""Of what computes: where all of them are as they were, a run goes on with the same bits."""


CACHE_MEMORY = 4 * 2**30
"""Bytes of images that are kept on the device unless more or less are wanted."""
_FEW_IMAGES = 5000
"""With fewer, a discriminator learns them by heart unless they are augmented."""


@dataclass
class Session:
    """A training that is ready to go; nothing has been written yet."""

    run: RunDirectory
    state: TrainState
    dataset: ImageDataset
    history: list[Row] = field(default_factory=list)
    partial: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    notices: list[str | Text] = field(default_factory=list)
    """What the user should know before it starts."""
    warnings: list[str] = field(default_factory=list)
    """What went wrong, or may, though the training can go on."""
    resumed_from: IntactCheckpoint | None = None

    @property
    def config(self) -> TrainConfig:
        """With everything resolved: the images' shape, the precision."""
        return self.state.config

    @property
    def total_steps(self) -> int:
        """The run's length."""
        return self.config.total_steps(len(self.dataset))

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
        """Run to the end, or until `should_stop`; keeps every other training out of the folder.

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
        how: dict[str, Any] = {"save_every": save_every, "should_stop": should_stop}
        self.group.start(timeout)
        with contextlib.ExitStack() as stack:

            def begin() -> None:
                stack.enter_context(self._folder())
                trained.remember(self.config.data, self.dataset.digest)
                self.run.write_config(
                    {
                        "config": schema.to_dict(self.config),
                        "data": describe_data(self.dataset),
                        "starts": [*self.run.read_starts(), start],
                    }
                )

            self.group.run_on_first(begin)
            return self._training(observer, made_by=made_by, **how).execute()

    def conclude(self, observer: Observer) -> Outcome:
        """For a run that is complete: the table and pictures that it may not have come to write."""
        with self._folder():
            return self._training(observer, made_by=self.made_by).conclude()

    def _training(self, observer: Observer, *, made_by: dict[str, Any], **how: Any) -> Training:
        return Training(
            self.state,
            self.dataset,
            self.run,
            observer,
            data=describe_data(self.dataset),
            made_by=made_by,
            history=self.history,
            partial=self.partial,
            make_evaluator=self.gauge,
            **how,
        )

    def gauge(self) -> EpochEvaluator | None:
        """What measures an epoch's samples against images that no generator sees.

        None where samples are not to be measured, no network knows such images, or none are held
        out. Takes seconds to make.
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
        """With the folder ready, and every other training kept out of it."""
        with self.run.lock():
            self._require_unchanged()  # again, now that nobody else can train here
            self.run.prepare()
            found = self.resumed_from
            if found is not None and found.path != self.run.latest:
                # A run that is complete would never save it again.
                self.run.replace_latest(found.path)
            yield

    def _require_unchanged(self) -> None:
        """RunError where another training has been in the folder since it was looked at."""
        found = self.resumed_from
        if found is None:
            self.run.require_new()
        elif self.run.version() != found.version:
            raise RunError(
                f"the run in {self.run.path} went on in the meantime; nothing was changed",
                "Give the same command again.",
            )


def new(
    config: TrainConfig,
    out: Path,
    device: str,
    *,
    group: Group = SINGLE,
    to_write: bool = True,
    cache_memory: int = CACHE_MEMORY,
    needs_classes: bool = False,
    tunable: Collection[str] = (),
    progress: Progress | None = None,
) -> Session:
    """A run from its beginning. Raises a GanctlError before anything is written or computed.

    Without `to_write` (a dry run) the folder may be in use. Images of up to `cache_memory` bytes
    are kept whole on the device; that changes no bit of the run. `needs_classes`: images without
    are refused, not trained on all the same. `tunable` names the settings, of `tuning.TUNABLE`,
    that may be fitted to the images, since nobody chose them. `progress` is told of the images'
    preparation.
    """
    config = schema.override(config, {"data": loading.resolve(config.data)})
    run = RunDirectory(out)
    if to_write and group.is_first:
        run.require_new()
    require_apart(config.data, out)
    _require_shares(config, group)
    if config.compile:
        places.lend_to_compiler()
    on = devices.resolve_device(device, group.local_rank if group.size > 1 else None)
    dataset = _load(config, progress)
    group.require_same(dataset.digest, "images")
    if config.conditional and dataset.labels_problem:
        raise DataError(
            f"the labels of '{config.data}' cannot be used: {dataset.labels_problem}",
            Text(
                "Store a whole number or a text for each image, of the shape (N,), or a row with a "
                "single 1; or train without classes: {}.",
                Setting("conditional", False),
            ),
        )
    if needs_classes and not dataset.num_classes:
        raise UsageError(
            f"the images of '{config.data}' have no classes",
            Text("Leave out {}.", Setting("conditional", True)),
            details=dataset.no_classes,
        )
    preset_batch = config.batch_size
    batch = fitting_batch(config, len(dataset), tunable)
    config = schema.override(config, {"batch_size": batch})
    _require_shares(config, group)
    config = settle(config, dataset, on)
    config = schema.override(config, tuned(config, len(dataset), tunable))
    memory.require_room(config, on)
    config = schema.override(config, {"threads": threads.choose(config, on, group.local_size)})
    # What was found by the clock may not be the same everywhere.
    config = schema.from_dict(group.broadcast(schema.to_dict(config)))
    devices.use_threads(config.threads)
    notices = [*places.notices(), *dataset.notices]
    if batch < preset_batch:
        notices.append(
            f"A batch is {counted(batch, 'image')}, not {preset_batch}: there are no more."
        )
    if dataset.num_classes and not config.conditional:
        able = dataset.num_classes <= MAX_CLASSES
        notices.append(
            Text(
                f"The images have {counted(dataset.num_classes, 'class', 'classes')}, "
                "which are not used" + ("; {} trains with them." if able else "."),
                Setting("conditional", True),
            )
        )
    if config.compile and on.type == "cpu":
        notices.append(
            Text(
                "{} made trainings on a CPU slower wherever it was measured.",
                Setting("compile", True),
            )
        )
    return Session(run, create(config, on, group), dataset.to(on, cache_memory), notices=notices)


def resume(
    out: Path,
    changes: Mapping[str, Any],
    device: str,
    *,
    group: Group = SINGLE,
    cache_memory: int = CACHE_MEMORY,
    progress: Progress | None = None,
) -> Session:
    """The run in `out` from its newest whole checkpoint on.

    `changes` are the settings that the user gave: only the run's length may differ from what the
    checkpoint says, and where the images are, if they are the same. The rest is as in `new`. Raises
    a GanctlError before anything is written or computed.
    """
    run = RunDirectory(out)
    if not run.is_run():
        raise RunError(
            f"there is no run to resume in {out}",
            Text("Leave out {} to begin one.", Setting("resume", True)),
        )
    on = devices.resolve_device(device, group.local_rank if group.size > 1 else None)
    found = newest_intact(run)
    group.require_same(found.checkpoint.step, "checkpoint")
    checkpoint, problems = found.checkpoint, found.problems
    config = checkpoint.config
    refuse_changes(config, changes)
    config = schema.override(
        config, {name: changes[name] for name in (*LENGTH_FIELDS, "data") if name in changes}
    )
    require_apart(config.data, out)
    digest = str(checkpoint.data["digest"])
    if not group.broadcast("data" in changes or loading.is_trusted(config.data, digest)):
        raise loading.untrusted(config.data)
    dataset = _load(config, progress)
    if digest != dataset.digest:
        raise RunError(
            f"the images of '{config.data}' are not those this run was trained on",
            Text(
                "Bring back the old ones, name them with {} where they have moved, or begin a new "
                "run with {}.",
                Setting("data"),
                Setting("out"),
            ),
        )
    _require_classes(checkpoint, dataset)
    _require_shares(config, group)
    config = settle(config, dataset, on)
    total = config.total_steps(len(dataset))
    if total < checkpoint.step:
        raise _too_short(config, checkpoint, len(dataset))
    if total > checkpoint.step:
        memory.require_room(config, on, has_begun=True)
    devices.use_threads(threads.shared(config.threads, group.local_size))
    with naming(found.path):
        if config.network != checkpoint.config.network:
            raise CheckpointError("does not fit the images that it names")
        state = restore(checkpoint, config, on, group)
    session = Session(
        run,
        state,
        dataset.to(on, cache_memory),
        history=checkpoint.history,
        partial=checkpoint.partial,
        made_by=checkpoint.made_by,
        notices=[*places.notices(), *dataset.notices],
        resumed_from=found,
    )
    for problem in problems:
        session.warnings.append(str(problem))
    if problems:
        session.warnings.append(
            f"Going on from the newest whole checkpoint, step {state.step}: {found.path}"
        )
    before, now = {"processes": 1, **checkpoint.made_by}, computed_by(on, group.size)
    changed = [
        f"{name} was {before[name]}, now {now[name]}"
        for name in _DECIDE_BITS
        if before.get(name, now[name]) != now[name]
    ]
    if changed:
        session.warnings.append(
            f"The run goes on, but perhaps not bit for bit: {'; '.join(changed)}."
        )
    return session


def _require_classes(checkpoint: Checkpoint, dataset: ImageDataset) -> None:
    """RunError where the images are sorted into other classes than those the networks know."""
    count, known = checkpoint.config.network.num_classes, checkpoint.data["classes"]
    numbers = [*map(str, range(count))]  # what runs from before classes had names have
    if count and known != numbers and known != stored(dataset.classes):
        raise RunError(
            f"the classes of '{checkpoint.config.data}' are not those this run was trained on",
            Text("Bring back the old ones, or begin a new run with {}.", Setting("out")),
        )


def _require_shares(config: TrainConfig, group: Group) -> None:
    if config.batch_size < group.size:
        raise UsageError(
            f"a batch of {counted(config.batch_size, 'image')} cannot be shared by "
            f"{group.size} processes",
            Text(
                "Use fewer processes, or a larger {} if there are as many images.",
                Setting("batch_size"),
            ),
        )


def _load(config: TrainConfig, progress: Progress | None) -> ImageDataset:
    return loading.load_training(
        config.data,
        limit=config.limit,
        settings=config.images,
        skip_bad=config.skip_bad,
        progress=progress,
    )


def settle(config: TrainConfig, dataset: ImageDataset, device: torch.device) -> TrainConfig:
    """`config` with all that the images and the device decide. Raises UsageError."""
    precision = devices.resolve_precision(config.precision, device)
    return schema.override(fit_to_data(config, dataset), {"precision": precision})


def fit_to_data(config: TrainConfig, dataset: ImageDataset) -> TrainConfig:
    """`config` with the images' shape and classes. Raises UsageError where the two do not fit."""
    if config.batch_size > len(dataset):
        raise UsageError(
            f"a batch of {config.batch_size:,} is larger than the data, "
            f"{counted(len(dataset), 'image')}",
            Text("Give a smaller {}.", Setting("batch_size")),
        )
    epochs = config.total_epochs(len(dataset))
    if epochs > schema.MAX_EPOCHS:
        raise UsageError(
            f"{counted(config.steps or 0, 'step')} are {epochs:,} epochs of these images, "
            "and a run has at most "
            f"{schema.MAX_EPOCHS:,}",
            Text("Give fewer {} or a smaller {}.", Setting("steps"), Setting("batch_size")),
        )
    if config.conditional and dataset.num_classes > MAX_CLASSES:
        raise UsageError(
            f"the images have {dataset.num_classes:,} classes, and networks can be told at most "
            f"{MAX_CLASSES:,}",
            Text("Train without them: {}.", Setting("conditional", False)),
        )
    channels, height, width = dataset.image_shape
    return schema.override(
        config,
        {
            "channels": channels,
            "height": height,
            "width": width,
            "image_size": images.format_size(height, width),
            "image_channels": channels,
            "stages": images.stages_for(height, width),
            "augment": _augment(config, dataset),
            "num_classes": dataset.num_classes if config.conditional else 0,
        },
    )


def _augment(config: TrainConfig, dataset: ImageDataset) -> str:
    if config.augment != "auto":
        return config.augment
    return images.ALL_AUGMENTATIONS if len(dataset) < _FEW_IMAGES else "none"


def refuse_changes(config: TrainConfig, changes: Mapping[str, Any]) -> None:
    """UsageError, by name, old value and new, unless only length or the images' place differs."""
    old = schema.settings(config)
    differing = [
        name
        for name, value in changes.items()
        if name not in (*LENGTH_FIELDS, "data")
        and value != old[name]
        and not (value == "auto" and name in ("precision", "augment"))
    ]
    if differing:
        template = "; ".join(["{} was {}, now {}"] * len(differing))
        parts = [(Setting(name), _said(old[name]), _said(changes[name])) for name in differing]
        raise UsageError(
            Text(
                f"a resumed run keeps its settings: {template}",
                *itertools.chain.from_iterable(parts),
            ),
            Text("Leave these out, or begin a new run with another {}.", Setting("out")),
        )


def _too_short(config: TrainConfig, checkpoint: Checkpoint, num_images: int) -> UsageError:
    """The error that a run has come further than the length that is now asked for."""
    if config.epochs is None:
        name, done, where = "steps", checkpoint.step, "at step"
    else:
        done = math.ceil(checkpoint.step / config.steps_per_epoch(num_images))
        name, where = "epochs", "in epoch"
    return UsageError(
        Text("the run is already {} {}: {} must be at least {}", where, done, Setting(name), done)
    )


def _said(value: Any) -> str:
    """A setting's value in words."""
    words = {None: "not set", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def describe_data(dataset: ImageDataset) -> dict[str, Any]:
    """What the images are, for a checkpoint."""
    return {
        "name": dataset.name,
        "num_images": len(dataset),
        "image_shape": list(dataset.image_shape),
        "digest": dataset.digest,
        "classes": stored(dataset.classes),
    }


def computed_by(device: torch.device, num_processes: int = 1) -> dict[str, str | int]:
    """What computes, for the record."""
    return {
        "processes": num_processes,
        "device": devices.describe(device),
        "machine": devices.describe_machine(),
        "ganctl": ganctl.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
