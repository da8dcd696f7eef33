"""Feature networks: generated and real images are compared in the features that they extract."""

from __future__ import annotations

from pathlib import Path

import torch

from ganctl import efficientnet
from ganctl.errors import Setting, Text, UsageError
from ganctl.features import named
from ganctl.features.base import Activations, FeatureNetwork, extract
from ganctl.features.classifier import DigitFeatures, StackedFeatures
from ganctl.features.imagenet import ImageNetFeatures
from ganctl.features.inception import CleanInceptionFeatures, InceptionFeatures
from ganctl.text import suggestion

__all__ = [
    "CHOICES",
    "Activations",
    "FeatureNetwork",
    "automatic",
    "extract",
    "is_known",
    "load",
]

CHOICES = ("auto", "digits", "imagenet", "inception", "inception-clean", "none")
_CPU = torch.device("cpu")
_DIGITS = {"mnist": (DigitFeatures, (1, 28, 28)), "stacked-mnist": (StackedFeatures, (3, 28, 28))}


def is_known(data: str, image_shape: tuple[int, int, int] | None = None) -> bool:
    """Return whether the included classifier knows the images of a built-in dataset.

    `image_shape` is (C, H, W) if they were resized or converted.
    """
    return data in _DIGITS and image_shape in (None, _DIGITS[data][1])


def automatic(data: str, image_shape: tuple[int, int, int] | None = None) -> str:
    """Return the choice that "auto" means for images of the dataset `data`.

    It is "digits" for digits, otherwise "imagenet" where that extra is installed, otherwise "none".
    `image_shape` is that of `is_known`.
    """
    if is_known(data, image_shape):
        return "digits"
    return "imagenet" if efficientnet.is_installed() else "none"


def load(
    choice: str,
    data: str,
    device: torch.device = _CPU,
    image_shape: tuple[int, int, int] | None = None,
    precision: str = "fp32",
) -> FeatureNetwork | None:
    """Return the feature network for images of the dataset `data`.

    `choice` is one of CHOICES, a network that `named.load` knows, or a file of Inception's weights,
    for the clean one "inception-clean:PATH". "none" is no network, and "auto" what `automatic`
    returns. `image_shape` is that of `is_known`; `precision` is that of "imagenet", "fp32" or
    "bf16". Raises UsageError, DataError if weights are not available, and PackageError.
    """
    known = is_known(data, image_shape)
    if choice == "auto":
        choice = automatic(data, image_shape)
    if choice == "none":
        return None
    if choice == "imagenet":
        return ImageNetFeatures(device, max(image_shape[1:]) if image_shape else 0, precision)
    if choice == "digits":
        if not known:
            what = f"{data} of this size" if is_known(data) else data
            raise UsageError(
                f"the classifier of digits does not know {what}",
                Text("Give {}.", Setting("features", "imagenet")),
            )
        return _DIGITS[data][0](device)
    clean, _, path = choice.partition(":")
    if clean == "inception-clean":
        return CleanInceptionFeatures(device, Path(path) if path else None)
    if named.is_named(choice):
        return named.load(choice, device)
    if choice not in CHOICES and not Path(choice).suffix:
        raise UsageError(
            f"unknown features '{choice}'",
            suggestion(choice, CHOICES)
            + " Or give a network by name, such as torchvision:resnet50 or dinov2:vits14.",
        )
    return InceptionFeatures(device, None if choice == "inception" else Path(choice))
