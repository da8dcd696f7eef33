"""What must be the same where a run is resumed, and what may differ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from ganctl.checkpoint import Checkpoint
from ganctl.classes import stored
from ganctl.config.schema import LENGTH_FIELDS, TrainConfig, format_setting, override, settings
from ganctl.config.spec import NOT_SET
from ganctl.datasets.base import ImageDataset
from ganctl.errors import RunError, Setting, Text, UsageError
from ganctl.text import counted

MAY_CHANGE = (*LENGTH_FIELDS, "data")
"""The run's length, and where the images are."""
_DECIDE_BITS = ("device", "machine", "ganctl", "torch", "numpy", "processes")
"""Parts of `computed_by`: while all of them stay the same, results are bit for bit the same."""


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a run's `config` with `changes`. UsageError if any but `MAY_CHANGE` differs."""
    old = settings(config)
    differing = [
        name
        for name, value in changes.items()
        if name not in MAY_CHANGE
        and value != old[name]
        and not (value == "auto" and name in ("precision", "augment"))
    ]
    if differing:
        template = ", ".join(["{} ({} -> {})"] * len(differing))
        parts = [(Setting(name), _value(old[name]), _value(changes[name])) for name in differing]
        raise UsageError(
            Text(
                f"cannot change settings on resume: {template}",
                *itertools.chain.from_iterable(parts),
            ),
            Text("Leave them out, or start a new run with another {}.", Setting("out")),
        )
    return override(config, {name: changes[name] for name in MAY_CHANGE if name in changes})


def _value(value: Any) -> str:
    return NOT_SET if value is None else format_setting(value)


def require_same_images(checkpoint: Checkpoint, config: TrainConfig, dataset: ImageDataset) -> None:
    """Raise RunError unless `dataset` is what the checkpoint's run was trained on."""
    count, known = checkpoint.config.network.num_classes, checkpoint.data["classes"]
    what = ""
    if dataset.digest != str(checkpoint.data["digest"]):
        what = "images"
    elif count and known not in (stored(dataset.classes), [*map(str, range(count))]):
        what = "classes"  # other folders, by their names
    if what:
        raise RunError(
            f"the {what} of '{config.data}' are not those this run was trained on",
            Text(
                "Restore the old ones, name them with {} if they have moved, or start a new run "
                "with {}.",
                Setting("data"),
                Setting("out"),
            ),
        )


def require_length(config: TrainConfig, step: int, num_images: int) -> None:
    """Raise UsageError if a run at `step` is past the length that `config` gives it."""
    if config.total_steps(num_images) >= step:
        return
    name = "steps" if config.epochs is None else "epochs"
    done = step if name == "steps" else step // config.steps_per_epoch(num_images)
    raise UsageError(
        Text(
            "the run already has {}; {} must be more than {}",
            counted(done, name.removesuffix("s")),
            Setting(name),
            f"{done:,}",
        )
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a warning where what computes is not what it was, so that bits may differ."""
    before = {"processes": 1, **before}
    found = [
        f"{name} was {before[name]}, now {now[name]}"
        for name in _DECIDE_BITS
        if before.get(name, now[name]) != now[name]
    ]
    return [f"Results may differ in rounding: {'; '.join(found)}."] if found else []
