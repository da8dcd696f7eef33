"""The classic deep convolutional GAN, to the letter (preset `dcgan`).

Layers, biases, initial weights and the constants of batch normalization are those of the Keras
recipe. A kernel of 5 with stride 2 and padding 2 (and output padding 1 in the generator) is its
'same' padding, except that the odd pixel of padding is on the other side: a mirrored network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import fourier, thin
from ganctl.networks.dropout import Dropout
from ganctl.networks.layers import (
    Discriminator,
    Generator,
    Logit,
    Place,
    ToImage,
    ToVector,
    num_channels,
)

_SLOPE = 0.3  # Keras's LeakyReLU
_MOMENTUM, _EPSILON = 0.01, 1e-3  # Keras's 0.99 is torch's 1 - 0.99


def generator(config: NetworkConfig) -> Generator:
    """Return a generator with two stages for 28x28 pixels, as in the recipe.

    Larger images have more such stages, from about 4x4 pixels (Radford et al. 2016, figure 1).
    """
    base, stages = config.base_channels, config.stages
    height, width = config.height >> stages, config.width >> stages
    first, channels = num_channels(base, stages), num_channels(base, stages - 1)
    upsample: dict[str, Any] = {"stride": 2, "padding": 2, "output_padding": 1, "bias": False}
    layers: list[nn.Module] = [
        nn.Linear(config.input_dim, first * height * width, bias=False),
        nn.BatchNorm1d(first * height * width, _EPSILON, _MOMENTUM),
        nn.LeakyReLU(_SLOPE),
        ToImage(first, height, width),
        fourier.ConvTranspose2d(first, channels, kernel_size=5),
        nn.BatchNorm2d(channels, _EPSILON, _MOMENTUM),
        nn.LeakyReLU(_SLOPE),
    ]
    for doublings in reversed(range(stages - 1)):
        outputs = num_channels(base, doublings)
        layers += [
            nn.ConvTranspose2d(channels, outputs, 5, **upsample),
            nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM),
            nn.LeakyReLU(_SLOPE),
        ]
        channels = outputs
    layers += [thin.ConvTranspose2d(base, config.channels, 5, **upsample), nn.Tanh()]
    return Generator(*layers)


def discriminator(config: NetworkConfig) -> Discriminator:
    """Return a discriminator with a strided convolution for each stage, and dropout after it."""
    layers: list[nn.Module] = []
    channels = config.channels
    for stage in range(config.stages):
        outputs = num_channels(config.base_channels, stage)
        convolution = thin.Conv2d if stage == 0 else nn.Conv2d
        layers += [
            convolution(channels, outputs, 5, stride=2, padding=2),
            nn.LeakyReLU(_SLOPE),
            Dropout(0.3),
        ]
        channels = outputs
    pixels = (config.height >> config.stages) * (config.width >> config.stages)
    return Discriminator(*layers, ToVector(), Logit(channels * pixels, config.num_classes))


def places(config: NetworkConfig) -> dict[str, list[Place]]:
    """Return the place of each layer that has weights, in their order, of both networks.

    Stages are counted from the image, as in `fast`. A convolution and its normalization have a
    place together.
    """
    depth = f"{config.stages} stages"
    generator = [Place(f"from latents to {depth}", class_axis=1)] * 2 + [
        Place(f"refine {depth}")
    ] * 2
    for stage in reversed(range(1, config.stages)):
        generator += [Place(f"enlarge to stage {stage}")] * 2
    discriminator = [Place("from image")]
    discriminator += [Place(f"reduce stage {stage}") for stage in range(1, config.stages)]
    discriminator += [Place(f"judge {depth}", class_axis=0)]
    return {"generator": [*generator, Place("to image")], "discriminator": discriminator}


def initialize(network: nn.Module, _: NetworkConfig, rng: torch.Generator) -> None:
    """Draw Glorot-uniform weights, and zero the biases (Glorot & Bengio 2010, eq. 16)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
