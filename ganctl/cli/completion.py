"""What a shell offers while a command is typed. Nothing here loads torch or reads a checkpoint.

Each function takes the word so far and gives the words that it may become; a shell calls ganctl
anew for every Tab, so all of it must be quick. Bash puts such a word on the line as it is, without
quotes, and zsh evaluates it: names that others chose are offered only if no shell interprets them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer

from ganctl.classes import MAX_CLASSES, names_of
from ganctl.config.presets import DEFAULT_PRESET, PRESETS, preset
from ganctl.config.schema import SETTINGS, format_setting
from ganctl.config.schema import settings as values_of

DATA_NAMES = ("mnist", "stacked-mnist", "fashion-mnist", "kmnist", "emnist", "cifar10")
"""As ganctl.datasets has them, which loads torch; a test compares."""
_CONFIG = "config.json"
_MAX_CONFIG = 2**20
_MAX_ENTRIES = 2000
_PLAIN = re.compile(r"(~/)?[\w.,:@+/][\w.,:@+/=-]*")
"""Letters, digits and marks that mean nothing to any shell; `=` and `-` do where a word begins."""


def among(names: Sequence[str]) -> Callable[[str], list[str]]:
    """A completion that offers `names`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


presets = among(tuple(PRESETS))
devices = among(("auto", "cpu", "cuda", "mps"))
precisions = among(("auto", "fp32", "bf16"))
seeds = among(("0-15", "0-99", "0,1,2,3"))


def settings(incomplete: str) -> list[str]:
    """Names that --set takes; of a single one its value in the default preset as well.

    Bash puts a space behind a single offer, and there is more to be typed.
    """
    names = among(sorted(SETTINGS))(incomplete)
    if len(names) != 1:
        return [f"{name}=" for name in names]
    value = values_of(preset(DEFAULT_PRESET))[names[0]]
    return [f"{names[0]}=", f"{names[0]}={format_setting(value)}"]


def data(incomplete: str) -> list[str]:
    """Names of data sets, then whatever a path can go on with."""
    return [*among(DATA_NAMES)(incomplete), *_paths(incomplete, "")]


def checkpoints(incomplete: str) -> list[str]:
    """Folders, and files that end in .pt."""
    return _paths(incomplete, ".pt")


def configs(incomplete: str) -> list[str]:
    """Folders, and files that end in .toml."""
    return _paths(incomplete, ".toml")


def classes(context: typer.Context, incomplete: str) -> list[str]:
    """The classes of the run that the command's checkpoint is in, by its config.json.

    After a comma, a further one.
    """
    before, comma, _ = incomplete.rpartition(",")
    # A line that ends in an option without its value is parsed no further: its words are left over.
    checkpoint = context.params.get("ckpt") or next(iter(context.args), None)
    return _plain((f"{before}{comma}{name}" for name in _classes(checkpoint)), incomplete)


def _plain(words: Iterable[str], incomplete: str) -> list[str]:
    """Return those of `words` that no shell interprets; a tilde only where it was typed."""
    return [
        word
        for word in words
        if _PLAIN.fullmatch(word) and word.startswith("~/") <= incomplete.startswith("~/")
    ]


def _classes(checkpoint: object) -> Sequence[str]:
    if not checkpoint:
        return ()
    path = Path(str(checkpoint))
    path = (path if path.is_dir() else path.parent) / _CONFIG
    try:
        if not path.is_file() or path.stat().st_size > _MAX_CONFIG:
            return ()
        known = json.loads(path.read_text("utf-8"))["data"]["classes"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return ()
    if not isinstance(known, list) or not all(isinstance(name, str) for name in known):
        return ()
    return names_of(min(len(known), MAX_CLASSES), known)


def _paths(incomplete: str, suffix: str) -> list[str]:
    """Entries that begin with `incomplete`: folders, ending in /, and files with that suffix.

    A single folder comes with what is in it: bash puts a space behind a single offer, and then
    one could not go on into the folder.
    """
    found = _entries(incomplete, suffix)
    if len(found) == 1 and found[0].endswith("/"):
        found += _entries(found[0], suffix)
    return _plain(found, incomplete)


def _entries(incomplete: str, suffix: str) -> list[str]:
    folder, name = os.path.split(incomplete)
    before = incomplete.removesuffix(name) if name else incomplete
    found = []
    try:
        with os.scandir(Path(folder).expanduser() if folder else ".") as entries:
            for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False):
                hidden = entry.name.startswith(".") and not name.startswith(".")
                if hidden or not entry.name.startswith(name):
                    continue
                if entry.is_dir():
                    found.append(f"{before}{entry.name}/")
                elif entry.name.endswith(suffix):
                    found.append(f"{before}{entry.name}")
    except (OSError, RuntimeError):  # RuntimeError: nobody has that home folder
        return []
    return sorted(found)
