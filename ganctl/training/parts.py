"""A batch in parts: a process's share of it, and what of that is computed at once."""

from __future__ import annotations

from dataclasses import dataclass

from ganctl.datasets.base import Share
from ganctl.networks import Rows


@dataclass(frozen=True)
class Part:
    """Some of a batch's reals, and of its fakes."""

    reals: range
    """Their places among all reals, and those of the fakes beside them among all fakes."""
    beyond: range
    """Those of other fakes: an epoch's last batch has fewer reals than fakes."""
    num_reals: int
    """In the whole batch."""
    num_fakes: int
    least: int
    """Reals that the smallest of the processes' parts has."""
    weight: float = 1.0
    """Of its mean in the whole batch's."""

    @classmethod
    def whole(cls, num_reals: int, num_fakes: int) -> Part:
        """All of a batch; it has no fewer fakes than reals."""
        reals, beyond = range(num_reals), range(num_reals, num_fakes)
        return cls(reals, beyond, num_reals, num_fakes, least=num_reals)

    @property
    def real_rows(self) -> Rows:
        """Where its reals are in the batch."""
        return Rows((self.reals,), self.num_reals)

    @property
    def fake_rows(self) -> Rows:
        """Where its fakes are."""
        return Rows((self.reals, self.beyond), self.num_fakes)

    def share(self, share: Share) -> Part:
        """What one of several processes takes of it; where there are too few reals, all of it.

        The processes' weighted sum is the whole batch's mean where they take equally many; else
        they count by their reals.
        """
        if len(self.reals) < share.processes:
            return self._with(self.reals, self.beyond, len(self.reals), 1 / share.processes)
        # Both have their larger pieces first: the other way round none is left with a single fake.
        opposite = Share(share.processes - 1 - share.rank, share.processes)
        beyond = self.beyond[_slice(opposite, len(self.beyond))]
        reals = self.reals[_slice(share, len(self.reals))]
        least = len(self.reals) // share.processes
        return self._with(reals, beyond, least, len(reals) / len(self.reals))

    def split(self, count: int) -> list[Part]:
        """In `count` parts, or as many as there are reals: in each process as many.

        Batch normalization has them wait for one another in every part.
        """
        count = min(count, self.least)
        return [self.share(Share(index, count)) for index in range(count)]

    def _with(self, reals: range, beyond: range, least: int, weight: float) -> Part:
        return Part(reals, beyond, self.num_reals, self.num_fakes, least, self.weight * weight)


def _slice(share: Share, length: int) -> slice:
    places = share.split(length)
    return slice(places.start, places.stop)
