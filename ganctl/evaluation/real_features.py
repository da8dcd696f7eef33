"""Features of real images, which are extracted once and cached.

Extracting them takes longer than the rest of an evaluation. They are cached beside the decoded
images, so that clearing that cache removes them, too.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from ganctl.datasets.dataset import Progress, Rows, digest_of
from ganctl.datasets.local import cache
from ganctl.features import Activations, FeatureNetwork, extract
from ganctl.images import Pixels

_FORMAT = 5
"""Part of every key; increased when features of the same images change, or what is kept."""
_CHUNK = 256
"""Number of real images per batch: as many as a generator draws."""


def key_of(network: FeatureNetwork, *parts: str | int) -> str:
    """Return the cache key of a value that depends on `network` and `parts` alone."""
    made_with = [_FORMAT, torch.__version__, network.name, network.digest]
    return cache.key_of("real images", made_with, parts)


def find(key: str) -> Activations | None:
    """Return the activations that `keep` stored under `key`, if they are there."""
    content = cache.find_bytes(key, "features")
    if content is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Activations(*(torch.from_numpy(arrays[name]) for name in ("features", "logits")))


def keep(key: str, found: Activations) -> None:
    """Cache the activations `found` under `key`."""
    file = io.BytesIO()
    np.savez(file, features=found.features.numpy(), logits=found.logits.numpy())
    cache.keep_bytes(key, "features", file.getvalue())


class RealImages:
    """Real images, uint8 (N, H, W, C), as seen by one feature network."""

    def __init__(self, network: FeatureNetwork, pixels: Pixels | Rows) -> None:
        self._network = network
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the images' shape and bytes, as hex."""
        return digest_of(self.pixels)

    def key(self, *parts: str | int) -> str:
        """Return the cache key of a value that depends on images, network and `parts` alone."""
        return key_of(self._network, self.digest, *parts)

    def cached(self) -> Activations | None:
        """Return the images' activations if they are cached."""
        return find(self.key())

    def extract(self, progress: Callable[[int], None]) -> Activations:
        """Extract and cache the images' activations. `progress` gets the number of images done."""
        found = extract(self._network, chunks(self.pixels), progress)
        keep(self.key(), found)
        return found


def activations(sets: Sequence[RealImages], task: str, progress: Progress) -> list[Activations]:
    """Return the activations of each set. `progress` counts the images not cached, under `task`."""
    cached = {images: found for images in sets if (found := images.cached()) is not None}
    total, done = sum(len(images) for images in sets if images not in cached), 0
    for images in sets:
        if images not in cached:

            def report(more: int, before: int = done) -> None:
                progress(task, before + more, total)

            report(0)
            cached[images] = images.extract(report)
            done += len(images)
    return [cached[images] for images in sets]


def chunks(images: Pixels | Rows) -> Iterator[Pixels]:
    """Yield `images` in batches."""
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK]
