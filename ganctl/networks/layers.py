"""Layers that both architectures share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Place:
    """The place of a layer in networks of one architecture, whatever their sizes are.

    Layers at the same place of two networks do the same, so that one can begin with the weights of
    the other, if they are of the same shape.
    """

    name: str
    class_axis: int | None = None
    """The axis of its weights that ends with one entry per class; None if there is none."""


class _Network(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)


class Generator(_Network):
    """Latents (N, input_dim) → images (N, C, H, W) in [-1, 1]."""

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images

    def first_outputs(self, latents: Tensor, *, activated: bool) -> Tensor:
        """Return what the layers up to the first activation function make of latents, (N, F).

        Without that function (not `activated`) it is affine in the latents.
        """
        x = latents
        for layer in self.layers:
            if isinstance(layer, nn.ReLU | nn.LeakyReLU):
                return (layer(x) if activated else x).flatten(1)
            x = layer(x)
        raise AssertionError("a generator has an activation function")


class Discriminator(_Network):
    """Images (N, C, H, W) in [-1, 1] and one-hot classes (N, K) or None → logits (N, 1).

    Discriminators that also judge `maps` of frozen features have P logits more for them, (N, 1+P).
    """

    def forward(self, images: Tensor, classes: Tensor | None = None) -> Tensor:
        *body, logit = self.layers
        x = images
        for layer in body:
            x = layer(x)
        logits: Tensor = logit(x, classes)
        return logits


def num_channels(base: int, doublings: int) -> int:
    """Return the channels after `doublings` of `base`; they stop growing at eight times `base`."""
    return base * min(1 << doublings, 8)


class ToImage(nn.Module):
    """Vectors (N, H*W*C), channels last as in Keras, → images (N, C, H, W), without a copy."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.view(-1, *self.shape).permute(0, 3, 1, 2)


class ToVector(nn.Module):
    """Images (N, C, H, W) → vectors (N, H*W*C), channels last as in Keras.

    Copies nothing in the channels-last layout. torch's own Flatten does, and gives gradients of
    another layout, which slow down every layer before it.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class Logit(nn.Linear):
    """Vectors (N, F) and one-hot classes (N, K) or None → logits (N, 1).

    With classes, a logit is the sum of one for all classes and one for its own: the projection
    discriminator (Miyato & Koyama 2018, eq. 3).
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, 1 + num_classes)

    def forward(self, vectors: Tensor, classes: Tensor | None = None) -> Tensor:
        logits = super().forward(vectors)
        if classes is None:
            return logits[:, :1]
        return logits[:, :1] + (logits[:, 1:] * classes).sum(1, keepdim=True)


def runs_on_this_cpu(x: Tensor) -> bool:
    """Return whether `x` is computed on this CPU, and not traced or exported for another device."""
    is_traced = torch._C._is_tracing() or torch.compiler.is_exporting()
    return x.device.type == "cpu" and not is_traced
