"""The chance in a training step: a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganctl import latents
from ganctl.batch import select
from ganctl.config.schema import TrainConfig
from ganctl.rng import Stream

_STEPS_AHEAD = 16
"""Noise is drawn for so many steps at once: alone, after a step, it finds every cache cold."""
_VALUES_AHEAD = 2**20
"""But for no more than so many numbers."""
_BLOCK = 1024
"""Latents that come from one stream: of a larger batch a process draws those blocks that it needs,
and the first, which the rest of the chance comes after."""


class Noise(NamedTuple):
    """All chance of one step, on the CPU."""

    latents: Tensor
    """float32 (N, latent_dim): those asked for of a full batch of fakes, as there is even beside an
    epoch's last, smaller batch of reals, as in the classic recipe."""
    seed: int
    """Of dropout and augmentation."""
    mirrored: Tensor | None
    """Which reals are shown mirrored, bool (batch_size,); None: none is."""


class NoiseSource:
    """The noise of a run's steps, drawn some steps ahead."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._config = config
        self._pinned = device.type == "cuda"  # such memory a GPU fetches while it works
        self._places: tuple[range, ...] = ()
        self._ahead: dict[int, Noise] = {}

    def of_step(self, step: int, places: Sequence[range] | None = None) -> Noise:
        """The noise of `step`, counted from 0, with the latents at `places` of the batch (all)."""
        places = _joined([range(self._config.batch_size)] if places is None else places)
        if step not in self._ahead or places != self._places:
            size = sum(map(len, places)) * self._config.network.latent_dim
            count = max(1, min(_STEPS_AHEAD, _VALUES_AHEAD // max(1, size)))
            self._places = places
            self._ahead = {later: self._draw(later) for later in range(step, step + count)}
        return self._ahead.pop(step)

    def _draw(self, step: int) -> Noise:
        config = self._config
        rng = Stream.NOISE.generator(seed=config.seed, step=step, block=0)
        first = self._block(rng, 0)
        drawn = self._latents(step, first)
        seed = int(rng.integers(2**62))
        mirrored = None
        if config.mirror:
            mirrored = torch.from_numpy(rng.integers(2, size=config.batch_size, dtype=np.int64)) > 0
        if self._pinned:
            drawn = drawn.pin_memory()
            mirrored = None if mirrored is None else mirrored.pin_memory()
        return Noise(drawn, seed, mirrored)

    def _latents(self, step: int, first: Tensor) -> Tensor:
        """Those at the places of the present batch, whose first block was drawn already."""
        if self._config.batch_size <= _BLOCK:
            return select(first, self._places)
        parts = []
        for places in self._places:
            for number in range(places.start // _BLOCK, -(-places.stop // _BLOCK)):
                rng = Stream.NOISE.generator(seed=self._config.seed, step=step, block=number)
                block = self._block(rng, number) if number else first
                start = number * _BLOCK
                parts.append(block[max(0, places.start - start) : places.stop - start])
        return torch.cat(parts)

    def _block(self, rng: np.random.Generator, number: int) -> Tensor:
        size = min(_BLOCK, self._config.batch_size - number * _BLOCK)
        return latents.draw(rng, size, self._config.network.latent_dim)


def _joined(places: Sequence[range]) -> tuple[range, ...]:
    """The same in as few ranges as can be: an epoch's last batch is like the others then."""
    joined: list[range] = []
    for some in filter(len, places):
        if joined and joined[-1].stop == some.start:
            joined[-1] = range(joined[-1].start, some.stop)
        else:
            joined.append(some)
    return tuple(joined)
