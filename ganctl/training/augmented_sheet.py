"""A picture of augmented images, which shows before training what a discriminator sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ganctl import images
from ganctl.config.image_settings import ALL_AUGMENTATIONS
from ganctl.config.resolve import auto_augment
from ganctl.config.schema import TrainConfig
from ganctl.datasets.local.loading import Prepared, spread
from ganctl.errors import Setting, Text
from ganctl.images import Pixels
from ganctl.rng import Fixed
from ganctl.text import counted
from ganctl.training.augment import Augmentation

NUM_DRAWS = 6
"""Number of times that each image is augmented."""
_NUM_IMAGES = 8


@dataclass(frozen=True)
class AugmentedSheet:
    """Images before and after augmentation. Each row is an image: unchanged, then augmented."""

    picture: Pixels
    """(H, W, C)."""
    augment: str
    """The augmentations, as in a resolved config."""
    reason: str
    """Why it is these."""
    num_images: int

    def facts(self) -> dict[str, str | int]:
        """Return what the picture shows, as JSON-like values."""
        return {
            "augment": self.augment,
            "reason": self.reason,
            "num_images": self.num_images,
            "num_draws": NUM_DRAWS,
        }

    def describe(self, num_training: int) -> Text:
        """Return in a line what the picture shows, and why, for that many training images."""
        row = f"Each row is one of {counted(self.num_images, 'image')}"
        why = (
            "" if self.reason == "set" else f" (auto: {self.reason}, {num_training:,} to train on)"
        )
        if self.augment != "none":
            names = self.augment.replace(",", ", ")
            return Text(f"{row}: unchanged, then augmented {NUM_DRAWS} times by {names}{why}.")
        return Text(
            f"{row}, always unchanged: nothing is augmented{why}. {{}} shows what that would be.",
            Setting("augment", ALL_AUGMENTATIONS),
        )


def draw(prepared: Prepared, config: TrainConfig) -> AugmentedSheet:
    """Return 8 of the images, or all if fewer, each augmented as in NUM_DRAWS steps of training.

    They are spread over all classes. Values that augmentation leaves outside [-1, 1] are clipped,
    but only in the picture.
    """
    augment, reason = config.augment, "set"
    if augment == "auto":
        augment, reason = auto_augment(prepared.num_training)
    chosen, _ = prepared.examples()
    pixels = prepared.images[spread(chosen, _NUM_IMAGES)]
    real = images.to_tensor(torch.from_numpy(pixels))
    augmentation = Augmentation(augment, Fixed.AUGMENTED_SHEET)
    columns = [pixels, *(images.to_pixels(augmentation(real)) for _ in range(NUM_DRAWS))]
    rows = np.stack(columns, axis=1).reshape(-1, *pixels.shape[1:])
    return AugmentedSheet(images.sheet(rows, len(columns)), augment, reason, len(pixels))
