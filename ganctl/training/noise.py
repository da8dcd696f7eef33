"""The chance in a training step: a function of (seed, step) alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganctl import latents
from ganctl.config import TrainConfig

_STEPS_AHEAD = 16
"""Noise is drawn for so many steps at once: alone, after a step, it finds every cache cold."""
_VALUES_AHEAD = 2**20
"""But for no more than so many numbers."""


class Noise(NamedTuple):
    """All chance of one step, on the CPU."""

    latents: Tensor
    """float32 (batch_size, latent_dim): a full batch of fakes even beside an epoch's last, smaller
    batch of reals, as in the classic recipe."""
    seed: int
    """Of dropout and augmentation."""
    mirrored: Tensor | None
    """Which reals are shown mirrored, bool (batch_size,); None: none is."""


class NoiseSource:
    """The noise of a run's steps, drawn some steps ahead."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._config = config
        self._pinned = device.type == "cuda"  # such memory a GPU fetches while it works
        self._ahead: dict[int, Noise] = {}

    def of_step(self, step: int) -> Noise:
        """The noise of `step`, counted from 0."""
        if step not in self._ahead:
            size = self._config.batch_size * self._config.network.latent_dim
            count = max(1, min(_STEPS_AHEAD, _VALUES_AHEAD // size))
            self._ahead = {later: self._draw(later) for later in range(step, step + count)}
        return self._ahead.pop(step)

    def _draw(self, step: int) -> Noise:
        config = self._config
        rng = latents.step_rng(config.seed, step)
        drawn = latents.draw(rng, config.batch_size, config.network.latent_dim)
        seed = int(rng.integers(2**62))
        mirrored = None
        if config.mirror:
            mirrored = torch.from_numpy(rng.integers(2, size=config.batch_size, dtype=np.int64)) > 0
        if self._pinned:
            drawn = drawn.pin_memory()
            mirrored = None if mirrored is None else mirrored.pin_memory()
        return Noise(drawn, seed, mirrored)
