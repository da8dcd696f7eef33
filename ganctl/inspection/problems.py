"""Problems of a checkpoint: weights that are not finite, dead units, signs of trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ganctl.checkpoint import Checkpoint, Weights
from ganctl.config.schema import NetworkConfig
from ganctl.history import Sign, signs
from ganctl.networks import meta_networks
from ganctl.text import counted


@dataclass(frozen=True)
class Problem:
    """A problem of a checkpoint: a word or two for a table, and a full description."""

    kind: str
    text: str


def problems(checkpoint: Checkpoint) -> list[Problem]:
    """Return the problems, most serious first: in weights, moments, then the history."""
    found = []
    for part, name, layer, tensor in each_weight(checkpoint.config.network, parts_of(checkpoint)):
        trained = checkpoint.step > 0 and name.endswith("weight")
        if not tensor.isfinite().all():
            found.append(Problem("not finite", f"{part} {name}: holds NaN or infinity"))
        elif trained and (dead := _dead(layer, tensor)):
            found.append(Problem("dead units", f"{part} {name}: {dead}"))
    for part in ("optimizer_g", "optimizer_d"):
        for moment, tensors in getattr(checkpoint, part).items():
            found += [
                Problem("not finite", f"{part} {moment} {name}: holds NaN or infinity")
                for name, tensor in tensors.items()
                if not tensor.isfinite().all()
            ]
    return [*found, *_signs(checkpoint.history)]


def parts_of(checkpoint: Checkpoint) -> dict[str, Weights]:
    """Return the weights of a checkpoint's networks, by their names in it."""
    names = ("generator", "generator_ema", "discriminator")
    return {name: getattr(checkpoint, name) or {} for name in names}


def each_weight(
    config: NetworkConfig, parts: Mapping[str, Weights]
) -> Iterator[tuple[str, str, nn.Module, Tensor]]:
    """Yield each tensor of the networks in `parts`: part, name, its layer, and itself."""
    networks = meta_networks(config)
    networks["generator_ema"] = networks["generator"]
    for part, weights in parts.items():
        for name, tensor in weights.items():
            yield part, name, networks[part].get_submodule(name.rpartition(".")[0]), tensor


def num_dead_units(layer: nn.Module, weight: Tensor) -> tuple[int, int]:
    """Return the number of units of a layer (filters of a convolution) that are 0, and of all."""
    units = units_of(layer, weight)
    alive = units.reshape(len(units), -1).any(1)
    return len(units) - int(alive.sum()), len(units)


def units_of(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return `weight` with the layer's units, its outputs, along the first axis."""
    return weight.movedim(1 if isinstance(layer, nn.ConvTranspose2d) else 0, 0)


def _dead(layer: nn.Module, weight: Tensor) -> str:
    dead, units = num_dead_units(layer, weight)
    if dead == units:
        return "dead, every weight is 0"
    verb = "is" if dead == 1 else "are"
    return f"{dead} of {counted(units, 'unit')} {verb} dead: all weights are 0" if dead else ""


def _signs(history: list[dict[str, Any]]) -> list[Problem]:
    """Return the signs of trouble in the history, and in which epochs."""
    epochs: dict[Sign, list[int]] = {}
    for row in history:
        for sign in signs(row):
            epochs.setdefault(sign, []).append(row["epoch"])
    found = []
    for sign, (first, *more) in epochs.items():
        span = f"epochs {first} to {more[-1]}" if more else f"epoch {first}"
        text = f"{span} ({1 + len(more)} of {len(history)}): {sign.meaning}"
        found.append(Problem(sign.name, text))
    return found
