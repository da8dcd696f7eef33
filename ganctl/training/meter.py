"""The running epoch's means."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ganctl.training.step import METRICS


@dataclass
class Meter:
    """The running epoch's sums: part of a checkpoint, so a resumed epoch's means are exact."""

    sums: list[float] = field(default_factory=lambda: [0.0] * len(METRICS))
    steps: int = 0
    images: int = 0
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, partial: dict[str, Any]) -> Meter:
        """From a checkpoint's `partial`; anything else than what `to_dict` gives counts as none."""
        sums = partial.get("sums")
        counts = [partial.get(name) for name in ("steps", "images", "seconds")]
        if (
            isinstance(sums, list)
            and len(sums) == len(METRICS)
            and all(isinstance(value, float) and math.isfinite(value) for value in sums)
            and all(isinstance(value, int | float) and 0 <= value < 2**53 for value in counts)
        ):
            return cls(list(sums), int(counts[0] or 0), int(counts[1] or 0), float(counts[2] or 0))
        return cls()

    def means(self) -> dict[str, float]:
        """Of each metric over the steps so far, of which there is one at least."""
        return {name: total / self.steps for name, total in zip(METRICS, self.sums, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"sums": list(self.sums), "steps": self.steps, "images": self.images,
                "seconds": self.seconds}  # fmt: skip
