"""A generator as a list of steps that TensorFlow.js can do, and their weights.

Images are (N, H, W, C) there. Batch normalization is folded into the layer before it. A transposed
convolution with stride 2 becomes a convolution to four times as many channels, which are then laid
out as 2x2 pixels (Shi et al. 2016, arXiv:1609.07009): the same sums, by the kernel of the
WebAssembly backend that is made for speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ganctl.networks.guided import GuidedGenerator, Scale
from ganctl.networks.layers import Generator, ToImage

Step = dict[str, Any]


@dataclass
class Steps:
    """The steps of a generator in order, and the weights that they name by offset."""

    steps: list[Step] = field(default_factory=list)
    weights: list[NDArray[np.float16]] = field(default_factory=list)
    num_weights: int = 0

    def store(self, tensor: Tensor) -> dict[str, Any]:
        """Append `tensor` to the weights, and return its shape and its offset there."""
        array = tensor.detach().contiguous().numpy().astype(np.float16)
        place = {"shape": list(array.shape), "offset": self.num_weights}
        self.weights.append(array.ravel())
        self.num_weights += array.size
        return place


def steps_of(generator: nn.Module) -> Steps:
    """Return the steps of a generator in eval mode, with its weights in float16."""
    assert isinstance(generator, Generator)
    result = Steps()
    if isinstance(generator, GuidedGenerator):
        _append(list(generator.style), result)
        result.steps.append({"op": "style"})  # what follows begins with the latents again
    _append(list(generator.layers), result)
    return result


def _append(layers: list[nn.Module], result: Steps) -> None:
    """Append the steps of `layers`, which are emptied."""
    while layers:
        layer = layers.pop(0)
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d | nn.Conv2d):
            scale = shift = None
            if layers and isinstance(layers[0], nn.BatchNorm1d | nn.BatchNorm2d):
                scale, shift = _scale_and_shift(layers.pop(0))
            enlarges = bool(layers) and isinstance(layers[0], nn.Upsample | nn.PixelShuffle)
            by = layers.pop(0) if enlarges else None
            result.steps.append(_weighted(layer, scale, shift, result, enlarged=by))
        elif isinstance(layer, Scale):
            ones = torch.ones(layer.factors.out_features)
            step = _weighted(layer.factors, ones, ones, result)  # 1 + factors
            result.steps.append({**step, "op": "scale"})
        elif isinstance(layer, ToImage):
            result.steps.append({"op": "reshape", "shape": list(layer.shape)})
        elif isinstance(layer, nn.ReLU | nn.LeakyReLU):
            slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0
            result.steps.append({"op": "leaky", "slope": slope})
        else:
            assert isinstance(layer, nn.Tanh), layer
            result.steps.append({"op": "tanh"})


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the factor and the summand per channel that batch normalization is in eval mode."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _weighted(
    layer: nn.Linear | nn.ConvTranspose2d | nn.Conv2d,
    scale: Tensor | None,
    shift: Tensor | None,
    result: Steps,
    enlarged: nn.Module | None = None,
) -> Step:
    num_outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    weight = layer.weight.detach()
    bias = torch.zeros(num_outputs) if layer.bias is None else layer.bias.detach()
    if scale is not None and shift is not None:
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        weight = weight * scale.view([-1 if each == axis else 1 for each in range(weight.dim())])
        bias = bias * scale + shift
    if isinstance(layer, nn.Linear):
        return {"op": "dense", "w": result.store(weight.T), "b": result.store(bias)}
    padding = layer.padding[0]
    assert isinstance(padding, int)
    if isinstance(layer, nn.Conv2d):
        kernel = weight.permute(2, 3, 1, 0)
        if enlarged is not None:
            if isinstance(enlarged, nn.PixelShuffle):  # its channels are (outputs, a, b)
                kernel = kernel.reshape(*kernel.shape[:3], -1, 4).transpose(3, 4).flatten(3)
                bias = bias.view(-1, 4).T.flatten()
            else:  # each pixel becomes four equal ones
                kernel, bias = kernel.repeat(1, 1, 1, 4), bias.repeat(4)
            return {
                "op": "double", "pad": padding, "crop": 0, "edge": 0,
                "w": result.store(kernel), "b": result.store(bias),
            }  # fmt: skip
    elif layer.stride[0] == 1:
        kernel = weight.flip(2, 3).permute(2, 3, 0, 1)
        padding = layer.kernel_size[0] - 1 - padding
    else:
        return _doubling(layer, weight, bias, padding, result)
    return {"op": "conv", "pad": padding, "w": result.store(kernel), "b": result.store(bias)}


def _doubling(
    layer: nn.ConvTranspose2d, weight: Tensor, bias: Tensor, padding: int, result: Steps
) -> Step:
    """Return a transposed convolution with stride 2 as a convolution and a new layout.

    Row 2q + a of its uncropped result is the sum over t of the kernel's row 2t + a times row q - t
    of the input: for each of the two values of a, a convolution with half as large a kernel.
    """
    assert layer.stride == (2, 2)
    odd = weight.shape[2] % 2
    weight = functional.pad(weight, (0, odd, 0, odd))
    inputs, outputs, size, _ = weight.shape
    half = size // 2
    # (inputs, outputs, t, a, u, b) with reversed t, u → (t, u, inputs, a, b, outputs)
    taps = weight.reshape(inputs, outputs, half, 2, half, 2).flip(2, 4)
    kernel = taps.permute(2, 4, 0, 3, 5, 1).reshape(half, half, inputs, 4 * outputs)
    edge = layer.kernel_size[0] - 2 - 2 * padding + layer.output_padding[0]
    return {
        "op": "double", "pad": half - 1, "crop": padding, "edge": edge,
        "w": result.store(kernel), "b": result.store(bias.repeat(4)),
    }  # fmt: skip
