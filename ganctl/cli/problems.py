"""What is wrong with a checkpoint, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ganctl.checkpoint import Checkpoint
from ganctl.networks import both_networks
from ganctl.text import counted
from ganctl.training.health import Sign, signs


@dataclass(frozen=True)
class Problem:
    """Something that is wrong: in a word or two for a table, and at length."""

    kind: str
    text: str


def problems(checkpoint: Checkpoint) -> list[Problem]:
    """What inspect warns of, most serious first: weights, then moments, then the training."""
    networks = both_networks(checkpoint.config.network)
    networks["generator_ema"] = networks["generator"]
    found = []
    for part in ("generator", "generator_ema", "discriminator"):
        for name, tensor in (getattr(checkpoint, part) or {}).items():
            layer = networks[part].get_submodule(name.rpartition(".")[0])
            trained = checkpoint.step > 0 and name.endswith("weight")
            if trouble := _not_finite(tensor):
                found.append(Problem("not finite", f"{part} {name}: {trouble}"))
            elif trained and (trouble := _dead(layer, tensor)):
                found.append(Problem("dead units", f"{part} {name}: {trouble}"))
    for part in ("optimizer_g", "optimizer_d"):
        for moment, tensors in getattr(checkpoint, part).items():
            for name, tensor in tensors.items():
                if trouble := _not_finite(tensor):
                    found.append(Problem("not finite", f"{part} {moment} {name}: {trouble}"))
    return [*found, *_signs(checkpoint.history)]


def num_dead_units(layer: nn.Module, weight: Tensor) -> tuple[int, int]:
    """How many units of a layer (filters of a convolution) have nothing but zeros; and of all."""
    units = units_of(layer, weight)
    alive = units.reshape(len(units), -1).any(1)
    return len(units) - int(alive.sum()), len(units)


def units_of(layer: nn.Module, weight: Tensor) -> Tensor:
    """`weight` with its units along the first axis."""
    return weight.movedim(1 if isinstance(layer, nn.ConvTranspose2d) else 0, 0)


def _not_finite(tensor: Tensor) -> str:
    return "" if bool(tensor.isfinite().all()) else "holds NaN or infinity"


def _dead(layer: nn.Module, weight: Tensor) -> str:
    dead, units = num_dead_units(layer, weight)
    if dead == units:
        return "dead, every weight is 0"
    return (
        f"{dead} of {counted(units, 'unit')} {'is' if dead == 1 else 'are'} dead: all weights are 0"
        if dead
        else ""
    )


def _signs(history: list[dict[str, Any]]) -> list[Problem]:
    """What went wrong in the training, and in which epochs."""
    epochs: dict[Sign, list[int]] = {}
    for row in history:
        for sign in signs(row):
            epochs.setdefault(sign, []).append(row["epoch"])
    return [
        Problem(
            sign.name,
            f"{_epochs(found[0], found[-1])} ({len(found)} of {len(history)}): {sign.meaning}",
        )
        for sign, found in epochs.items()
    ]


def _epochs(first: int, last: int) -> str:
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"
