"""A record of the images that this user has trained on, on this machine.

A checkpoint names the images that it was trained on by a path or an address, and may come from
anyone. So only images that this user has trained on before, or names, are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from ganctl import private_folders
from ganctl.errors import RunError


def remember(name: str, digest: str) -> None:
    """Record that the images `name` with this `digest` were trained on, if that can be written."""
    with contextlib.suppress(OSError, RunError):
        _mark(name, digest).touch()


def is_known(name: str, digest: str) -> bool:
    """Return whether these images were recorded."""
    try:
        return _mark(name, digest).exists()
    except (OSError, RunError):
        return False


def _mark(name: str, digest: str) -> Path:
    key = hashlib.sha256(json.dumps([name, digest]).encode()).hexdigest()
    return private_folders.folder("trained") / key
