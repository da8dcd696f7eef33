"""Images → features: the numbers in which generated and real images are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl.errors import Setting, Text, UsageError
from ganctl.features.classifier import DigitFeatures, StackedFeatures
from ganctl.features.inception import InceptionFeatures
from ganctl.text import nearest

__all__ = ["CHOICES", "Encoded", "FeatureNetwork", "encode", "is_known", "load"]

CHOICES = ("auto", "digits", "inception")
_CPU = torch.device("cpu")
_DIGITS = {"mnist": DigitFeatures, "stacked-mnist": StackedFeatures}
_SHAPES = {"mnist": (1, 28, 28), "stacked-mnist": (3, 28, 28)}


class FeatureNetwork(Protocol):
    """What encodes images."""

    name: str
    """Figures of another network cannot be compared: they are named with this."""
    digest: str
    """Another one for a network with other weights, or on another kind of device."""
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


def is_known(data: str, image_shape: tuple[int, int, int] | None = None) -> bool:
    """Whether the shipped classifier knows images of the data set `data`.

    As they are there, or made (C, H, W).
    """
    return data in _DIGITS and image_shape in (None, _SHAPES[data])


def load(
    choice: str,
    data: str,
    device: torch.device = _CPU,
    image_shape: tuple[int, int, int] | None = None,
) -> FeatureNetwork:
    """The network that images of the data set `data`, as `is_known` takes it, are compared with.

    `choice` is one of CHOICES ("auto": digits where these are, Inception elsewhere), or a file of
    Inception's weights. Raises UsageError, and DataError where weights are not to be had.
    """
    if choice not in CHOICES and not Path(choice).suffix:
        raise UsageError(f"unknown features '{choice}'", nearest(choice, CHOICES))
    known = is_known(data, image_shape)
    if choice == "digits" or (choice == "auto" and known):
        if not known:
            what = f"{data} of this size" if is_known(data) else data
            raise UsageError(
                f"the classifier of digits says nothing about {what}",
                Text("Give {}.", Setting("features", "inception")),
            )
        return _DIGITS[data](device)
    return InceptionFeatures(device, None if choice in CHOICES else Path(choice))


def encode(
    network: FeatureNetwork,
    chunks: Iterable[NDArray[np.uint8]],
    progress: Callable[[int], None] = lambda _: None,
) -> Encoded:
    """Encode all images of `chunks`, uint8 (n, H, W, C) each, a chunk at a time.

    `progress` is told how many are done.
    """
    pairs, done = [], 0
    with torch.inference_mode():
        for chunk in chunks:
            pairs.append(network(torch.from_numpy(chunk)))
            done += len(chunk)
            progress(done)
    features, logits = zip(*pairs, strict=True)
    return Encoded(torch.cat(features).float().cpu(), torch.cat(logits).float().cpu())
