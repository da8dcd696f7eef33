"""Shell completion of commands; nothing here loads torch or reads a checkpoint.

Each function takes the word so far and returns the words that it may become. A shell starts ganctl
for every Tab, so all of it must be quick. Bash inserts such a word without quotes, and zsh
evaluates it: names from elsewhere are offered only if no shell interprets them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import typer

from ganctl import tracking
from ganctl.classes import MAX_CLASSES, names_of
from ganctl.config.presets import DEFAULT_PRESET, PRESETS, preset
from ganctl.config.schema import SETTINGS, format_setting
from ganctl.config.schema import settings as values_of

DATA_NAMES = ("mnist", "stacked-mnist", "fashion-mnist", "kmnist", "emnist", "cifar10")
"""Names of the data sets. ganctl.datasets has them too, but loads torch; a test compares them."""
_MAX_CONFIG_BYTES = 2**20
_MAX_ENTRIES = 2000
_INERT = re.compile(r"(~/)?[\w.,:@+/][\w.,:@+/=-]*")
"""Letters, digits and marks that no shell interprets; `=` and `-` not where a word begins."""


def among(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a completion that offers `names`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


presets = among(tuple(PRESETS))
methods = among(("activations", "weights"))
devices = among(("auto", "cpu", "cuda", "mps"))
trackers = among((*tracking.NAMES, tracking.NONE))
seeds = among(("0-15", "0-99", "0,1,2,3"))


def settings(incomplete: str) -> list[str]:
    """Offer names for --set; a single match also comes with its value in the default preset.

    Bash adds a space after a single offer, although the value must still be typed.
    """
    names = among(sorted(SETTINGS))(incomplete)
    if len(names) != 1:
        return [f"{name}=" for name in names]
    value = values_of(preset(DEFAULT_PRESET))[names[0]]
    return [f"{names[0]}=", f"{names[0]}={format_setting(value)}"]


def data(incomplete: str) -> list[str]:
    """Offer names of data sets, then files and folders of any kind."""
    return [*among(DATA_NAMES)(incomplete), *_paths(incomplete, "")]


def checkpoints(incomplete: str) -> list[str]:
    """Offer folders, and files that end in .pt or .safetensors."""
    return _paths(incomplete, (".pt", ".safetensors"))


def folders(incomplete: str) -> list[str]:
    """Offer folders."""
    return _paths(incomplete, ())


def configs(incomplete: str) -> list[str]:
    """Offer folders, and files that end in .toml."""
    return _paths(incomplete, ".toml")


def arrays(incomplete: str) -> list[str]:
    """Offer folders, and files that end in .npz."""
    return _paths(incomplete, ".npz")


def classes(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the classes in the config.json of the checkpoint's run; after a comma, another one."""
    before, comma, _ = incomplete.rpartition(",")
    # A line that ends in an option without its value is parsed no further: its words are left over.
    checkpoint = context.params.get("ckpt") or next(iter(context.args), None)
    return _inert((f"{before}{comma}{name}" for name in _classes(checkpoint)), incomplete)


def _classes(checkpoint: object) -> Sequence[str]:
    path = Path(str(checkpoint or ""))
    path = (path if path.is_dir() else path.parent) / "config.json"
    try:
        if not checkpoint or not path.is_file() or path.stat().st_size > _MAX_CONFIG_BYTES:
            return ()
        known = json.loads(path.read_text("utf-8"))["data"]["classes"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return ()
    if not isinstance(known, list) or not all(isinstance(name, str) for name in known):
        return ()
    return names_of(min(len(known), MAX_CLASSES), known)


def _inert(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that no shell interprets; with a tilde only if the user typed one."""
    return [
        word
        for word in words
        if _INERT.fullmatch(word) and word.startswith("~/") <= incomplete.startswith("~/")
    ]


def _paths(incomplete: str, suffix: str | tuple[str, ...]) -> list[str]:
    """Offer what begins with `incomplete`: folders, ending in /, and files with such a suffix.

    A single folder comes with what is in it: bash adds a space after a single offer, and then
    nothing in the folder could be reached.
    """
    found = _entries(incomplete, suffix)
    if len(found) == 1 and found[0].endswith("/"):
        found += _entries(found[0], suffix)
    return _inert(found, incomplete)


def _entries(incomplete: str, suffix: str | tuple[str, ...]) -> list[str]:
    folder, name = os.path.split(incomplete)
    before = incomplete.removesuffix(name) if name else incomplete
    found = []
    try:
        with os.scandir(Path(folder).expanduser() if folder else ".") as entries:
            for entry in islice(entries, _MAX_ENTRIES):
                hidden = entry.name.startswith(".") and not name.startswith(".")
                if entry.name.startswith(name) and not hidden:
                    if entry.is_dir():
                        found.append(f"{before}{entry.name}/")
                    elif entry.name.endswith(suffix):
                        found.append(f"{before}{entry.name}")
    except (OSError, RuntimeError):  # RuntimeError: nobody has that home folder
        return []
    return sorted(found)
