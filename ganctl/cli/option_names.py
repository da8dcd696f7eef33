"""Settings written as command-line options, for messages and hints."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from pathlib import Path

from ganctl.errors import Setting, Text

_RENAMED = {
    "classes": "--class", "image_size": "--size", "image_channels": "--channels",
    "value_range": "--range",
}  # fmt: skip
_NEGATED = {"conditional": "--unconditional"}
SET_ONLY = frozenset({
    "architecture", "base_channels", "beta1", "beta2", "ema_images", "ema_ramp", "eval_every",
    "eval_samples", "loss", "lr_decay_steps", "lr_warmup_steps", "r1_interval", "r1_weight",
    "updates",
})  # fmt: skip
"""Settings that have no option of their own, and are given by --set."""


def spelled(text: str | Text) -> str:
    """Return `text` with every setting written as its command-line option."""
    return text if isinstance(text, str) else text.spelled(option)


def spelled_as_typed(text: str | Text, words: Collection[str]) -> str:
    """Return `text` with an option's name only where `words`, the command line, has that option.

    Other settings keep their own names, as a file or --set gives them.
    """
    if isinstance(text, str):
        return text
    typed = {word.partition("=")[0] for word in words}
    return text.spelled(
        lambda setting: option(setting) if _flag(setting.name) in typed else str(setting)
    )


def option(setting: Setting) -> str:
    """Return `setting` as an option, ready to be pasted.

    >>> option(Setting("lr_g", 0.001)), option(Setting("base_channels", 8))
    ('--lr-g 0.001', '--set base_channels=8')
    """
    name, value = setting.name, setting.value
    if name in SET_ONLY:
        return f"--set {name}" if value is None else f"--set {name}={value}"
    flag = _flag(name)
    if value is None or value is True:
        return flag
    if value is False:
        return _NEGATED.get(name, f"--no-{flag[2:]}")
    return f"{flag} {pasteable(value) if isinstance(value, Path) else shlex.quote(str(value))}"


def pasteable(path: Path) -> str:
    """Return `path` as a shell takes it, unprintable characters escaped."""
    if str(path).isprintable():
        return shlex.quote(str(path))
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(path)) + "'"


def _flag(name: str) -> str:
    return _RENAMED.get(name, "--" + name.replace("_", "-"))
