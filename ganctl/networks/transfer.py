"""Weights that a network takes over from another one of the same architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import tensors_by_place
from ganctl.networks.layers import Place


@dataclass(frozen=True)
class Transfer:
    """The tensors of a network, by whether they were taken over."""

    taken: tuple[str, ...]
    """Names of the tensors that were taken over, if only in part."""
    new: tuple[str, ...]
    """Names of the tensors that were not."""
    with_new_classes: tuple[str, ...]
    """Names of the tensors taken over but for the weights of some or all classes."""


@torch.no_grad()
def transfer(
    part: str,
    network: nn.Module,
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    origin: NetworkConfig,
    classes: Mapping[int, int],
) -> Transfer:
    """Copy to `network` the `weights` of another one wherever both have the same place and shape.

    `part` is its name in a checkpoint, `config` and `origin` describe the two. A layer is taken
    over whole or not at all, except for its classes: `classes` maps those of `network` to the
    others that they continue, and the rest keep the weights that they have.
    """
    tensors = network.state_dict()
    is_like = (config.architecture, config.base_channels) == (
        origin.architecture, origin.base_channels
    )  # fmt: skip
    others = tensors_by_place(origin)[part] if is_like else {}
    taken: list[str] = []
    partly: list[str] = []
    for place, names in tensors_by_place(config)[part].items():
        counterparts = others.get(place, [])
        if len(counterparts) != len(names):
            continue
        ours = [_split(tensors[name], place, config.num_classes) for name in names]
        theirs = [_split(weights[name], place, origin.num_classes) for name in counterparts]
        pairs = list(zip(ours, theirs, strict=True))
        if all(one.shared.shape == other.shared.shape for one, other in pairs):
            are_whole = [_copy(*pair, classes) for pair in pairs]
            taken += names
            partly += [name for name, whole in zip(names, are_whole, strict=True) if not whole]
    new = tuple(name for name in tensors if name not in taken)
    return Transfer(tuple(taken), new, tuple(partly))


class _Split(NamedTuple):
    """Views of a tensor: what all classes share, and the weights of each class, if it has any."""

    shared: Tensor
    by_class: Tensor | None


def _split(tensor: Tensor, place: Place, num_classes: int) -> _Split:
    axis = place.class_axis
    if axis is None or axis >= tensor.ndim or num_classes == 0:
        return _Split(tensor, None)
    num_shared = tensor.shape[axis] - num_classes
    by_class = tensor.narrow(axis, num_shared, num_classes).movedim(axis, 0)
    return _Split(tensor.narrow(axis, 0, num_shared), by_class)


def _copy(ours: _Split, theirs: _Split, classes: Mapping[int, int]) -> bool:
    """Copy what fits of `theirs` to `ours`; return whether that is all of it."""
    ours.shared.copy_(theirs.shared)
    if ours.by_class is None:
        return True
    if theirs.by_class is None:
        return False
    for number, other in classes.items():
        ours.by_class[number].copy_(theirs.by_class[other])
    return len(classes) == len(ours.by_class)
