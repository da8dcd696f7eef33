"""The shape every data set comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ganctl.batch import WHOLE, Share
from ganctl.datasets.prefetch import Request, prefetch
from ganctl.errors import Text
from ganctl.rng import Stream

if TYPE_CHECKING:  # processes that only decode images come through here, and start quicker without
    import torch
    from torch import Tensor

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""
_BATCHES_AHEAD = 2
"""Read from a file while others are used."""


class ImageDataset(Protocol):
    """What a training asks of its images, wherever they are: see `Dataset` for each."""

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def image_shape(self) -> tuple[int, int, int]: ...
    @property
    def notices(self) -> tuple[str | Text, ...]: ...
    @property
    def num_held_out(self) -> int: ...
    @property
    def labels_problem(self) -> str | None: ...
    def __len__(self) -> int: ...
    def to(self, device: torch.device, bound: int | None = None) -> ImageDataset: ...
    def some(self, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]: ...
    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Dataset:
    """Images as bytes: whole on the training device, or mapped from a file where they are many."""

    name: str
    images: Tensor
    """uint8 (N, H, W, C): channels last, so that batches come in the layout networks want."""
    labels: Tensor
    """int64 (N,), on the images' device."""
    classes: tuple[str, ...]
    """The classes' names, which the labels count; none where they are not for networks to know."""
    digest: str
    """SHA-256 of the images' shape and bytes: tells a resumed run that its data is the same."""
    device: torch.device | None = None
    """Where batches are wanted; None: where the images are."""
    is_mapped: bool = False
    """Whether the images are in a file, from which each batch is read when it is wanted."""
    notices: tuple[str | Text, ...] = ()
    """What a user should know of them before a training."""
    num_held_out: int = 0
    """Images of the same set that are kept to compare samples with: `loading.load_test`."""
    labels_problem: str | None = None
    """Why labels that are there cannot be used; there are no classes then."""

    @classmethod
    def from_arrays(
        cls,
        name: str,
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        labels: np.ndarray,
        *,
        classes: Sequence[str] = (),
    ) -> Dataset:
        """Return a data set of uint8 images, (N, H, W) or (N, H, W, C), and labels, (N,)."""
        import torch

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
        """How many classes there are for networks to tell apart: one alone is none."""
        return len(self.classes) if len(self.classes) > 1 else 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, height, width, channels = self.images.shape
        return (channels, height, width)

    def to(self, device: torch.device, bound: int | None = None) -> Dataset:
        """The same images for batches on `device`.

        They are kept there whole if they take `bound` bytes at most. More stay in the file that
        they are mapped from, or on the CPU.
        """
        if bound is not None and self.images.nbytes > bound:
            return replace(self, device=device)
        # A copy on the CPU, too, of what is mapped: read in one go.
        images = self.images.to(device, copy=self.is_mapped)
        labels = self.labels.to(device)
        return replace(self, images=images, labels=labels, device=device, is_mapped=False)

    def fetch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images, uint8 (N, H, W, C), and labels, (N,), at `indices`, all where the images are.

        Reads them where they are mapped.
        """
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)

    def some(self, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """About `count` images, uint8 (n, H, W, C), all if there are fewer, evenly from all."""
        every = -(-len(self) // count)  # in folders a class comes after another
        return self.images[::every].cpu().numpy()

    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]:
        """Of an epoch, counted from 0, those batches of `size`, on the device; a share of each.

        Their order is a function of (seed, epoch). While one is used the next are read, where they
        come from elsewhere.
        """
        device = self.device or self.images.device
        order = epoch_order(len(self), seed=seed, epoch=epoch).to(self.images.device)
        sizes = ((number, min(size, len(order) - number * size)) for number in numbers)
        requests = (Request(number, share.rows(count), count) for number, count in sizes)

        def read(request: Request) -> tuple[Tensor, Tensor]:
            first, rows = request.step * size, request.rows
            pixels, labels = self.fetch(order[first + rows.start : first + rows.stop])
            if device.type == "cuda" and not pixels.is_cuda:
                return pixels.pin_memory(), labels.pin_memory()
            return pixels, labels

        for request, pixels, labels in (
            ((request, *read(request)) for request in requests)
            if self.images.device == device and not self.is_mapped
            else prefetch(read, requests, device, num_ahead=_BATCHES_AHEAD)
        ):
            yield Batch(pixels, labels, request.rows.start, request.batch_size)


class Batch(NamedTuple):
    """Images on the training device: a batch, or this process's share of it."""

    pixels: Tensor
    """uint8 (N, H, W, C)."""
    labels: Tensor
    """int64 (N,)."""
    first: int
    """The place of the first of them in the whole batch."""
    size: int
    """Of the whole batch."""

    def images(self, mirrored: Tensor | None = None) -> Tensor:
        """float32 (N, C, H, W) in [-1, 1], channels last in memory.

        `mirrored`, bool (>= size,) on any device, says which of the whole batch are flipped left to
        right.
        """
        import torch

        pixels = self.pixels
        if mirrored is not None:
            which = mirrored[self.first :][: len(pixels)].to(pixels.device, non_blocking=True)
            pixels = torch.where(which[:, None, None, None], pixels.flip(2), pixels)
        return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def digest_of(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    """SHA-256 of the shape and bytes of images, uint8 (N, H, W, C) and contiguous, as hex."""
    digest = begun_digest(images.shape)
    digest.update(images.data)
    return digest.hexdigest()


def begun_digest(shape: tuple[int, ...]) -> hashlib._Hash:
    """`digest_of` images of `shape`, (N, H, W, C), before it is fed with their bytes."""
    return hashlib.sha256(repr(shape).encode())


def epoch_order(num_images: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the images in `epoch` (counted from 0): a function of its arguments alone.

    int64 (num_images,), on the CPU.
    """
    import torch

    generator = Stream.ORDER.generator(seed=seed, epoch=epoch)
    return torch.from_numpy(generator.permutation(num_images))
