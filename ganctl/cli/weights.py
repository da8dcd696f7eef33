"""ganctl inspect --weights: each tensor of both networks in figures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganctl.checkpoint import Checkpoint
from ganctl.cli.problems import num_dead_units, units_of
from ganctl.cli.terminal import Terminal
from ganctl.networks import both_networks
from ganctl.rng import Fixed
from ganctl.text import sparkline

_BINS = 16
_MAX_ROUNDS = 200
_PRECISION = 1e-6


def describe_weights(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """A row a tensor: mean, std, min, max, norm, histogram, spectral norm, dead units.

    Figures are of the finite numbers alone, None where there are none. `histogram` counts them in
    16 bins of equal width from min to max. `spectral_norm` and the units are of weights of two or
    more axes.
    """
    networks = both_networks(checkpoint.config.network)
    networks["generator_ema"] = networks["generator"]
    return [
        {"part": part, "name": name, **_figures(_layer(networks[part], name), name, tensor)}
        for part in ("generator", "generator_ema", "discriminator")
        for name, tensor in (getattr(checkpoint, part) or {}).items()
    ]


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value of `matrix` (M, N), by power iteration.

    Golub & Van Loan, Matrix Computations, section 8.2; it comes near from below. Of a convolution
    as the matrix of its units, a row each: what spectral normalization divides by (Miyato et al.
    2018, section 2.1), not the norm of the convolution as an operator on images.
    """
    largest = float(matrix.abs().max())
    if largest == 0:
        return 0.0
    matrix = matrix / largest  # squares of it are summed
    rng = torch.Generator().manual_seed(Fixed.POWER_ITERATION)
    vector = torch.randn(matrix.shape[1], generator=rng)
    vector /= vector.norm()
    found = 0.0
    for _ in range(_MAX_ROUNDS):
        image = matrix @ vector
        before, found = found, float(image.norm())
        vector = matrix.T @ image
        length = vector.norm()
        if not length > 0 or abs(found - before) <= _PRECISION * found:
            break
        vector /= length
    return found * largest


def show_weights(rows: list[dict[str, Any]], terminal: Terminal) -> None:
    """What `describe_weights` gave, two tables a network: each fits 80 columns."""
    for part in dict.fromkeys(row["part"] for row in rows):
        mine = [row for row in rows if row["part"] == part]
        terminal.heading(f"{part.replace('generator_ema', 'moving average of the generator')}")
        terminal.table(
            ("tensor", "mean", "std", "min", "max", "norm"),
            [
                (row["name"], *(_short(row[name]) for name in ("mean", "std", "min", "max",
                 "norm")))
                for row in mine
            ],
        )  # fmt: skip
        terminal.table(
            ("tensor", "spectral norm", "dead units", "histogram"),
            [
                (
                    row["name"],
                    _short(row["spectral_norm"]),
                    "" if row["units"] is None else f"{row['dead_units']} of {row['units']}",
                    sparkline(row["histogram"], low=0) if row["histogram"] else "",
                )
                for row in mine
            ],
        )
    terminal.note(
        "Spectral norms are of each weight as a matrix with a row a unit, by power iteration."
    )


def _layer(network: nn.Module, name: str) -> nn.Module:
    return network.get_submodule(name.rpartition(".")[0])


def _figures(layer: nn.Module, name: str, tensor: Tensor) -> dict[str, Any]:
    values = tensor[tensor.isfinite()].float()
    known = values.numel() > 0
    low, high = (float(values.min()), float(values.max())) if known else (None, None)
    weight = name.endswith("weight") and tensor.dim() > 1
    finite = values.numel() == tensor.numel()
    dead, units = num_dead_units(layer, tensor) if weight else (None, None)
    matrix = units_of(layer, tensor).flatten(1).float() if weight and finite else None
    return {
        "shape": list(tensor.shape),
        "finite": finite,
        "mean": _number(values.mean()) if known else None,
        "std": _number(values.std(correction=0)) if known else None,
        "min": low,
        "max": high,
        "norm": _number(torch.linalg.vector_norm(values, dtype=torch.float64)),
        "histogram": [int(number) for number in _histogram(values)] if known else None,
        "spectral_norm": None if matrix is None else _finite(spectral_norm(matrix)),
        "units": units,
        "dead_units": dead,
    }


def _histogram(values: Tensor) -> Tensor:
    # A range that no float32 holds is brought down to one; counts stay the same.
    scale = float(values.abs().max())
    return torch.histc(values / scale if scale > 0 else values, _BINS)


def _number(value: Tensor) -> float | None:
    return _finite(float(value))


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
