"""Networks for photographs and drawings, guided by frozen features (preset `guided`).

Beside the discriminator of the pixels, small networks (heads) judge feature maps of a network that
was trained on ImageNet, as in Projected GANs (Sauer et al. 2021). Such features tell images apart
from the first step on; the pixels add what the maps do not show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganctl import efficientnet
from ganctl.config.schema import NetworkConfig
from ganctl.networks import fast
from ganctl.networks.layers import (
    Discriminator,
    Generator,
    Logit,
    Place,
    ToImage,
    ToVector,
    num_channels,
)

_STYLE_DIM = 128
_SLOPE = 0.2
_HEAD_CHANNELS = 32
# Initial weights, as multiples of He's.
_SCALE_GAIN = 0.35
_LAST_GAIN = 0.3
"""So that tanh is not saturated."""
_HEAD_GAIN = 2.5
"""Only the direction of a filter counts, so larger ones learn more slowly."""
_LEAST_SLOPE = 1e-3
"""Of tanh, towards 0. It is that of tanh at 0.9995, whose pixel is already 255."""


class Scale(nn.Module):
    """Images (N, C, H, W) and a style (N, S) → images whose channels are scaled by the style."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.factors = nn.Linear(_STYLE_DIM, num_channels)

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        factors = 1 + self.factors(style)
        scaled: Tensor = images * factors[:, :, None, None]
        return scaled


class LeakyTanh(nn.Tanh):
    """A tanh that always learns to be less extreme, however close to -1 or 1 it is.

    Where its value rounds to -1 or 1, tanh has a slope of 0. A generator whose first steps make all
    pixels white or black would never leave them.
    """

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = _LeakyTanh.apply(x) if self.training else torch.tanh(x)
        return values


class _LeakyTanh(torch.autograd.Function):
    """A tanh whose slope is at least _LEAST_SLOPE for gradients that lead towards 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        values = torch.tanh(x)
        ctx.save_for_backward(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        slopes = 1 - values.square()
        leads_to_0 = gradient * values > 0
        return gradient * torch.where(leads_to_0, slopes.clamp(min=_LEAST_SLOPE), slopes)


class GuidedGenerator(Generator):
    """A generator whose stages also see a style, made of the latents by a layer of its own.

    The style scales channels, as in StyleGAN2 (Karras et al. 2020), so that colors and shapes vary
    more.
    """

    def __init__(self, input_dim: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.style = nn.Sequential(nn.Linear(input_dim, _STYLE_DIM), nn.LeakyReLU(_SLOPE))

    def forward(self, latents: Tensor) -> Tensor:
        style = self.style(latents)
        x = latents
        for layer in self.layers:
            x = layer(x, style) if isinstance(layer, Scale) else layer(x)
        return x


def generator(config: NetworkConfig) -> GuidedGenerator:
    """Return a generator whose stages double the sides and halve the channels.

    Each stage enlarges between two convolutions. Pixels are repeated and not spread by transposed
    convolutions, which leave checkered pixels (Odena et al. 2016).
    """
    base, stages = config.base_channels, config.stages
    height, width = config.height >> stages, config.width >> stages
    channels = num_channels(base, stages - 1)
    layers: list[nn.Module] = [
        nn.Linear(config.input_dim, channels * height * width),
        ToImage(channels, height, width),
        nn.LeakyReLU(_SLOPE),
    ]
    for stage in reversed(range(stages)):
        outputs = num_channels(base, max(0, stage - 1))
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1),
            nn.Upsample(scale_factor=2),
            nn.LeakyReLU(_SLOPE),
            Scale(outputs),
        ]
        if stage:
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        channels = outputs
    layers += [nn.Conv2d(base, config.channels, 3, padding=1), LeakyTanh()]
    return GuidedGenerator(config.input_dim, *layers)


class GuidedDiscriminator(Discriminator):
    """Images, one-hot classes or None, and feature maps of the images → logits (N, 1+P).

    The first logit is that of the pixels; without maps it is the only one. The P others are those
    of all places in the maps, and know no classes.
    """

    def __init__(self, heads: Sequence[nn.Module], *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.heads = nn.ModuleList(heads)

    def forward(
        self, images: Tensor, classes: Tensor | None = None, maps: Sequence[Tensor] = ()
    ) -> Tensor:
        logits = super().forward(images, classes)
        if not maps:
            return logits
        of_maps = (head(each) for head, each in zip(self.heads, maps, strict=True))
        return torch.cat([logits, *(each.flatten(1) for each in of_maps)], 1)


def discriminator(config: NetworkConfig) -> GuidedDiscriminator:
    """Return a discriminator with a strided convolution for each stage, and a head for each map.

    The pixels are judged by half as many channels as the generator has. A head reduces its map to
    the size of the smallest one, and judges all places there.
    """
    base = max(1, config.base_channels // 2)
    channels = num_channels(base, config.stages - 1)
    layers = fast.reductions(dataclasses.replace(config, base_channels=base))
    layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(_SLOPE), ToVector()]
    pixels = (config.height >> config.stages) * (config.width >> config.stages)
    shapes = efficientnet.map_shapes(config.height, config.width)
    heads = [_head(channels, halvings) for halvings, (channels, *_) in enumerate(shapes[::-1])]
    logit = Logit(channels * pixels, config.num_classes)
    return GuidedDiscriminator(heads[::-1], *layers, logit)


def _head(channels: int, halvings: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(_SLOPE)]
    for _ in range(halvings):
        layers += [UnitConv2d(channels, _HEAD_CHANNELS, 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(_SLOPE)]
        channels = _HEAD_CHANNELS
    layers += [UnitConv2d(channels, _HEAD_CHANNELS, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, UnitConv2d(_HEAD_CHANNELS, 1, 3, padding=1))


class UnitConv2d(nn.Conv2d):
    """A convolution whose filters count by their direction alone: their norm is 1.

    So logits do not grow with the weights: a substitute for spectral normalization (Miyato et al.
    2018) that needs no state.
    """

    def forward(self, x: Tensor) -> Tensor:
        norm = self.weight.square().sum((1, 2, 3), keepdim=True)
        result: Tensor = self._conv_forward(x, self.weight * torch.rsqrt(norm + 1e-8), self.bias)
        return result


def places(config: NetworkConfig) -> dict[str, list[Place]]:
    """Return the place of each layer that has weights, in their order, of both networks.

    Stages are counted from the image, as in `fast`.
    """
    depth = f"{config.stages} stages"
    generator = [Place(f"from latents to {depth}", class_axis=1)]
    for stage in reversed(range(1, config.stages)):
        generator += [Place(f"{what} stage {stage}") for what in ("enlarge to", "scale", "refine")]
    generator += [Place("enlarge to the image"), Place("scale the image"), Place("to image")]
    generator += [Place("style", class_axis=1)]
    discriminator = [Place("from image")]
    discriminator += [Place(f"reduce stage {stage}") for stage in range(1, config.stages)]
    discriminator += [Place(f"refine {depth}"), Place(f"judge {depth}", class_axis=0)]
    for name, layers in (("fine", 4), ("middle", 3), ("coarse", 2)):
        discriminator += [Place(f"judge {name} features, {number}") for number in range(layers)]
    return {"generator": generator, "discriminator": discriminator}


def initialize(network: nn.Module, config: NetworkConfig, rng: torch.Generator) -> None:
    """Draw weights as in `fast`, but for layers that begin with larger or smaller ones."""
    fast.initialize(network, config, rng)
    for module in network.modules():
        if isinstance(module, Scale):
            module.factors.weight.data *= _SCALE_GAIN
        elif isinstance(module, UnitConv2d):
            module.weight.data *= _HEAD_GAIN
    if isinstance(network, GuidedGenerator):
        last = network.layers[-2]
        assert isinstance(last, nn.Conv2d)
        last.weight.data *= _LAST_GAIN
