"""Which images this user has trained on here.

A checkpoint names the images it was trained on, by a path or an address, and may come from anyone.
Only images that are at hand, or that this user trained on or names, are read because of that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from ganctl import places
from ganctl.errors import RunError


def remember(name: str, digest: str) -> None:
    """Note that a training here was told to read the images `name` with this `digest`."""
    with contextlib.suppress(OSError, RunError):  # then they must be named another time
        _mark(name, digest).touch()


def is_known(name: str, digest: str) -> bool:
    """Whether `remember` was told of these images."""
    try:
        return _mark(name, digest).exists()
    except (OSError, RunError):
        return False


def _mark(name: str, digest: str) -> Path:
    key = hashlib.sha256(json.dumps([name, digest]).encode()).hexdigest()
    return places.folder("trained") / key
