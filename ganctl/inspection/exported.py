"""An exported generator as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganctl import store
from ganctl.config.schema import settings
from ganctl.inspection.checkpoint import describe_networks
from ganctl.inspection.weights import describe_weights


def describe_exported(path: Path, *, weights: bool) -> dict[str, Any]:
    """Return all that `ganctl inspect` shows of the `.safetensors` file `path`.

    With `weights` it describes every tensor, too. Raises CheckpointError.
    """
    found = store.read_exported(path)
    network = found.config.network
    document = {
        "path": str(path),
        "bytes": path.stat().st_size,
        "digest": found.digest,
        "checkpoint": found.checkpoint,
        "ganctl": found.ganctl,
        "step": found.step,
        "data": dict(found.data),
        "config": settings(found.config),
        "conditional": network.num_classes > 0,
        "classes": found.classes,
        "ema": found.is_average,
        "generator": describe_networks(found.config)["generator"],
    }
    if weights:
        part = "generator_ema" if found.is_average else "generator"
        document["weights"] = describe_weights(network, {part: found.weights})
    return document
