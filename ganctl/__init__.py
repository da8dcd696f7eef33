"""Train, sample, interpolate and inspect GANs, from the command line and from Python."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganctl.api import train
    from ganctl.errors import GanctlError, GanctlWarning
    from ganctl.evaluation.comparison import Comparison, compare_images
    from ganctl.inspection import inspect
    from ganctl.latents_file import Latents
    from ganctl.model import Model, load
    from ganctl.samples import Samples, Walk
    from ganctl.steering.directions import Directions
    from ganctl.steering.projection import Projection
    from ganctl.training.callback import Callback

__version__ = "0.1.0"
__all__ = [
    "Callback",
    "Comparison",
    "Directions",
    "GanctlError",
    "GanctlWarning",
    "Latents",
    "Model",
    "Projection",
    "Samples",
    "Walk",
    "__version__",
    "compare_images",
    "inspect",
    "load",
    "train",
]

_HOMES = {
    "Callback": "ganctl.training.callback",
    "Comparison": "ganctl.evaluation.comparison",
    "Directions": "ganctl.steering.directions",
    "GanctlError": "ganctl.errors",
    "GanctlWarning": "ganctl.errors",
    "Latents": "ganctl.latents_file",
    "Model": "ganctl.model",
    "Projection": "ganctl.steering.projection",
    "Samples": "ganctl.samples",
    "Walk": "ganctl.samples",
    "compare_images": "ganctl.evaluation.comparison",
    "inspect": "ganctl.inspection",
    "load": "ganctl.model",
    "train": "ganctl.api",
}
"""The module of each name, which is imported on first use since most of them load torch."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ganctl' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
