"""Convolutions from or to one channel as matrix products, for CPUs.

Convolution kernels blocked over channels are nearly idle if there is only one. A matrix product
over all pixels is not: with torch's fold and unfold (im2col, Chellapilla et al. 2006) it computes
the same sums. Elsewhere, with more channels, and in a trace, which may run elsewhere, these are
torch's own layers, with the same weights and results.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ganctl.networks.layers import runs_on_this_cpu


class Conv2d(nn.Conv2d):
    """nn.Conv2d of grayscale images, faster if the image itself needs a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        if not runs_on_this_cpu(x) or self.in_channels > 1 or not x.requires_grad:
            return super().forward(x)
        kernel, stride, padding = _square(self)
        height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
        taps = F.unfold(x, kernel, padding=padding, stride=stride).transpose(1, 2)
        pixels = F.linear(taps, self.weight.flatten(1), self.bias)
        return pixels.view(-1, height, width, self.out_channels).permute(0, 3, 1, 2)


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d to grayscale images, faster than torch's own."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not runs_on_this_cpu(x) or self.out_channels > 1:
            return super().forward(x, output_size)
        kernel, stride, padding = _square(self)
        edge = kernel - 2 * padding + self.output_padding[0]
        height, width = ((size - 1) * stride + edge for size in x.shape[2:])
        taps = F.linear(x.flatten(2).transpose(1, 2), self.weight.flatten(1).T).transpose(1, 2)
        image = F.fold(taps, (height, width), kernel, padding=padding, stride=stride)
        if self.bias is None:
            return image
        return image + self.bias.view(-1, 1, 1).to(image.dtype)


def _square(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, int, int]:
    """Return the kernel size, stride and padding, the same in height and width."""
    padding = layer.padding[0]
    assert isinstance(padding, int)
    return layer.kernel_size[0], layer.stride[0], padding
