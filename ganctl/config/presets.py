"""The named recipes, found on MNIST, and what their settings become for other images."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from ganctl.config.images import ALL_AUGMENTATIONS, MIN_STAGES
from ganctl.config.schema import NetworkConfig, TrainConfig
from ganctl.errors import UsageError
from ganctl.text import nearest

PRESETS: dict[str, TrainConfig] = {
    "fast": TrainConfig(
        preset="fast",
        network=NetworkConfig(architecture="fast", base_channels=16, latent_dim=32),
        loss="bce",
        conditional=True,
        updates="alternating",
        batch_size=32,
        epochs=20,
        lr_g=4e-3,
        lr_d=4e-3,
        beta1=0.0,
        beta2=0.99,
        lr_warmup_steps=100,
        lr_decay_steps=3000,
        r1_weight=0.5,
        r1_interval=8,
        ema_images=20_000,
        num_samples=100,  # ten of each digit, a column each
    ),
    "dcgan": TrainConfig(
        preset="dcgan",
        network=NetworkConfig(architecture="dcgan", base_channels=64),
        loss="bce",
        batch_size=256,
        epochs=50,
        augment="none",  # to the letter
        lr_g=1e-4,
        lr_d=1e-4,
        beta1=0.9,
        beta2=0.999,
    ),
}
DEFAULT_PRESET = "fast"


def preset(name: str) -> TrainConfig:
    """The preset called `name`; UsageError names the nearest known one."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset '{name}'", nearest(name, PRESETS))
    return PRESETS[name]


TUNABLE = frozenset({"batch_size", "epochs", "lr_g", "lr_d", "r1_weight"})
"""What depends on the images, where nobody says what it is to be."""
_PIXELS = 28 * 28
_IMAGES_SEEN = 600_000
"""Half as many as a run on MNIST sees: fewer images have less to teach."""
_MOST_EPOCHS = 1000
_R1_AUGMENTED = 2e-4
"""A pixel, over the size of a batch: StyleGAN2-ADA's heuristic, where it is told nothing else."""


def fitting_batch(config: TrainConfig, num_images: int, tunable: Collection[str]) -> int:
    """Return the batch size of any preset, or `num_images` where they are fewer, if `tunable`."""
    return min(config.batch_size, num_images) if "batch_size" in tunable else config.batch_size


def tuned(config: TrainConfig, num_images: int, tunable: Collection[str]) -> dict[str, Any]:
    """Those of the `tunable` settings that change, for `num_images` images as `config` has them.

    The gradient that R1 penalizes is a sum over the image's values, so its weight grows with their
    number (as in Karras et al. 2020, StyleGAN2, appendix B). All augmentations together hold the
    discriminator back enough for R1 to be as weak as StyleGAN2-ADA's program has it by itself
    (Karras et al. 2020); a strong one hides fine detail from it. Each further stage doubles the
    widest layers, and wider layers take lower rates (Yang et al. 2022, table 3). A small set is
    seen more often. See docs/how-it-works.md.
    """
    if config.preset != "fast":
        return {}
    channels, height, width = config.network.image_shape
    rate = 0.5 ** (config.network.stages - MIN_STAGES)
    weight = config.r1_weight * channels * height * width / _PIXELS
    if config.augment == ALL_AUGMENTATIONS:
        weight = _R1_AUGMENTED * height * width / config.batch_size
    epochs = None
    if config.epochs is not None:
        often = min(_MOST_EPOCHS, math.ceil(_IMAGES_SEEN / num_images))
        epochs = max(config.epochs, often)
    fitted = {
        "epochs": epochs,
        "lr_g": _rounded(config.lr_g * rate),
        "lr_d": _rounded(config.lr_d * rate),
        "r1_weight": _rounded(weight),
    }
    return {name: value for name, value in fitted.items() if name in tunable and value is not None}


def _rounded(value: float) -> float:
    """To two digits, fit to be read and typed."""
    return float(f"{value:.2g}")
