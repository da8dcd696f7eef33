"""Transposed convolution of small images by Fourier transform, for CPUs."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

from ganctl.networks.layers import runs_on_this_cpu

_MAX_PIXELS = 100
_MAX_CACHED = 32
"""Number of image and kernel sizes whose matrices are kept, of up to 0.6 MB each."""


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d with stride 1, an odd kernel and 'same' padding, several times as fast.

    Convolution is multiplication in the Fourier domain (Mathieu, Henaff & LeCun 2014). For 7x7
    pixels and a 5x5 kernel it takes 164 multiplications per pair of channels, four for each of 41
    frequencies, instead of 1,225. The transform is a product with a matrix of cosines and sines,
    exact up to rounding. Used on CPUs for images of at most 100 pixels. For others, and in a trace,
    which may run elsewhere, this is torch's own layer, with the same weights and results.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        assert kernel_size % 2 == 1
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        height, width = x.shape[2:]
        if not runs_on_this_cpu(x) or height * width > _MAX_PIXELS:
            return super().forward(x, output_size)
        dtype = self.weight.dtype
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            return _convolve(x.to(dtype), self.weight)


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution of (N, C, H, W) by (C, K, S, S), (N, K, H, W), in `x`'s precision.

    The input and the result are channels-last. The kernel is transformed in its own precision.
    """
    count, inputs, height, width = x.shape
    outputs, size = weight.shape[1:3]
    to_x, to_weight, from_y = _transforms(height, width, size, weight.dtype)
    pixels = x.permute(2, 3, 0, 1).reshape(height * width, count * inputs)
    taps = weight.permute(2, 3, 0, 1).reshape(size * size, inputs * outputs)
    x_waves = (to_x.to(x.dtype) @ pixels).view(2, -1, count, inputs)
    w_waves = (to_weight @ taps).view(2, -1, inputs, outputs).to(x.dtype)
    y_waves = _multiply(x_waves, w_waves)
    y = from_y.to(x.dtype) @ y_waves.view(-1, count * outputs)
    channels_last = y.view(height * width, count, outputs).transpose(0, 1).contiguous()
    return channels_last.view(count, height, width, outputs).permute(0, 3, 1, 2)


def _multiply(x: Tensor, w: Tensor) -> Tensor:
    """Return complex (2, Q, N, C) times (2, Q, C, K), real parts first, for each frequency."""
    (x_real, x_imaginary), (w_real, w_imaginary) = x, w
    if x.dtype == torch.float32:
        y_real = torch.baddbmm(torch.bmm(x_imaginary, w_imaginary), x_real, w_real, beta=-1)
        y_imaginary = torch.baddbmm(torch.bmm(x_imaginary, w_real), x_real, w_imaginary)
        return torch.stack([y_real, y_imaginary])
    # In bf16 a sum of two products rounds twice: a single product of both parts sums in fp32.
    rows = torch.cat([x_real, x_imaginary], 2)
    for_real = torch.cat([w_real, -w_imaginary], 1)
    for_imaginary = torch.cat([w_imaginary, w_real], 1)
    return torch.stack([torch.bmm(rows, for_real), torch.bmm(rows, for_imaginary)])


@functools.lru_cache(maxsize=_MAX_CACHED)
def _transforms(
    height: int, width: int, size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices from pixels to frequencies, from kernel taps to frequencies, and back.

    They are (2Q, H*W), (2Q, size^2) and (H*W, 2Q), for Q frequencies, real parts before imaginary
    ones. The period is longer than the image by half a kernel, so that nothing wraps into the
    result. Of two conjugate frequencies one is kept, and counted twice on the way back.
    """
    radius = size // 2
    length_y, length_x = height + radius, width + radius
    frequencies: dict[tuple[int, int], float] = {}
    for v in range(length_y):
        for u in range(length_x):
            conjugate = (-v % length_y, -u % length_x)
            if conjugate in frequencies:
                frequencies[conjugate] = 2.0
            else:
                frequencies[v, u] = 1.0
    # Training uses them later, too: never inference tensors, even if sampling is the first to ask.
    with torch.inference_mode(False):
        matrices = _matrices(frequencies, (height, width), (length_y, length_x), radius)
        return tuple(matrix.to(dtype) for matrix in matrices)  # type: ignore[return-value]


def _matrices(
    frequencies: dict[tuple[int, int], float],
    image_size: tuple[int, int],
    lengths: tuple[int, int],
    radius: int,
) -> tuple[Tensor, Tensor, Tensor]:
    vu = torch.tensor(list(frequencies), dtype=torch.float64)
    counted = torch.tensor(list(frequencies.values()), dtype=torch.float64) / math.prod(lengths)

    def waves(y: range, x: range) -> Tensor:
        points = torch.cartesian_prod(torch.tensor(y), torch.tensor(x)).double()
        angles = 2 * math.pi * (vu / vu.new_tensor(lengths)) @ points.T
        return torch.cat([angles.cos(), -angles.sin()])

    image = waves(range(image_size[0]), range(image_size[1]))
    kernel = waves(range(-radius, radius + 1), range(-radius, radius + 1))
    back = (image * counted.repeat(2)[:, None]).T
    return image, kernel, back
