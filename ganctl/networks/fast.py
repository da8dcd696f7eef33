"""Small networks for many quick steps (preset `fast`).

No normalization anywhere: updates are cheap, and the R1 penalty keeps the discriminator smooth.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganctl.config.schema import NetworkConfig
from ganctl.networks import thin
from ganctl.networks.layers import Logit, ToImage, ToVector, widened

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
    """latents (N, input_dim) → images (N, C, H, W) in [-1, 1].

    Each stage doubles the sides and halves the channels, and all but the last one convolve once
    more.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        base, stages = config.base_channels, config.stages
        height, width = config.height >> stages, config.width >> stages
        channels = widened(base, stages)
        layers: list[nn.Module] = [
            nn.Linear(config.input_dim, channels * height * width),
            ToImage(channels, height, width),
            nn.ReLU(),
        ]
        for left in reversed(range(stages - 1)):
            outputs = widened(base, left)
            layers += [nn.ConvTranspose2d(channels, outputs, 4, stride=2, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()]
            channels = outputs
        layers += [thin.ConvTranspose2d(base, config.channels, 6, stride=2, padding=2), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

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
        base, stages = config.base_channels, config.stages
        layers: list[nn.Module] = [thin.Conv2d(config.channels, base, 4, stride=2, padding=1)]
        channels = base
        for stage in range(1, stages):
            outputs = widened(base, stage)
            layers += [
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(channels, outputs, 4, stride=2, padding=1),
            ]
            channels = outputs
        outputs = widened(base, stages)
        height, width = (math.ceil(side / 2 ** (stages + 1)) for side in config.image_shape[1:])
        self.layers = nn.Sequential(
            *layers,
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(channels, outputs, 3, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            ToVector(),
            Logit(outputs * height * width, config.num_classes),
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
