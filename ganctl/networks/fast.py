"""Small networks for many quick steps (preset `fast`).

They have no normalization: steps are cheap, and the R1 penalty keeps the discriminator smooth.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import thin
from ganctl.networks.layers import (
    Discriminator,
    Generator,
    Logit,
    Place,
    ToImage,
    ToVector,
    num_channels,
)

_SLOPE = 0.2


def generator(config: NetworkConfig) -> Generator:
    """Return a generator whose stages double the sides and halve the channels.

    All stages but the last have a second convolution. The last computes the four pixels that each
    place becomes as channels (Shi et al. 2016), which is a transposed convolution with a kernel of
    6x6, in about half the time.
    """
    base, stages = config.base_channels, config.stages
    height, width = config.height >> stages, config.width >> stages
    channels = num_channels(base, stages)
    layers: list[nn.Module] = [
        nn.Linear(config.input_dim, channels * height * width),
        ToImage(channels, height, width),
        nn.ReLU(),
    ]
    for doublings in reversed(range(stages - 1)):
        outputs = num_channels(base, doublings)
        layers += [nn.ConvTranspose2d(channels, outputs, 4, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()]
        channels = outputs
    layers += [nn.Conv2d(base, 4 * config.channels, 3, padding=1), nn.PixelShuffle(2), nn.Tanh()]
    return Generator(*layers)


def discriminator(config: NetworkConfig) -> Discriminator:
    """Return a discriminator with a strided convolution for each stage, and one more."""
    base, stages = config.base_channels, config.stages
    outputs = num_channels(base, stages)
    height, width = (math.ceil(side / 2 ** (stages + 1)) for side in config.image_shape[1:])
    return Discriminator(
        *reductions(config),
        nn.Conv2d(num_channels(base, stages - 1), outputs, 3, stride=2, padding=1),
        nn.LeakyReLU(_SLOPE),
        ToVector(),
        Logit(outputs * height * width, config.num_classes),
    )


def reductions(config: NetworkConfig) -> list[nn.Module]:
    """Return a strided convolution for each stage, with an activation after it."""
    layers: list[nn.Module] = []
    channels = config.channels
    for stage in range(config.stages):
        outputs = num_channels(config.base_channels, stage)
        convolution = thin.Conv2d if stage == 0 else nn.Conv2d
        layers += [convolution(channels, outputs, 4, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
        channels = outputs
    return layers


def places(config: NetworkConfig) -> dict[str, list[Place]]:
    """Return the place of each layer that has weights, in their order, of both networks.

    Stages are counted from the image: there a filter sees pixels, and has a width, that do not
    depend on how many stages there are. The layers at the other end belong to their number.
    """
    depth = f"{config.stages} stages"
    generator = [Place(f"from latents to {depth}", class_axis=1)]
    for stage in reversed(range(1, config.stages)):
        generator += [Place(f"enlarge to stage {stage}"), Place(f"refine stage {stage}")]
    discriminator = [Place("from image")]
    discriminator += [Place(f"reduce stage {stage}") for stage in range(1, config.stages)]
    discriminator += [Place(f"reduce {depth}"), Place(f"judge {depth}", class_axis=0)]
    return {"generator": [*generator, Place("to image")], "discriminator": discriminator}


def initialize(network: nn.Module, config: NetworkConfig, rng: torch.Generator) -> None:
    """Draw He-normal weights, and zero the biases (He et al. 2015, eq. 10)."""
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        fan_in = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):
            # An output pixel is a sum over (kernel size / stride)^2 input pixels.
            fan_in = module.in_channels * math.prod(module.kernel_size) // math.prod(module.stride)
        gain = 1 if isinstance(module, Logit) else 2
        nn.init.normal_(module.weight, std=math.sqrt(gain / fan_in), generator=rng)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
    if isinstance(network, Generator):
        first = network.layers[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():  # a one-hot class shall weigh about as much as a whole latent
            first.weight[:, config.latent_dim :].normal_(generator=rng)
