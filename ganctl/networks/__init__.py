"""Generator and discriminator, built from their config alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganctl.batch import Rows
from ganctl.config.schema import NetworkConfig
from ganctl.errors import CheckpointError
from ganctl.networks import dcgan, fast
from ganctl.networks.dropout import Dropout
from ganctl.networks.layers import Layer, layer_table, widened

__all__ = [
    "Layer",
    "both_networks",
    "build_discriminator",
    "build_generator",
    "check_weights",
    "generator_bytes",
    "generator_from",
    "layer_tables",
    "place_dropout",
    "seed_dropout",
]

_GENERATORS: dict[str, type[nn.Module]] = {"dcgan": dcgan.Generator, "fast": fast.Generator}
_DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Discriminator,
    "fast": fast.Discriminator,
}


def build_generator(config: NetworkConfig, rng: torch.Generator | None = None) -> nn.Module:
    """latents (N, input_dim) → images (N, C, H, W) in [-1, 1].

    Initial weights are drawn from `rng` (on the CPU); without one the network is a shape alone, on
    the meta device.
    """
    return _build(_GENERATORS[config.architecture], config, rng)


def build_discriminator(config: NetworkConfig, rng: torch.Generator | None = None) -> nn.Module:
    """images (N, C, H, W) in [-1, 1], one-hot classes (N, K) or None → logits (N, 1).

    `rng` as for the generator.
    """
    return _build(_DISCRIMINATORS[config.architecture], config, rng)


def both_networks(config: NetworkConfig) -> dict[str, nn.Module]:
    """Both as shapes alone, on the meta device, by their names in a checkpoint."""
    return {"generator": build_generator(config), "discriminator": build_discriminator(config)}


def layer_tables(config: NetworkConfig) -> dict[str, list[Layer]]:
    """Both networks layer by layer, by their names in a checkpoint."""
    inputs: dict[str, list[tuple[int, ...]]] = {
        "generator": [(config.input_dim,)],
        "discriminator": [config.image_shape, (config.num_classes,)],
    }
    return {
        name: layer_table(network, *inputs[name]) for name, network in both_networks(config).items()
    }


def generator_bytes(config: NetworkConfig) -> int:
    """Return the most bytes in fp32 that all layers of the generator put out for one image.

    From the settings alone: for `layer_tables` torch imports its compiler, which takes a second.
    """
    layers = 4
    """Of one stage, at most: two convolutions with an activation each, or with normalization."""
    elements = 2 * math.prod(config.image_shape)
    for left in range(1, config.stages + 1):
        pixels = (config.height >> left) * (config.width >> left)
        elements += layers * pixels * widened(config.base_channels, left - 1)
    elements += layers * pixels * widened(config.base_channels, config.stages)
    return 4 * elements


def generator_from(
    config: NetworkConfig, weights: Mapping[str, Tensor], device: torch.device
) -> nn.Module:
    """A generator with `weights`, in eval mode on `device`, ready to sample.

    Raises CheckpointError where the weights do not fit.
    """
    generator = build_generator(config)
    check_weights(generator, weights)
    generator.load_state_dict(weights, assign=True)
    generator.to(device).to(memory_format=_MEMORY_FORMAT)
    return generator.eval().requires_grad_(False)


def check_weights(
    expected: nn.Module | Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> None:
    """Names, shapes and types as `expected` has them, or CheckpointError."""
    tensors = expected.state_dict() if isinstance(expected, nn.Module) else expected
    for name in sorted(set(tensors) ^ set(weights)):
        lack = "lacks" if name in tensors else "has a stray"
        raise CheckpointError(f"does not fit its own configuration: it {lack} '{name[:80]}'")
    for name, tensor in tensors.items():
        found = weights[name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise CheckpointError(
                f"does not fit its own configuration: '{name}' is {tuple(found.shape)} "
                f"{found.dtype}, not {tuple(tensor.shape)} {tensor.dtype}"
            )


def seed_dropout(network: nn.Module, seed: int) -> None:
    """Make the dropout of the next forward passes a function of `seed`."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.reseed(seed)
            seed += 1


def place_dropout(network: nn.Module, rows: Rows) -> None:
    """Have the next pass drop what is dropped of these `rows` where a whole batch is passed."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.rows = rows


_MEMORY_FORMAT = torch.channels_last
"""Faster than the default on CPUs and on tensor cores, and everywhere the same, for equal bits."""


def _build(
    network: type[nn.Module], config: NetworkConfig, rng: torch.Generator | None
) -> nn.Module:
    if rng is None:
        with torch.device("meta"):
            return network(config)
    built = network(config)
    built.initialize(rng)  # type: ignore[operator]
    built.to(memory_format=_MEMORY_FORMAT)
    return built
