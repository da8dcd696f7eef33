"""Images → features: the numbers in which generated and real images are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl.errors import UsageError, nearest
from ganctl.features.classifier import DigitFeatures, StackedFeatures
from ganctl.features.inception import InceptionFeatures

__all__ = ["CHOICES", "Encoded", "FeatureNetwork", "encode", "is_known", "load"]

CHOICES = ("auto", "digits", "inception")
_CPU = torch.device("cpu")
_DIGITS = {"mnist": DigitFeatures, "stacked-mnist": StackedFeatures}


class FeatureNetwork(Protocol):
    """What encodes images."""

    name: str
    """Figures of another network cannot be compared: they are named with this."""
    small: bool
    """Whether it encodes a whole data set in less than a minute."""
    num_classes: int
    """How many classes of these images its logits tell apart; 0 where they are of other things."""

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, H, W, C) → features, float (N, D), and logits, float (N, K)."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Images as a feature network sees them."""

    features: Tensor
    """float32 (N, D), on the CPU."""
    logits: Tensor
    """float32 (N, K), on the CPU."""

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, which: slice | Tensor) -> Encoded:
        return Encoded(self.features[which], self.logits[which])


def is_known(data: str) -> bool:
    """Whether the shipped classifier knows images of the data set `data`."""
    return data in _DIGITS


def load(choice: str, data: str, device: torch.device = _CPU) -> FeatureNetwork:
    """The network that images of the data set `data` are compared with.

    `choice` is one of CHOICES ("auto": digits where these are, Inception elsewhere), or a file of
    Inception's weights. Raises UsageError, and DataError where weights are not to be had.
    """
    if choice not in CHOICES and not Path(choice).suffix:
        raise UsageError(f"unknown features '{choice}'", nearest(choice, CHOICES))
    if choice == "digits" or (choice == "auto" and is_known(data)):
        if not is_known(data):
            raise UsageError(
                f"the classifier of digits says nothing about {data}", "Give --features inception."
            )
        return _DIGITS[data](device)
    return InceptionFeatures(device, None if choice in CHOICES else Path(choice))


def encode(network: FeatureNetwork, chunks: Iterable[NDArray[np.uint8]]) -> Encoded:
    """All images of `chunks`, uint8 (n, H, W, C) each, a chunk at a time."""
    with torch.inference_mode():
        pairs = [network(torch.from_numpy(chunk)) for chunk in chunks]
    features, logits = zip(*pairs, strict=True)
    return Encoded(torch.cat(features).float().cpu(), torch.cat(logits).float().cpu())
