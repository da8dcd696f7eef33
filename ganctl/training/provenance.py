"""The device, machine and versions that a run computes with, which decide how it rounds."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import ganctl
from ganctl import devices

_DECIDE_BITS = ("device", "machine", "ganctl", "torch", "numpy", "processes")
"""Parts of `computed_by`: while all of them stay the same, results are bit for bit the same."""


def computed_by(
    device: torch.device, num_processes: int = 1, num_threads: int | None = None
) -> dict[str, str | int]:
    """Return the device, the machine and the versions that a run computes with."""
    return {
        "processes": num_processes,
        "device": devices.describe(device, num_threads),
        "machine": devices.describe_machine(),
        "ganctl": ganctl.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a warning if the device, machine or versions changed, so that bits may differ."""
    before = {"processes": 1, **before}
    found = [
        f"{name} was {before[name]}, now {now[name]}"
        for name in _DECIDE_BITS
        if before.get(name, now[name]) != now[name]
    ]
    return [f"Results may differ in rounding: {'; '.join(found)}."] if found else []
