"""The choice of the images that are held out of training, to compare samples with.

It is a function of the number of images and of their classes alone, not of a run's seed: all runs
on the same images hold out the same ones, so that their metrics can be compared.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganctl.rng import Stream

_MAX_SHARDS = 64
"""Number of shards that hold held-out images, unless these are more than half of their images."""


def shuffled(count: int) -> NDArray[np.int64]:
    """Return the numbers 0 to `count` - 1, (count,), in the random order of held-out images."""
    return Stream.HOLDOUT.frozen_generator().permutation(count).astype(np.int64)


def choose(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices, (count,), of the images to hold out, in random order.

    `labels`, (N,), are the classes of all images. Each class loses its share of `count`, rounded up
    or down, and no class its only image, unless most classes have only one.
    """
    order = shuffled(len(labels))
    sizes = np.bincount(labels)
    places = np.flatnonzero(sizes[labels[order]] > 1)
    if len(places) < 2 * count:
        places = np.arange(len(order))
    by_class = places[np.argsort(labels[order[places]], kind="stable")]
    # Evenly spaced in the order of the classes: that many from each class, in no order inside it.
    chosen = by_class[(2 * np.arange(count) + 1) * len(by_class) // (2 * count)]
    return order[np.sort(chosen)]


def per_shard(counts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how many of the `counts` images of each shard, (num_shards,), are held out.

    These are the last ones of each of some shards, which are spread evenly: a few shards are read
    faster than all of them.
    """
    used = np.flatnonzero(counts)
    chosen = used[np.linspace(0, len(used) - 1, min(len(used), _MAX_SHARDS)).astype(np.int64)]
    if counts[chosen].sum() < 2 * count:
        chosen = used
    ends = np.cumsum([0, *counts[chosen]])
    held_out = np.zeros_like(counts)
    held_out[chosen] = np.diff(ends * count // ends[-1])
    return held_out


def digest_of(chosen: NDArray[Any]) -> str:
    """Return the SHA-256, as hex, of a choice: the same one has the same digest."""
    return hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest()
