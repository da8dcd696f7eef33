"""The differences between two checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganctl.checkpoint import Checkpoint
from ganctl.config.schema import settings

_PARTS = ("generator", "generator_ema", "discriminator")
_TIMES = {"seconds", "elapsed_seconds", "images_per_sec"}
"""Columns that differ between any two runs, even if these are equal bit for bit."""


def compare(first: tuple[Path, Checkpoint], second: tuple[Path, Checkpoint]) -> dict[str, Any]:
    """Return the settings, data, tensors and losses in which two checkpoints differ.

    The relative difference of a tensor is |B - A| / |A|, Frobenius norms in double precision; None
    if that is not a number: A is zero, either holds NaN or infinity, or their shapes differ.
    """
    (_, a), (_, b) = first, second
    tensors = [row for part in _PARTS for row in _tensors(part, a, b)]
    return {
        "a": _summary(*first),
        "b": _summary(*second),
        "config": _unequal(settings(a.config), settings(b.config)),
        "data": _unequal(a.data, b.data),
        "num_tensors": len(tensors),
        "tensors": [row for row in tensors if row["difference"] != "none"],
        "losses_equal_epochs": _num_equal_epochs(a, b),
    }


def _summary(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "path": str(path),
        "digest": checkpoint.digest,
        "step": checkpoint.step,
        "last": checkpoint.history[-1] if checkpoint.history else {},
        "best_frechet_distance": checkpoint.lowest("frechet_distance"),
        "best_patch_distance": checkpoint.lowest("patch_distance"),
    }


def _unequal(a: dict[str, Any], b: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [a.get(name), b.get(name)] for name in a | b if a.get(name) != b.get(name)}


def _tensors(part: str, a: Checkpoint, b: Checkpoint) -> list[dict[str, Any]]:
    weights_a, weights_b = getattr(a, part) or {}, getattr(b, part) or {}
    rows = []
    for name in weights_a | weights_b:
        difference, relative = _difference(weights_a.get(name), weights_b.get(name))
        rows.append({"part": part, "name": name, "difference": difference, "relative": relative})
    return rows


def _difference(a: Tensor | None, b: Tensor | None) -> tuple[str, float | None]:
    if a is None or b is None:
        return ("only in A" if b is None else "only in B"), None
    if a.shape != b.shape:
        return "shape " + ", ".join("x".join(map(str, each.shape)) for each in (a, b)), None
    if a.equal(b):
        return "none", 0.0
    norm = torch.linalg.vector_norm(a, dtype=torch.float64)
    relative = torch.linalg.vector_norm(b.double() - a.double()) / norm
    return ("values", float(relative)) if relative.isfinite() else ("not a number", None)


def _num_equal_epochs(a: Checkpoint, b: Checkpoint) -> int:
    """Return how many epochs, from the first one on, have the same metrics in both."""
    number = 0
    for one, other in zip(a.history, b.history, strict=False):
        if any(one[name] != other[name] for name in one.keys() - _TIMES):
            break
        number += 1
    return number
