"""Which images of a whole batch a tensor holds, so that their noise is what it is in the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """Places in a batch, in ranges one after the other."""

    ranges: tuple[range, ...]
    total: int
    """Images in the whole batch."""

    @classmethod
    def all_of(cls, total: int) -> Rows:
        """Every place."""
        return cls((range(total),), total)

    def __add__(self, other: Rows) -> Rows:  # type: ignore[override]  # not a tuple's
        """The same places where `other`'s batch follows this one's."""
        later = (range(r.start + self.total, r.stop + self.total) for r in other.ranges)
        return Rows((*self.ranges, *later), self.total + other.total)

    @property
    def num(self) -> int:
        """How many places."""
        return sum(map(len, self.ranges))

    def of(self, whole: Tensor) -> Tensor:
        """These rows of `whole`, (total, ...); a view where they are neighbours."""
        return taken(whole, self.ranges)


def taken(whole: Tensor, ranges: Sequence[range]) -> Tensor:
    """The rows of `whole` in `ranges`; a view where there is one range with any."""
    parts = [whole[r.start : r.stop] for r in ranges if len(r)]
    return parts[0] if len(parts) == 1 else torch.cat(parts) if parts else whole[:0]
