"""What a checkpoint records of the images and of what computes."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch

import ganctl
from ganctl import devices
from ganctl.classes import stored
from ganctl.datasets.base import ImageDataset


def describe_data(dataset: ImageDataset) -> dict[str, Any]:
    """Return what the images are."""
    return {
        "name": dataset.name,
        "num_images": len(dataset),
        "image_shape": list(dataset.image_shape),
        "digest": dataset.digest,
        "classes": stored(dataset.classes),
    }


def computed_by(device: torch.device, num_processes: int = 1) -> dict[str, str | int]:
    """Return the device, the machine and the versions that a run computes with."""
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
