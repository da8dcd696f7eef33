"""Statistics of every tensor of both networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganctl.checkpoint import Weights
from ganctl.config.schema import NetworkConfig
from ganctl.inspection.problems import each_weight, num_dead_units, units_of

_NUM_BINS = 16


def describe_weights(config: NetworkConfig, parts: Mapping[str, Weights]) -> list[dict[str, Any]]:
    """Return the statistics of each tensor of the networks in `parts`.

    These are mean, std, min, max, norm, histogram, and more. They are taken over the finite numbers
    alone, and are None if there are none. `histogram` counts them in 16 bins of equal width from
    min to max. `spectral_norm`, `units` and `dead_units` are those of weights of two or more axes,
    None for others.
    """
    return [
        {"part": part, "name": name, **_statistics(layer, name, tensor)}
        for part, name, layer, tensor in each_weight(config, parts)
    ]


def _statistics(layer: nn.Module, name: str, tensor: Tensor) -> dict[str, Any]:
    values = tensor[tensor.isfinite()].float()
    known = values.numel() > 0
    is_weight = name.endswith("weight") and tensor.dim() > 1
    is_finite = values.numel() == tensor.numel()
    dead, units = num_dead_units(layer, tensor) if is_weight else (None, None)
    return {
        "shape": list(tensor.shape),
        "finite": is_finite,
        "mean": _number(values.mean()) if known else None,
        "std": _number(values.std(correction=0)) if known else None,
        "min": _number(values.min()) if known else None,
        "max": _number(values.max()) if known else None,
        "norm": _number(torch.linalg.vector_norm(values, dtype=torch.float64)),
        "histogram": _histogram(values) if known else None,
        "spectral_norm": _spectral_norm(units_of(layer, tensor))
        if is_weight and is_finite
        else None,
        "units": units,
        "dead_units": dead,
    }


def _spectral_norm(units: Tensor) -> float | None:
    """Return the largest singular value of a weight as a matrix with one row per unit.

    For a convolution this is what spectral normalization divides by (Miyato et al. 2018, section
    2.1), not the norm of the convolution as an operator on images.
    """
    return _number(torch.linalg.matrix_norm(units.flatten(1).double(), ord=2))


def _histogram(values: Tensor) -> list[int]:
    # A range that no float32 holds is scaled down to one; the counts stay the same.
    scale = float(values.abs().max())
    return torch.histc(values / scale if scale > 0 else values, _NUM_BINS).int().tolist()


def _number(value: Tensor) -> float | None:
    return float(value) if value.isfinite() else None
