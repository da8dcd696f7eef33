"""Small networks for many quick steps (preset `fast`).

No normalization anywhere: updates are cheap, and the R1 penalty keeps the discriminator smooth.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganctl.config import NetworkConfig
from ganctl.networks import thin
from ganctl.networks.layers import Logit, ToImage, ToVector

_SLOPE = 0.2


def _initialize(network: nn.Module, rng: torch.Generator) -> None:
    """He-normal weights, zero biases (He et al. 2015, eq. 10).

    A transposed convolution's output pixel gathers its kernel's size over its stride, squared.
    """
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        fan_in = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):
            fan_in = module.in_channels * math.prod(module.kernel_size) // math.prod(module.stride)
        is_logit = isinstance(module, Logit)
        nn.init.normal_(
            module.weight, std=math.sqrt((1 if is_logit else 2) / fan_in), generator=rng
        )
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """latents (N, input_dim) → images (N, C, H, W) in [-1, 1]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        base = config.base_channels
        height, width = config.height // 4, config.width // 4
        last = 6 if config.refine else 4
        refining = [nn.Conv2d(base, base, 3, padding=1), nn.ReLU()] if config.refine else []
        self.layers = nn.Sequential(
            nn.Linear(config.input_dim, 4 * base * height * width),
            ToImage(4 * base, height, width),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * base, base, 4, stride=2, padding=1),
            nn.ReLU(),
            *refining,
            thin.ConvTranspose2d(base, config.channels, last, stride=2, padding=last // 2 - 1),
            nn.Tanh(),
        )

    def initialize(self, rng: torch.Generator) -> None:
        """Initial weights from `rng`."""
        _initialize(self, rng)
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():  # a one-hot class weighs about as much as a whole latent
            first.weight[:, self.latent_dim :].normal_(generator=rng)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class Discriminator(nn.Module):
    """images (N, C, H, W) in [-1, 1], one-hot classes (N, K) or None → logits (N, 1)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        base = config.base_channels
        height, width = math.ceil(config.height / 8), math.ceil(config.width / 8)
        self.layers = nn.Sequential(
            thin.Conv2d(config.channels, base, 4, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(base, 2 * base, 4, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(2 * base, 4 * base, 3, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            ToVector(),
            Logit(4 * base * height * width, config.num_classes),
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
