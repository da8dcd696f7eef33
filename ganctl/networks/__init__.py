"""Generators and discriminators, built from their config alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ganctl import efficientnet
from ganctl.config.schema import NetworkConfig
from ganctl.errors import CheckpointError, Setting, Text, UsageError
from ganctl.networks import dcgan, fast, guided
from ganctl.networks.layers import Generator, Place

_ARCHITECTURES = {"dcgan": dcgan, "fast": fast, "guided": guided}
_BY_IMAGE = ("fast", "guided")
_MEMORY_FORMAT = torch.channels_last
"""Layout of all networks: fast on CPUs and tensor cores; one everywhere, for equal bits."""


def build_generator(config: NetworkConfig, rng: torch.Generator | None = None) -> nn.Module:
    """Return a new generator: latents (N, input_dim) → images (N, C, H, W) in [-1, 1].

    Its initial weights are drawn from `rng` on the CPU; without one it is on the meta device.
    """
    return _build(_ARCHITECTURES[config.architecture].generator, config, rng)


def build_discriminator(config: NetworkConfig, rng: torch.Generator | None = None) -> nn.Module:
    """Return a new discriminator, with `rng` as for a generator.

    Images (N, C, H, W) in [-1, 1] and one-hot classes (N, K) or None → logits (N, 1). A guided one
    also takes the maps of `build_feature_maps`, and has logits for all places in them, (N, 1+P).
    """
    return _build(_ARCHITECTURES[config.architecture].discriminator, config, rng)


def build_feature_maps(config: NetworkConfig, device: torch.device) -> nn.Module | None:
    """Return the frozen network whose maps the discriminator of `config` also judges, if it does.

    Images (N, C, H, W) in [-1, 1] → maps. Raises PackageError if the package of its weights is not
    installed, DataError if they are damaged.
    """
    if not map_shapes(config):
        return None
    weights = efficientnet.read_weights(f"the architecture '{config.architecture}'")
    return efficientnet.FeatureMaps(weights).to(device)


def computes_by_image(config: NetworkConfig) -> bool:
    """Return whether each image of a batch is computed by itself.

    It is not with batch normalization, nor with dropout masks that are drawn for a whole batch.
    """
    return config.architecture in _BY_IMAGE


def map_shapes(config: NetworkConfig) -> list[tuple[int, int, int]]:
    """Return the shapes (C, H, W) of the maps that the discriminator judges; empty if none."""
    if config.architecture != "guided":
        return []
    return efficientnet.map_shapes(config.height, config.width)


def _build(
    build: Callable[[NetworkConfig], nn.Module], config: NetworkConfig, rng: torch.Generator | None
) -> nn.Module:
    if rng is None:
        with torch.device("meta"):
            return build(config)
    network = build(config)
    _ARCHITECTURES[config.architecture].initialize(network, config, rng)
    return network.to(memory_format=_MEMORY_FORMAT)


def meta_networks(config: NetworkConfig) -> dict[str, nn.Module]:
    """Return both networks on the meta device, by their names in a checkpoint."""
    return {"generator": build_generator(config), "discriminator": build_discriminator(config)}


def tensors_by_place(config: NetworkConfig) -> dict[str, dict[Place, list[str]]]:
    """Return the names of the tensors at each place of both networks, by the networks' names."""
    found: dict[str, dict[Place, list[str]]] = {}
    places = _ARCHITECTURES[config.architecture].places(config)
    for part, network in meta_networks(config).items():
        tensors = network.state_dict()
        owners = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
        found[part] = {place: [] for place in places[part]}
        for owner, place in zip(owners, places[part], strict=True):
            found[part][place] += [name for name in tensors if name.rpartition(".")[0] == owner]
    return found


def first_layers(config: NetworkConfig, count: int) -> list[str]:
    """Return the names of the tensors of the discriminator's first `count` layers.

    These are at the image; the last layer, which gives the logits, is none of them. Raises
    UsageError if there are fewer.
    """
    if not count:
        return []
    layers = []
    for place, names in tensors_by_place(config)["discriminator"].items():
        if place.class_axis is not None:  # the last layer; what follows is not at the image
            break
        layers.append(names)
    if count > len(layers):
        size = f"{config.height}x{config.width}"
        raise UsageError(
            Text("{} is too many layers", Setting("freeze_d", count)),
            f"The discriminator of {size} pixels has {len(layers)} before its last.",
        )
    return [name for names in layers[:count] for name in names]


def load_generator(
    config: NetworkConfig, weights: Mapping[str, Tensor], device: torch.device
) -> nn.Module:
    """Return a generator with `weights`, in eval mode on `device`.

    Raises CheckpointError if the weights do not fit.
    """
    generator = build_generator(config)
    check_weights(generator.state_dict(), weights)
    generator.load_state_dict(weights, assign=True)
    generator.to(device).to(memory_format=_MEMORY_FORMAT)
    return generator.eval().requires_grad_(False)


def first_outputs(generator: nn.Module, inputs: Tensor, *, activated: bool) -> Tensor:
    """Return the outputs (N, F) of a generator's first layer for inputs (N, input_dim).

    They are taken before or after its activation function, with any normalization between.
    """
    assert isinstance(generator, Generator)
    return generator.first_outputs(inputs, activated=activated)


def check_weights(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError unless `weights` have the names, shapes and types of `expected`."""
    problem = "does not fit its own configuration"
    for name in sorted(set(expected) ^ set(weights)):
        raise CheckpointError(
            f"{problem}: '{name[:80]}' is {'missing' if name in expected else 'unexpected'}"
        )
    for name, tensor in expected.items():
        found = weights[name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise CheckpointError(
                f"{problem}: '{name}' is {tuple(found.shape)} {found.dtype}, "
                f"not {tuple(tensor.shape)} {tensor.dtype}"
            )
