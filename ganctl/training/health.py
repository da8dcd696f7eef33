"""Signs that a training goes wrong though all its numbers are finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganctl.errors import Setting, Text
from ganctl.images import Pixels

_SETTLED = 1000
"""Steps before which nothing is amiss: every generator begins with one blob for all latents."""
_SURE = 0.95
_ALIKE = 0.1


@dataclass(frozen=True)
class Sign:
    """Something that is wrong with an epoch."""

    name: str
    """As in losses.csv."""
    meaning: str
    advice: Text


DISCRIMINATOR_WINS = Sign(
    "discriminator wins",
    "the discriminator tells real and generated images apart nearly every time, which leaves the "
    "generator little to learn from",
    Text(
        "If the samples get no better, begin anew with a lower {} and another {}.",
        Setting("lr_d"),
        Setting("out"),
    ),
)
SAMPLES_ALIKE = Sign(
    "samples alike",
    "the samples are all but equal to one another: the generator has collapsed",
    Text(
        "A collapse seldom heals. Begin anew with lower learning rates ({}, {}) "
        "or another {}; the snapshots epoch-*.pt may be from before it.",
        Setting("lr_g"),
        Setting("lr_d"),
        Setting("seed"),
    ),
)


def signs(row: Mapping[str, Any]) -> list[Sign]:
    """What is wrong with an epoch, by its row of the history."""
    found: list[Sign] = []
    if row["step"] < _SETTLED:
        return found
    if row["d_real"] > _SURE and row["d_fake"] < 1 - _SURE:
        found.append(DISCRIMINATOR_WINS)
    if row["diversity"] is not None and row["diversity"] < _ALIKE:
        found.append(SAMPLES_ALIKE)
    return found


def variety(pictures: Pixels) -> float:
    """How much uint8 pictures (N, H, W, C) differ from one another, N >= 2.

    The standard deviation of each pixel over the pictures, averaged over the pixels; 0 to 127.5.
    """
    return float(pictures.std(axis=0, dtype="f8").mean())
