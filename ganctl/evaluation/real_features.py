"""Real images as a feature network encodes them, and what else is computed from them alone: kept.

Encoding them takes longer than all the rest of a measurement. What is kept lies with the decoded
images, so that clearing their cache removes it.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator

import numpy as np
import torch

from ganctl.datasets.base import Progress, start_digest
from ganctl.datasets.local import cache
from ganctl.features import Encoded, FeatureNetwork, encode
from ganctl.images import Pixels

_FORMAT = 1
"""Part of every key: raised when the same images are encoded in another way."""
_CHUNK = 256
"""Real images encoded at once: as many as a generator draws of small images."""


class RealImages:
    """Real images, uint8 (N, H, W, C), that `network` sees."""

    def __init__(self, network: FeatureNetwork, pixels: Pixels) -> None:
        self._network = network
        self._pixels = pixels

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of their shape and bytes, as hex."""
        digest = start_digest(self._pixels.shape)
        for chunk in chunks(self._pixels):
            digest.update(np.ascontiguousarray(chunk).data)
        return digest.hexdigest()

    def key(self, *parts: str | int) -> str:
        """Return the key of what is a function of these images, the network and `parts` alone."""
        made_with = [_FORMAT, torch.__version__, self._network.name, self._network.digest]
        return cache.key_of("real images", made_with, self.digest, parts)

    def encoded(self, doing: str, progress: Progress) -> Encoded:
        """Return them encoded, now or once before; `progress` is told of `doing`."""
        key, total = self.key(), len(self._pixels)
        if (kept := cache.find_bytes(key, "features")) is not None:
            return _from_bytes(kept)
        progress(doing, 0, total)
        found = encode(
            self._network, chunks(self._pixels), lambda done: progress(doing, done, total)
        )
        cache.keep_bytes(key, "features", _to_bytes(found))
        return found


def chunks(images: Pixels) -> Iterator[Pixels]:
    """Yield `images`, some at a time."""
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK]


def _to_bytes(encoded: Encoded) -> bytes:
    file = io.BytesIO()
    np.savez(file, features=encoded.features.numpy(), logits=encoded.logits.numpy())
    return file.getvalue()


def _from_bytes(content: bytes) -> Encoded:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Encoded(*(torch.from_numpy(arrays[name]) for name in ("features", "logits")))
