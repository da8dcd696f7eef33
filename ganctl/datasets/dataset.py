"""Data sets as training sees them.

Four things are made of images. A *source* (`sources`) has image files by name. A data set has their
pixels, all of one shape: it is an `ImageDataset`, either a `Dataset`, which is whole in memory or
mapped from a file, or a `StreamedDataset`. A `Batch` is some of its images on the training device.
`Batch.images()` is what networks see.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ganctl.batch import WHOLE, Share
from ganctl.datasets import holdout
from ganctl.datasets.prefetch import Request, prefetch
from ganctl.errors import Text
from ganctl.images import to_tensor
from ganctl.rng import Stream

if TYPE_CHECKING:  # processes that only decode images import this module and start faster without
    import torch
    from torch import Tensor

Progress = Callable[[str, int, int], None]
"""A function called with a task's name, the items done, and the total items."""
NO_CLASSES = "No classes: "
"""Beginning of a notice that says why images have no classes."""
_DIGEST_BATCH = 256
_BATCHES_AHEAD = 2
"""Number of batches that are read from a file while another one is used."""


class ImageDataset(Protocol):
    """Images of one shape, with labels, that can be trained on: see `Dataset` for each member."""

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
    def no_classes(self) -> tuple[str, ...]: ...
    @property
    def has_test_images(self) -> bool: ...
    @property
    def num_held_out(self) -> int: ...
    @property
    def held_out_digest(self) -> str: ...
    @property
    def labels_problem(self) -> str | None: ...
    @property
    def value_range(self) -> str | None: ...
    def __len__(self) -> int: ...
    def to(self, device: torch.device, bound: int | None = None) -> ImageDataset: ...
    def hold_out(self, count: int) -> ImageDataset: ...
    def held_out_images(self) -> Dataset | None: ...
    def evenly_spaced(self, count: int) -> NDArray[np.uint8]: ...
    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]: ...


class NamedClasses:
    """The classes of an `ImageDataset`, and the notices about them."""

    @property
    def num_classes(self: ImageDataset) -> int:
        """Number of classes for conditional networks; 0 if there is only one."""
        return len(self.classes) if len(self.classes) > 1 else 0

    @property
    def no_classes(self: ImageDataset) -> tuple[str, ...]:
        """Notices that say why there are no classes."""
        return tuple(line for line in map(str, self.notices) if line.startswith(NO_CLASSES))


class Rows:
    """Some rows of an array of images, (N, H, W, C), which are read only when they are indexed."""

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        self._images = images
        self._rows = rows
        self.shape = (len(rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a copy of these images, uint8 (n, H, W, C)."""
        found: NDArray[np.uint8] = self._images[self._rows[which]]
        return found


@dataclass(frozen=True)
class Dataset(NamedClasses):
    """An `ImageDataset` that is whole on one device, or mapped from a file if it is large."""

    name: str
    """Name of the data set, path of the images, or address of the index of shards."""
    stored: Tensor
    """uint8 (M, H, W, C): channels last, so that batches have the layout that networks want."""
    labels: Tensor
    """int64 (N,), on the device of the images."""
    classes: tuple[str, ...]
    """Names of the classes, which the labels count; empty if networks are not to know them."""
    digest: str
    """SHA-256 of all images, held-out ones included, by which a resumed run recognizes them."""
    rows: Tensor | None = None
    """int64 (N,): which of the stored images are in the data set; None: all. A file is not copied
    to leave some out."""
    device: torch.device | None = None
    """Device of the batches; None: that of the images."""
    is_mapped: bool = False
    """Whether the images are in a file from which batches are read as they are needed."""
    notices: tuple[str | Text, ...] = ()
    """What a user should know about the images before training."""
    has_test_images: bool = False
    """Whether there are test images beside these: `loading.load_test` has them."""
    num_held_out: int = 0
    """Number of images that are kept to compare samples with, as far as it is known: those that
    `hold_out` took, or the test images at a path."""
    held_out: Dataset | None = None
    """The images that `hold_out` took, in random order and where they are stored."""
    held_out_digest: str = ""
    """SHA-256 of which images these are; empty without them."""
    labels_problem: str | None = None
    """Why the labels that are there cannot be used; then there are no classes."""
    value_range: str | None = None
    """Range of values with which images of more than 8 bits were read; None without such images."""

    @classmethod
    def from_arrays(
        cls,
        name: str,
        images: NDArray[np.uint8],
        labels: np.ndarray,
        *,
        classes: Sequence[str] = (),
    ) -> Dataset:
        """Return a data set of uint8 images, (N, H, W) or (N, H, W, C), and labels, (N,)."""
        import torch

        images = np.ascontiguousarray(images[..., None] if images.ndim == 3 else images)
        tensors = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
        return cls(name, *tensors, tuple(classes), digest_of(images))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """The images, uint8 (N, H, W, C): a copy if they are only some of those stored."""
        return self.stored if self.rows is None else self.stored.index_select(0, self.rows)

    @property
    def pixels(self) -> NDArray[np.uint8] | Rows:
        """The images on the CPU, uint8 (N, H, W, C), read when they are indexed."""
        pixels = self.stored.cpu().numpy()
        return pixels if self.rows is None else Rows(pixels, self.rows.cpu().numpy())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.stored.shape
        return (channels, height, width)

    def select(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the data set of the images at `rows`, (n,), in that order; nothing is copied."""
        import torch

        chosen = torch.from_numpy(rows).to(self.stored.device)
        among = chosen if self.rows is None else self.rows[chosen]
        return replace(self, rows=among, labels=self.labels[chosen])

    def hold_out(self, count: int) -> Dataset:
        """Return all but `count` of the images, which the result has as `held_out`.

        `holdout.choose` says which.
        """
        if not count:
            return self
        chosen = holdout.choose(self.labels.cpu().numpy(), count)
        kept = np.delete(np.arange(len(self)), chosen)
        return replace(
            self.select(kept),
            num_held_out=count,
            held_out=self.select(chosen),
            held_out_digest=holdout.digest_of(chosen),
        )

    def held_out_images(self) -> Dataset | None:
        """Return the images that `hold_out` took, in random order; None if it took none."""
        return self.held_out

    def to(self, device: torch.device, bound: int | None = None) -> Dataset:
        """Return the same images with batches on `device`.

        If the images take at most `bound` bytes, they are copied to the device. Otherwise they stay
        where they are, in a file or on the CPU.
        """
        num_bytes = len(self) * math.prod(self.image_shape)
        if bound is not None and num_bytes > bound:
            return replace(self, device=device)
        copy = self.is_mapped and self.rows is None  # a copy reads the file in one go
        images, labels = self.images.to(device, copy=copy), self.labels.to(device)
        return replace(
            self, stored=images, rows=None, labels=labels, device=device, is_mapped=False
        )

    def fetch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images, uint8 (n, H, W, C), and labels, int64 (n,), at `indices`."""
        rows = indices if self.rows is None else self.rows.index_select(0, indices)
        return self.stored.index_select(0, rows), self.labels.index_select(0, indices)

    def evenly_spaced(self, count: int) -> NDArray[np.uint8]:
        """Return about `count` images, uint8 (n, H, W, C), evenly spaced, or all if fewer."""
        step = -(-len(self) // count)  # the images in folders are sorted by class
        some = slice(None, None, step)
        return self.stored[some if self.rows is None else self.rows[some]].cpu().numpy()

    def batches(
        self, size: int, numbers: range, *, seed: int, epoch: int, share: Share = WHOLE
    ) -> Iterator[Batch]:
        """Yield the batches `numbers` of an epoch, counted from 0, or a share of each of them.

        The order of the images is a function of (seed, epoch) alone. Images that are not on the
        device of the batches are read ahead.
        """
        device = self.device or self.stored.device
        order = epoch_order(len(self), seed=seed, epoch=epoch).to(self.stored.device)
        sizes = ((number, min(size, len(order) - number * size)) for number in numbers)
        requests = (Request(number, share.rows(count), count) for number, count in sizes)

        def read(request: Request) -> tuple[Tensor, Tensor]:
            start, rows = request.step * size, request.rows
            pixels, labels = self.fetch(order[start + rows.start : start + rows.stop])
            if device.type == "cuda" and not pixels.is_cuda:
                return pixels.pin_memory(), labels.pin_memory()
            return pixels, labels

        for request, pixels, labels in (
            ((request, *read(request)) for request in requests)
            if self.stored.device == device and not self.is_mapped
            else prefetch(read, requests, device, num_ahead=_BATCHES_AHEAD)
        ):
            yield Batch(pixels, labels, request.rows.start, request.batch_size)


class Batch(NamedTuple):
    """Images on the training device: a whole batch, or one process's share of it."""

    pixels: Tensor
    """uint8 (N, H, W, C)."""
    labels: Tensor
    """int64 (N,)."""
    first: int
    """Row of the first of these images in the whole batch."""
    size: int
    """Number of images in the whole batch."""

    def images(self, mirrored: Tensor | None = None) -> Tensor:
        """Return the images as float32 (N, C, H, W) in [-1, 1], channels last in memory.

        `mirrored`, bool (>= size,) on any device, says which images of the whole batch are flipped
        horizontally.
        """
        import torch

        pixels = self.pixels
        if mirrored is not None:
            flipped = mirrored[self.first :][: len(pixels)].to(pixels.device, non_blocking=True)
            pixels = torch.where(flipped[:, None, None, None], pixels.flip(2), pixels)
        return to_tensor(pixels)


def digest_of(images: NDArray[np.uint8] | Rows) -> str:
    """Return the SHA-256, in hex, of the shape and bytes of images, (N, H, W, C)."""
    digest = start_digest(images.shape)
    for start in range(0, len(images), _DIGEST_BATCH):  # of a mapped array, little is in memory
        digest.update(np.ascontiguousarray(images[start : start + _DIGEST_BATCH]).data)
    return digest.hexdigest()


def start_digest(shape: tuple[int, ...]) -> hashlib._Hash:
    """Return the hash that `digest_of` starts with for images of `shape`, (N, H, W, C)."""
    return hashlib.sha256(repr(shape).encode())


def epoch_order(num_images: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order of the images in `epoch`, counted from 0: int64 (num_images,), on the CPU.

    It is a function of the arguments alone.
    """
    import torch

    generator = Stream.ORDER.generator(seed=seed, epoch=epoch)
    return torch.from_numpy(generator.permutation(num_images))
