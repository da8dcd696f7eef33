"""Networks layer by layer: the shapes and sizes of what they compute."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import build_discriminator, build_generator, map_shapes, meta_networks
from ganctl.networks.layers import num_channels


@dataclass(frozen=True)
class Layer:
    """A layer of a network."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Shape without the batch."""
    num_trained: int
    """Number of parameters that the optimizer changes."""
    num_statistics: int
    """Number of running statistics of batch normalization."""

    @property
    def num_parameters(self) -> int:
        """Number of parameters as Keras counts them, with running statistics."""
        return self.num_trained + self.num_statistics


def summarize(config: NetworkConfig) -> dict[str, list[Layer]]:
    """Return the layers of both networks, by the networks' names in a checkpoint."""
    with torch.device("meta"):
        inputs = _inputs(config)
    return {
        name: list_layers(network, *inputs[name]) for name, network in meta_networks(config).items()
    }


def _inputs(config: NetworkConfig) -> dict[str, list[Any]]:
    """Return inputs of both networks, blank and in batches of two, by the networks' names."""
    images = torch.zeros(2, *config.image_shape), torch.zeros(2, config.num_classes)
    maps = [torch.zeros(2, *shape) for shape in map_shapes(config)]
    return {
        "generator": [torch.zeros(2, config.input_dim)],
        "discriminator": [*images, maps] if maps else [*images],
    }


def list_layers(network: nn.Module, *inputs: Any) -> list[Layer]:
    """Return the leaves of `network` in the order of the data; its `inputs` are on its device."""
    layers: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def record(module: nn.Module, _: object, output: Tensor) -> None:
        layers.append(
            Layer(
                name=names[module],
                kind=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                num_trained=sum(parameter.numel() for parameter in module.parameters()),
                num_statistics=sum(
                    buffer.numel() for buffer in module.buffers() if buffer.is_floating_point()
                ),
            )
        )

    hooks = [module.register_forward_hook(record) for module in names if not any(module.children())]
    with torch.no_grad():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    return layers


def multiplications(config: NetworkConfig) -> dict[str, int]:
    """Return the multiplications of both networks for one image, by the networks' names.

    Those of convolutions and linear layers count. Nothing is on the meta device, which would make
    torch import its compiler, and that takes a second.
    """
    inputs = _inputs(config)
    counts = dict.fromkeys(inputs, 0)

    def count(name: str, module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        # Each value that a transposed convolution takes, and each one that others make.
        values = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        counts[name] += values[0].numel() * module.weight[0].numel()

    for name, build in (("generator", build_generator), ("discriminator", build_discriminator)):
        network = build(config, torch.Generator())
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                module.register_forward_hook(functools.partial(count, name))
        with torch.no_grad():
            network(*inputs[name])
    return counts


def output_bytes(config: NetworkConfig) -> int:
    """Return the bytes of all layers' outputs in fp32, for one real and one generated image."""
    passes = {"generator": 1, "discriminator": 2}
    return sum(
        4 * passes[part] * math.prod(layer.output_shape)
        for part, table in summarize(config).items()
        for layer in table
    )


def most_output_bytes(config: NetworkConfig) -> int:
    """Return an upper bound of `output_bytes`: the discriminator's layers of pixels are no larger
    than the generator's, and those of feature maps not much larger than the maps."""
    of_maps = sum(4 * math.prod(shape) for shape in map_shapes(config))
    return 3 * generator_output_bytes(config) + 6 * of_maps


def generator_output_bytes(config: NetworkConfig) -> int:
    """Return an upper bound of the bytes of all layers' outputs for one generated image in fp32.

    Computed from the settings alone, since `summarize` makes torch import its compiler, which takes
    a second.
    """
    max_layers = 4  # in a stage: two convolutions, each with an activation or a normalization
    elements = 2 * math.prod(config.image_shape)
    if config.architecture == "fast":  # the pixels before they are in place
        elements += math.prod(config.image_shape)
    pixels = (config.height >> config.stages) * (config.width >> config.stages)
    elements += max_layers * pixels * num_channels(config.base_channels, config.stages)
    if config.architecture == "guided":  # enlarged after a stage's convolution, and scaled
        max_layers += 2
        elements += 3 * config.height * config.width * config.base_channels
    for stage in range(1, config.stages + 1):
        pixels = (config.height >> stage) * (config.width >> stage)
        elements += max_layers * pixels * num_channels(config.base_channels, stage - 1)
    return 4 * elements
