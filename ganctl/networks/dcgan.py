"""The classic convolutional GAN, to the letter (preset `dcgan`).

Layers, biases, initial weights and batch normalization's constants follow the Keras recipe; a
kernel of 5 with stride 2 and padding 2 (and output padding 1 in the generator) is its 'same', but
for the odd pixel of padding, which lies on the other side: a mirror image of the same network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganctl.config import NetworkConfig
from ganctl.networks import fourier, thin
from ganctl.networks.dropout import Dropout
from ganctl.networks.layers import Logit, ToImage, ToVector

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
    """latents (N, input_dim) → images (N, C, H, W) in [-1, 1]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        base = config.base_channels
        height, width = config.height // 4, config.width // 4

        upsample: dict[str, Any] = {"stride": 2, "padding": 2, "output_padding": 1, "bias": False}
        self.layers = nn.Sequential(
            nn.Linear(config.input_dim, 4 * base * height * width, bias=False),
            nn.BatchNorm1d(4 * base * height * width, _EPSILON, _MOMENTUM),
            nn.LeakyReLU(_SLOPE),
            ToImage(4 * base, height, width),
            fourier.ConvTranspose2d(4 * base, 2 * base, kernel_size=5),
            nn.BatchNorm2d(2 * base, _EPSILON, _MOMENTUM),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose2d(2 * base, base, 5, **upsample),
            nn.BatchNorm2d(base, _EPSILON, _MOMENTUM),
            nn.LeakyReLU(_SLOPE),
            thin.ConvTranspose2d(base, config.channels, 5, **upsample),
            nn.Tanh(),
        )

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
        base = config.base_channels
        self.layers = nn.Sequential(
            thin.Conv2d(config.channels, base, 5, stride=2, padding=2),
            nn.LeakyReLU(_SLOPE),
            Dropout(0.3),
            nn.Conv2d(base, 2 * base, 5, stride=2, padding=2),
            nn.LeakyReLU(_SLOPE),
            Dropout(0.3),
            ToVector(),
            Logit(2 * base * (config.height // 4) * (config.width // 4), config.num_classes),
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
