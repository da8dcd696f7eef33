"""The classic convolutional GAN, to the letter (preset `dcgan`).

Layers, biases, initial weights and batch normalization's constants follow the Keras recipe; a
kernel of 5 with stride 2 and padding 2 (and output padding 1 in the generator) is its 'same', but
for the odd pixel of padding, which lies on the other side: a mirror image of the same network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import fourier, thin
from ganctl.networks.dropout import Dropout
from ganctl.networks.layers import Logit, ToImage, ToVector, widened

_SLOPE = 0.3  # Keras's LeakyReLU
_MOMENTUM, _EPSILON = 0.01, 1e-3  # Keras's 0.99 is torch's 1 - 0.99


def _initialize(network: nn.Module, rng: torch.Generator) -> None:
    """Glorot-uniform weights, zero biases (Glorot & Bengio 2010, eq. 16)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """latents (N, input_dim) → images (N, C, H, W) in [-1, 1].

    Of two stages for 28x28, as the recipe has it; larger images have more of the same, from about
    4x4 on, as in Radford et al. 2016, figure 1.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        base, stages = config.base_channels, config.stages
        height, width = config.height >> stages, config.width >> stages
        first, channels = widened(base, stages), widened(base, stages - 1)

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
        for left in reversed(range(stages - 1)):
            outputs = widened(base, left)
            layers += [
                nn.ConvTranspose2d(channels, outputs, 5, **upsample),
                nn.BatchNorm2d(outputs, _EPSILON, _MOMENTUM),
                nn.LeakyReLU(_SLOPE),
            ]
            channels = outputs
        layers += [thin.ConvTranspose2d(base, config.channels, 5, **upsample), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def initialize(self, rng: torch.Generator) -> None:
        """Initial weights from `rng`."""
        _initialize(self, rng)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class Discriminator(nn.Module):
    """images (N, C, H, W) in [-1, 1], one-hot classes (N, K) or None → logits (N, 1)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        base, stages = config.base_channels, config.stages
        layers: list[nn.Module] = []
        channels = config.channels
        for stage in range(stages):
            outputs = widened(base, stage)
            convolution = thin.Conv2d if stage == 0 else nn.Conv2d
            layers += [
                convolution(channels, outputs, 5, stride=2, padding=2),
                nn.LeakyReLU(_SLOPE),
                Dropout(0.3),
            ]
            channels = outputs
        pixels = (config.height >> stages) * (config.width >> stages)
        self.layers = nn.Sequential(
            *layers, ToVector(), Logit(channels * pixels, config.num_classes)
        )

    def initialize(self, rng: torch.Generator) -> None:
        """Initial weights from `rng`."""
        _initialize(self, rng)

    def forward(self, images: Tensor, classes: Tensor | None = None) -> Tensor:
        *body, logit = self.layers
        x = images
        for layer in body:
            x = layer(x)
        logits: Tensor = logit(x, classes)
        return logits
