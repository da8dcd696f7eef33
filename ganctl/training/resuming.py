"""The settings that may change when a run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganctl.config.schema import LENGTH_FIELDS, TrainConfig, format_setting, override, settings
from ganctl.config.spec import NOT_SET
from ganctl.errors import Setting, Text, UsageError
from ganctl.text import counted

_MAY_CHANGE = (*LENGTH_FIELDS, "data")
"""Settings that may change on resume: the run's length, and where the images are."""
_MAY_BE_OPEN = (
    "image_size", "image_channels", "augment", "holdout", "precision", "threads", "eval_every",
    "value_range",
)  # fmt: skip
"""Settings that a run resolves; given as open on resume, they keep the resolved values."""


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a run's `config` with `changes`. Raises UsageError if one may not change."""
    old = settings(config)
    differing = [
        name
        for name, value in changes.items()
        if name not in _MAY_CHANGE
        and value != old[name]
        and not (name in _MAY_BE_OPEN and value in (None, "auto"))
    ]
    if differing:
        parts: list[object] = []
        for name in differing:
            parts += [Setting(name), _value(old[name]), _value(changes[name])]
        listed = ", ".join(["{} ({} -> {})"] * len(differing))
        raise UsageError(
            Text(f"cannot change settings on resume: {listed}", *parts),
            Text("Leave them out, or start a new run with another {}.", Setting("out")),
        )
    return override(config, {name: changes[name] for name in _MAY_CHANGE if name in changes})


def _value(value: Any) -> str:
    return NOT_SET if value is None else format_setting(value)


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
