"""The learning rates and the moving average's decay, as functions of the step.

They never depend on the run's planned length: a run resumed to more epochs equals one that was
planned that long.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from ganctl.config.schema import TrainConfig


class Scheduled(NamedTuple):
    """The values of one step: numbers, or tensors () on the device."""

    lr_g: float | Tensor
    lr_d: float | Tensor
    ema_weight: float | Tensor
    """Weight of the new weights in the moving average; 0 without one."""


def scheduled(config: TrainConfig, step: int) -> Scheduled:
    """Return the values of `step`, counted from 0."""
    factor = learning_rate_factor(config, step)
    ema_weight = 1 - ema_decay(config, step) if config.ema_images else 0.0
    return Scheduled(config.lr_g * factor, config.lr_d * factor, ema_weight)


def has_penalty(config: TrainConfig, step: int) -> bool:
    """Return whether the R1 penalty is due at `step`, counted from 0."""
    return config.r1_weight > 0 and step % config.r1_interval == 0


def learning_rate_factor(config: TrainConfig, step: int) -> float:
    """Return the factor of both learning rates at `step`, counted from 0.

    Linear warm-up, then inverse square root decay, as in Karras et al. 2024 (EDM2), eq. 67.
    """
    warmup = min(1.0, (step + 1) / config.lr_warmup_steps) if config.lr_warmup_steps else 1.0
    decay = math.sqrt(max(1.0, step / config.lr_decay_steps)) if config.lr_decay_steps else 1.0
    return warmup / decay


def ema_decay(config: TrainConfig, step: int) -> float:
    """Return the weight of the old average at `step`, counted from 0, as in StyleGAN2."""
    images = (step + 1) * config.batch_size
    half_life = min(float(config.ema_images), config.ema_ramp * images)
    return float(0.5 ** (config.batch_size / half_life))
