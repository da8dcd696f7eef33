"""Dropout whose masks are a function of a seed, and cheap on a CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganctl.batch import Rows


class Dropout(nn.Module):
    """Dropout with probability `p`, whose other elements are divided by 1 - p (Srivastava 2014).

    Unlike nn.Dropout it never uses torch's global random state: masks are a function of the seed.
    They are drawn for whole batches, of which `rows` are those of the input (None: all). On a CPU
    four elements share a 64-bit random number, which is several times as fast as Bernoulli draws,
    and `p` is rounded to a multiple of 2^-16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.rows: Rows | None = None
        self._seed = 0
        self._rng: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Restart the stream of masks from `seed`."""
        self._seed = seed
        self._rng = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type == "meta":
            return x
        if self._rng is None or self._rng.device != x.device:
            self._rng = torch.Generator(x.device).manual_seed(self._seed)
        rows = self.rows or Rows.all_of(len(x))
        if x.device.type == "cpu":
            return x * self._mask_of_bits(x, rows, self._rng)
        whole = torch.empty_like(x)
        if rows.total != len(x):  # the same layout: masks are drawn in the order of memory
            shape = (rows.total, *x.shape[1:])
            whole = torch.empty_strided(shape, x.stride(), dtype=x.dtype, device=x.device)
        mask = rows.select(whole.bernoulli_(1 - self.p, generator=self._rng))
        return x * mask.div(1 - self.p)

    def _mask_of_bits(self, x: Tensor, rows: Rows, rng: torch.Generator) -> Tensor:
        """Return 0 or 1/(1 - p) for each element, in the dtype and memory layout of `x`."""
        dropped = round(self.p * 2**16)
        size = math.prod(x.shape[1:])
        words = torch.empty((rows.total * size + 3) // 4, dtype=torch.int64)
        bits = words.random_(-(2**63), None, generator=rng).view(torch.int16)[: rows.total * size]
        bits = rows.select(bits.view(rows.total, size)).flatten()
        mask = (bits >= dropped - 2**15).to(x.dtype).mul_(2**16 / (2**16 - dropped))
        dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        return mask.as_strided(x.shape, x.stride()) if dense else mask.view(x.shape)


def seed_dropout(network: nn.Module, seed: int) -> None:
    """Make the dropout masks of the next forward passes a function of `seed`."""
    layers = (module for module in network.modules() if isinstance(module, Dropout))
    for number, layer in enumerate(layers):
        layer.reseed(seed + number)


def set_dropout_rows(network: nn.Module, rows: Rows) -> None:
    """Declare that the next forward passes are of these `rows` of a batch."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.rows = rows
