"""The rows of a batch that belong to a process, a micro-batch or a dropout mask.

Everything random is drawn for whole batches and then cut to rows, so that a batch gives the same
result however many processes and micro-batches it is divided into. Imports no torch: processes
that only decode images come through here, and start quicker without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Share(NamedTuple):
    """A share of every batch, such as that of one process; all shares are nearly equal."""

    rank: int
    """Number of this share, counted from 0."""
    num_shares: int

    def rows(self, size: int) -> range:
        """Return this share's rows of a batch of `size`; all if it has fewer rows than shares."""
        return range(size) if size < self.num_shares else self.of(range(size))

    def of(self, rows: range) -> range:
        """Return this share of `rows`, as `torch.tensor_split` divides them; it may be empty."""
        each, more = divmod(len(rows), self.num_shares)
        start = self.rank * each + min(self.rank, more)
        return rows[start : start + each + (self.rank < more)]


WHOLE = Share(0, 1)
"""The share of a process that trains alone."""


class Rows(NamedTuple):
    """Some of the rows of a batch."""

    ranges: tuple[range, ...]
    total: int
    """Number of rows in the whole batch."""

    @classmethod
    def all_of(cls, total: int) -> Rows:
        """Return all rows of a batch."""
        return cls((range(total),), total)

    def __add__(self, other: Rows) -> Rows:  # type: ignore[override]  # tuples concatenate
        """Return the same rows of both batches, put one after the other."""
        later = (range(r.start + self.total, r.stop + self.total) for r in other.ranges)
        return Rows((*self.ranges, *later), self.total + other.total)

    def select(self, tensor: Tensor, held: Rows | None = None) -> Tensor:
        """Return these rows of `tensor`, which has all rows of the batch or those of `held`.

        Each range lies within the same range of `held`. A single range is returned as a view.
        """
        import torch

        ranges = self.ranges if held is None else self._within(held)
        parts = [tensor[r.start : r.stop] for r in ranges if r]
        return torch.cat(parts) if len(parts) > 1 else parts[0] if parts else tensor[:0]

    def _within(self, held: Rows) -> list[range]:
        ranges, end = [], 0
        for own, outer in zip(self.ranges, held.ranges, strict=True):
            start = end + own.start - outer.start
            ranges.append(range(start, start + len(own)))
            end += len(outer)
        return ranges


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are computed at once: a whole batch, a process's share, or a part of that share."""

    real: range
    """Rows of the real images, and of the fakes beside them."""
    extra: range
    """Rows of the other fakes: the last batch of an epoch may have fewer real images than fakes."""
    num_reals: int
    """Number of real images in the whole batch."""
    num_fakes: int
    """Number of fakes in the whole batch."""
    min_reals: int
    """Number of real images in the smallest of the processes' shares."""
    weight: float = 1.0
    """Weight of this micro-batch's mean in the mean over the whole batch."""

    @classmethod
    def whole(cls, num_reals: int, num_fakes: int) -> MicroBatch:
        """Return all of a batch, with at least as many fakes as real images."""
        return cls(range(num_reals), range(num_reals, num_fakes), num_reals, num_fakes, num_reals)

    @property
    def real_rows(self) -> Rows:
        """Rows of the real images."""
        return Rows((self.real,), self.num_reals)

    @property
    def fake_rows(self) -> Rows:
        """Rows of the fakes."""
        return Rows((self.real, self.extra), self.num_fakes)

    def share(self, share: Share) -> MicroBatch:
        """Return a process's share; all of it if there are fewer real images than shares.

        The weighted sum over all shares is the mean over the whole: equal shares weigh the same,
        others in proportion to their real images.
        """
        if len(self.real) < share.num_shares:
            return replace(
                self, min_reals=len(self.real), weight=self.weight * (1 / share.num_shares)
            )
        real = share.of(self.real)
        # In reverse, shares with fewer real images get more extra fakes: none has a single fake.
        reverse = Share(share.num_shares - 1 - share.rank, share.num_shares)
        return replace(
            self,
            real=real,
            extra=reverse.of(self.extra),
            min_reals=len(self.real) // share.num_shares,
            weight=self.weight * (len(real) / len(self.real)),
        )

    def split(self, count: int) -> list[MicroBatch]:
        """Return `count` micro-batches, or as many as there are real images.

        Every process makes the same number, since batch normalization makes them wait for one
        another in each.
        """
        count = min(count, self.min_reals)
        return [self.share(Share(index, count)) for index in range(count)]
