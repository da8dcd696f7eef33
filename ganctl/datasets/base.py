"""The shape every data set comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # processes that only decode images come through here, and start quicker without
    import torch
    from torch import Tensor

_ORDER_STREAM = 1
"""Keeps the order's random numbers apart from every other use of a run's seed."""


@dataclass(frozen=True)
class Dataset:
    """Images kept whole as bytes on the training device."""

    name: str
    images: Tensor
    """uint8 (N, H, W, C): channels last, so that batches come in the layout networks want."""
    labels: Tensor
    """int64 (N,), on the images' device."""
    classes: tuple[str, ...]
    """The classes' names, which the labels count; none where they are not for networks to know."""
    digest: str
    """SHA-256 of the images' shape and bytes: tells a resumed run that its data is the same."""
    notices: tuple[str, ...] = ()
    """What a user should know of them before a training."""

    @classmethod
    def from_arrays(
        cls,
        name: str,
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        labels: np.ndarray,
        limit: int | None = None,
        *,
        classes: Sequence[str] = (),
    ) -> Dataset:
        """From uint8 (N, H, W) or (N, H, W, C) and N labels, the first `limit` of them."""
        import torch

        images, labels = images[:limit], labels[:limit]
        if images.ndim == 3:
            images = images[..., None]
        images = np.ascontiguousarray(images)
        return cls(
            name,
            torch.from_numpy(images),
            torch.from_numpy(labels.astype(np.int64)),
            tuple(classes),
            digest_of(images),
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """How many classes there are for networks to know."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, height, width, channels = self.images.shape
        return (channels, height, width)

    def to(self, device: torch.device) -> Dataset:
        """The same images on `device`."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batch(self, indices: Tensor) -> Tensor:
        """The images at `indices` (on the images' device), float32 (N, C, H, W) in [-1, 1]."""
        chosen = self.images.index_select(0, indices).permute(0, 3, 1, 2)
        return chosen.float().div_(127.5).sub_(1.0)


def digest_of(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    """SHA-256 of the shape and bytes of images, uint8 (N, H, W, C) and contiguous, as hex."""
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(images.data)
    return digest.hexdigest()


def epoch_order(num_images: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the images in `epoch` (counted from 0): a function of its arguments alone.

    int64 (num_images,), on the CPU.
    """
    import torch

    rng = np.random.default_rng([_ORDER_STREAM, seed, epoch])
    return torch.from_numpy(rng.permutation(num_images))
