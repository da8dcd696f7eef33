"""The random numbers of a training step: a function of (seed, step) alone."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganctl import latents
from ganctl.batch import Rows
from ganctl.config.schema import TrainConfig
from ganctl.rng import Stream

_MAX_STEPS_AHEAD = 16
"""Number of steps whose noise is drawn at once, which is faster: after a step, caches are cold."""
_MAX_VALUES_AHEAD = 2**20
"""Number of values drawn at once, which limits the number of steps for large batches."""
_BLOCK = 1024
"""Number of latents drawn from one stream: of a larger batch, a process draws only the blocks that
it needs, and the first, whose stream gives the other random numbers."""


class Noise(NamedTuple):
    """The random numbers of one step, on the CPU."""

    latents: Tensor
    """float32 (M, latent_dim): some rows of a full batch of fakes. As in the classic recipe, even
    the last batch of an epoch, with fewer real images, has a full batch of fakes."""
    seed: int
    """Seed of dropout and augmentation."""
    mirrored: Tensor | None
    """Whether each real image is flipped horizontally, bool (batch_size,); None: none is."""


class NoiseSource:
    """A source of the random numbers of each step of a run."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._config = config
        self._pinned = device.type == "cuda"  # a GPU can copy it while it computes
        self._rows: tuple[int, ...] = ()
        self._ahead: dict[int, Noise] = {}

    def draw(self, step: int, rows: Rows | None = None) -> Noise:
        """Return the noise of `step`, counted from 0, with `rows` of the latents (None: all)."""
        rows = rows or Rows.all_of(self._config.batch_size)
        numbers = tuple(itertools.chain.from_iterable(rows.ranges))
        if step not in self._ahead or numbers != self._rows:
            size = max(1, len(numbers) * self._config.network.latent_dim)
            count = max(1, min(_MAX_STEPS_AHEAD, _MAX_VALUES_AHEAD // size))
            self._rows = numbers
            self._ahead = {later: self._draw(later, rows) for later in range(step, step + count)}
        return self._ahead.pop(step)

    def _draw(self, step: int, rows: Rows) -> Noise:
        config = self._config
        rng = self._rng(step, 0)
        blocks = {0: self._block(rng, 0)}
        parts = []
        for wanted in filter(len, rows.ranges):
            for number in range(wanted.start // _BLOCK, -(-wanted.stop // _BLOCK)):
                if number not in blocks:
                    blocks[number] = self._block(self._rng(step, number), number)
                start = number * _BLOCK
                parts.append(blocks[number][max(0, wanted.start - start) : wanted.stop - start])
        drawn = torch.cat(parts)
        seed = int(rng.integers(2**62))
        mirrored = None
        if config.mirror:
            mirrored = torch.from_numpy(rng.integers(2, size=config.batch_size, dtype=np.int64)) > 0
        if self._pinned:
            drawn = drawn.pin_memory()
            mirrored = None if mirrored is None else mirrored.pin_memory()
        return Noise(drawn, seed, mirrored)

    def _rng(self, step: int, block: int) -> np.random.Generator:
        return Stream.NOISE.generator(seed=self._config.seed, step=step, block=block)

    def _block(self, rng: np.random.Generator, number: int) -> Tensor:
        size = min(_BLOCK, self._config.batch_size - number * _BLOCK)
        return latents.draw(rng, size, self._config.network.latent_dim)
