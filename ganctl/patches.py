"""The patch distance: what two sets of images differ in, seen through small windows.

It needs no network. It sees checkered pixels, noise, blur and wrong colors, and hardly what the
images show. Images are uint8 (N, H, W, C): grayscale, RGB or RGBA.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ganctl.datasets.dataset import Rows
from ganctl.images import Pixels
from ganctl.rng import Fixed

NUM_IMAGES = 2048
"""Maximum number of images of each set that are compared."""
NUM_PATCHES = 16_384
"""Least number of patches of each set and level that are compared."""
_SIDE = 7
_SMALLEST = 16
"""Least side of the images of a level, as Karras et al. chose it."""
_NUM_PROJECTIONS = 128
_CHUNK_VALUES = 2**23
"""Number of values that are filtered at once."""
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def distance(images: Pixels, others: Pixels | Rows) -> float:
    """Return the sliced Wasserstein distance of the patches of two sets of images of one shape.

    Karras et al. 2018 (Progressive growing of GANs), section 5: the mean over the levels of
    Laplacian pyramids (Burt and Adelson 1983) and over random directions of the Wasserstein-1
    distance of 7x7 patches. Here mean and deviation of each color channel, by which patches are
    normalized, are those of both sets together and not of each: a loss of contrast counts, too. At
    least 0, which equal sets have, and the same if the sets are exchanged.
    """
    return Reference(others).distance(images)


class Reference:
    """A set of images to which distances of other sets are measured; its patches are kept."""

    def __init__(self, images: Pixels | Rows) -> None:
        self._images = images
        self._count = 0
        self._patches: list[Tensor] = []

    def distance(self, images: Pixels) -> float:
        """Return the `distance` of `images` to this set."""
        count = min(NUM_IMAGES, len(images), len(self._images))
        if count != self._count:
            self._count = count
            self._patches = patches_of(evenly_spaced(self._images, count))
        return compare(patches_of(evenly_spaced(images, count)), self._patches)


def evenly_spaced(images: Pixels | Rows, count: int) -> Pixels:
    """Return `count` of the images, evenly from the first to the last, or all if fewer."""
    chosen: Pixels = images[places(len(images), count)]
    return chosen


def places(length: int, count: int) -> NDArray[np.intp]:
    """Return `count` indices, or all of `length` if fewer, evenly from the first to the last."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.intp)


def patches_of(images: Pixels) -> list[Tensor]:
    """Return patches of the images for `compare`, level by level, fine to coarse.

    Each level is float32 (P, 7, 7, C), with as many patches of every image at places that depend
    on the number and size of the images alone.
    """
    per_image = -(-NUM_PATCHES // len(images))
    random = torch.Generator().manual_seed(Fixed.PATCHES)
    corners: list[Tensor] = []
    found: list[list[Tensor]] = []
    chunk = max(1, _CHUNK_VALUES // images[0].size)
    for start in range(0, len(images), chunk):
        levels = _pyramid(_as_values(images[start : start + chunk]))
        if not corners:
            sides = ([side - _SIDE + 1 for side in level.shape[2:]] for level in levels)
            corners = [
                torch.stack([
                    torch.randint(side, (len(images), per_image), generator=random)
                    for side in both
                ])
                for both in sides
            ]  # fmt: skip
            found = [[] for _ in levels]
        for level, corner, cut in zip(levels, corners, found, strict=True):
            cut.append(_cut(level, corner[:, start : start + chunk]))
    return [torch.cat(cut) for cut in found]


def compare(patches: Iterable[Tensor], others: Iterable[Tensor]) -> float:
    """Return the distance of two sets of patches, each from as many images of one size."""
    random = torch.Generator().manual_seed(Fixed.PATCHES)
    distances = [_sliced(*both, random) for both in zip(patches, others, strict=True)]
    return sum(distances) / len(distances)


def _sliced(a: Tensor, b: Tensor, random: torch.Generator) -> float:
    means, variances = (
        torch.stack([statistic(each, (0, 1, 2)) for each in (a, b)])
        for statistic in (torch.mean, torch.var)
    )
    mean = means.mean(0)
    deviation = (variances + (means - mean).square()).mean(0).sqrt().clamp(min=1e-6)
    directions = torch.randn(a[0].numel(), _NUM_PROJECTIONS, generator=random)
    directions /= directions.norm(dim=0)
    a, b = (
        (((each - mean) / deviation).flatten(1) @ directions).T.contiguous().sort().values
        for each in (a, b)
    )
    return float((a - b).abs().mean())


def _as_values(images: Pixels) -> Tensor:
    """Return images as float32 (N, C, H, W); colors of transparent pixels count for nothing."""
    values = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    if values.shape[1] == 4:
        alpha = values[:, 3:]
        return torch.cat([values[:, :3] * (alpha / 255), alpha], dim=1)
    return values


def _pyramid(images: Tensor) -> list[Tensor]:
    """Return the Laplacian pyramid of images, (N, C, H, W): the last level is what is left."""
    levels = []
    while min(images.shape[2:]) >= 2 * _SMALLEST:
        smaller = _filtered(images, 1.0)[:, :, ::2, ::2]
        height, width = images.shape[2:]
        larger = images.new_zeros(*images.shape[:2], *(2 * side for side in smaller.shape[2:]))
        larger[:, :, ::2, ::2] = smaller
        levels.append(images - _filtered(larger, 2.0)[:, :, :height, :width])
        images = smaller
    return [*levels, images]


def _filtered(images: Tensor, gain: float) -> Tensor:
    """Return images through a 5x5 binomial filter; `gain` is that along each axis."""
    channels = images.shape[1]
    row = torch.tensor(_BINOMIAL).mul_(gain).view(1, 1, 1, 5).expand(channels, 1, 1, 5)
    images = F.pad(images, (2, 2, 2, 2), mode="reflect")
    images = F.conv2d(images, row, groups=channels)
    return F.conv2d(images, row.transpose(2, 3), groups=channels)


def _cut(level: Tensor, corners: Tensor) -> Tensor:
    """Return the patches of images, (N, C, H, W), at `corners`, int64 (2, N, patches per image)."""
    offsets = torch.arange(_SIDE)
    rows, columns = corners[..., None] + offsets
    images = torch.arange(len(level))[:, None, None, None]
    cut = level.permute(0, 2, 3, 1)[images, rows[..., :, None], columns[..., None, :]]
    return cut.flatten(0, 1)
