"""The named recipes, found on MNIST, and what their settings become for other images."""

from __future__ import annotations

import math
from typing import Any

from ganctl.config.image_settings import ALL_AUGMENTATIONS, MIN_STAGES, format_size
from ganctl.config.schema import NetworkConfig, TrainConfig
from ganctl.errors import UsageError
from ganctl.text import suggestion

# fmt: off
PRESETS: dict[str, TrainConfig] = {
    "fast": TrainConfig(
        preset="fast",
        network=NetworkConfig(architecture="fast", base_channels=16, latent_dim=32),
        conditional=True, batch_size=64, epochs=12,
        loss="bce", updates="alternating", r1_weight=0.5, r1_interval=8,
        lr_g=4e-3, lr_d=4e-3, beta1=0.0, beta2=0.99, lr_warmup_steps=100, lr_decay_steps=1500,
        ema_images=20_000,
        num_samples=100,  # ten of each digit, a column each
    ),
    "guided": TrainConfig(
        preset="guided",
        network=NetworkConfig(architecture="guided", base_channels=32, latent_dim=32),
        conditional=True, batch_size=16, epochs=8,
        loss="bce", updates="alternating", r1_weight=0.064, r1_interval=8,
        lr_g=7e-4, lr_d=1e-3, beta1=0.0, beta2=0.99, lr_warmup_steps=100, lr_decay_steps=3000,
        ema_images=20_000, num_samples=100,
    ),
    "dcgan": TrainConfig(
        preset="dcgan",
        network=NetworkConfig(architecture="dcgan", base_channels=64),
        batch_size=256, epochs=50, augment="none",  # to the letter
        loss="bce", lr_g=1e-4, lr_d=1e-4, beta1=0.9, beta2=0.999,
    ),
}
# fmt: on
DEFAULT_PRESET = "fast"


def preset(name: str) -> TrainConfig:
    """Return the preset called `name`. UsageError names the nearest known one."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset '{name}'", suggestion(name, PRESETS))
    return PRESETS[name]


_PIXELS = 28 * 28
_IMAGES_SEEN = {"fast": 600_000, "guided": 150_000}
"""Least number of images seen in a run. On MNIST `fast` sees 720,000."""
_MAX_EPOCHS = 1000
_FULL_RATE_UP_TO = {"fast": MIN_STAGES, "guided": 4}
"""Number of stages, four being those of 64x64, up to which a preset's rates are taken as they are.
In batches of 16, 2e-3 collapsed on 32x32 letters."""
_LOWEST_RATE_AT = 5
"""Number of stages, those of 128x128, from which on rates are the same: no layer is wider."""
_PICTURE_SIDE = 3072
"""Longest side, in pixels, of the picture of samples that is drawn after each epoch."""
_R1_AUGMENTED = 2e-4
"""R1 weight times batch size, per pixel: the heuristic of StyleGAN2-ADA's program."""


def tuned(config: TrainConfig, num_images: int) -> dict[str, tuple[Any, str]]:
    """Return the settings of `config` that are fitted to `num_images` images: values and reasons.

    The gradient that R1 penalizes is a sum over the image's values, so its weight grows with their
    number (as in Karras et al. 2020, StyleGAN2, appendix B). All augmentations together hold the
    discriminator back enough for the weak R1 of StyleGAN2-ADA (Karras et al. 2020); a strong one
    hides fine detail from it. Each further stage doubles the widest layers, and wider layers take
    lower learning rates (Yang et al. 2022, table 3). A small dataset is seen more often. Fewer
    samples of large images are drawn. See docs/how-it-works.md.
    """
    if config.preset not in _IMAGES_SEEN:
        return {}
    channels, height, width = config.network.image_shape
    stages = config.network.stages
    rate = 0.5 ** max(0, min(stages, _LOWEST_RATE_AT) - _FULL_RATE_UP_TO[config.preset])
    rate_reason = f"lower for networks of {stages} stages"
    weight = config.r1_weight * channels * height * width / _PIXELS
    weight_reason = f"scaled to the values of an image, {channels}x{height}x{width}"
    if config.augment == ALL_AUGMENTATIONS:
        weight = _R1_AUGMENTED * height * width / config.batch_size
        weight_reason = "weak, since images are augmented"
    values = {"lr_g": config.lr_g * rate, "lr_d": config.lr_d * rate, "r1_weight": weight}
    found: dict[str, tuple[Any, str]] = {
        name: (float(f"{value:.2g}"), weight_reason if name == "r1_weight" else rate_reason)
        for name, value in values.items()  # two digits can be read and typed
    }
    if config.epochs is not None:
        enough = math.ceil(_IMAGES_SEEN[config.preset] / num_images)
        epochs = max(config.epochs, min(_MAX_EPOCHS, enough))
        found["epochs"] = epochs, f"more for only {num_images:,} images"
    num_samples = (_PICTURE_SIDE // max(height, width)) ** 2
    if num_samples < config.num_samples:
        found["num_samples"] = num_samples, f"fewer of {format_size(height, width)} pixels"
    return found
