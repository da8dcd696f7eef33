"""A small classifier of handwritten digits, whose penultimate layer gives the features.

`tests/benchmarks/train_classifier.py` trained it on MNIST's training images.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ganctl import files
from ganctl.features.base import FeatureNetwork

PATH = Path(__file__).with_name("mnist-classifier.npz")
SHA256 = "ad1deca08831b312da787590fb4637c3344db7c135a1fda894ae46a689df3c3e"
NUM_FEATURES = 128
NUM_CLASSES = 10
_CHUNK = 128
"""Number of images per pass: what layers make of them fits in a processor's cache."""


class Classifier(nn.Module):
    """Five 3x3 convolutions, each with batch normalization and ReLU, and global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(1, 24), *_block(24, 24), nn.MaxPool2d(2),
            *_block(24, 48), *_block(48, 48), nn.MaxPool2d(2),
            *_block(48, NUM_FEATURES), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.logits = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 1, 28, 28) in [-1, 1] to features (N, 128), not negative, and logits (N, 10)."""
        features = self.features(images)
        return features, self.logits(features)


class DigitFeatures(FeatureNetwork):
    """The included classifier as a feature network."""

    name = "mnist-classifier"
    is_fast = True
    image_shape = (28, 28, 1)
    num_classes = NUM_CLASSES

    def __init__(self, device: torch.device) -> None:
        self.digest = f"{SHA256} {device.type}"
        self._classifier = _folded(load()).to(memory_format=torch.channels_last).to(device)
        self._device = device

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 (N, 28, 28, 1) to features (N, 128) and logits (N, 10)."""
        scaled = inputs.to(self._device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
        found = [self._classifier(part) for part in torch.split(scaled, _CHUNK)]
        features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return features, logits


class StackedFeatures(DigitFeatures):
    """The included classifier for images with a digit in each of three channels, hundreds first."""

    name = "mnist-classifier, channel by channel"
    is_fast = False
    image_shape = (28, 28, 3)
    num_classes = NUM_CLASSES**3

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 (N, 28, 28, 3) to features (N, 384) and logits (N, 1000)."""
        channels = inputs.movedim(3, 1).flatten(0, 1)[..., None]
        features, logits = super().__call__(channels)
        # Digits of different channels are independent: their log-probabilities add up.
        a, b, c = logits.log_softmax(1).view(-1, 3, NUM_CLASSES).unbind(1)
        modes = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]
        return features.reshape(len(inputs), -1), modes.flatten(1)


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _folded(classifier: Classifier) -> Classifier:
    """Make each batch normalization part of the convolution before it, and return the classifier.

    It computes the same, in two thirds of the time.
    """
    layers: list[nn.Module] = []
    for layer in classifier.features:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        else:
            layers.append(layer)
    classifier.features = nn.Sequential(*layers)
    return classifier


def to_bytes(classifier: Classifier) -> bytes:
    """Return the weights as an .npz: the same bytes for the same weights."""
    file = io.BytesIO()
    np.savez(file, **{name: tensor.numpy() for name, tensor in classifier.state_dict().items()})
    return file.getvalue()


def load(path: Path = PATH) -> Classifier:
    """Return the included classifier in eval mode on the CPU. Raises DataError if it is damaged."""
    arrays = files.read_packaged(path, SHA256, "classifier of digits")
    classifier = Classifier()
    classifier.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays})
    return classifier.eval().requires_grad_(False)
