"""Differentiable augmentation: real images and fakes are changed alike before they are judged.

Zhao et al. 2020 (DiffAugment), section 3.3. A discriminator that never sees an image twice cannot
memorize a small data set. Each change leaves some images nearly as they are, so that the generator
learns the images and not the changes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ganctl.batch import Rows
from ganctl.config.image_settings import RGBA

_NUM_DRAWS = 8
"""Number of random numbers per image, for any choice of changes."""
_LEAST_AREA = 1e-3
"""Opaque share of an image below which its mean color is that of a darker one: there is none."""
_MAX_SHIFT = 1 / 8
"""Largest translation, as a share of height and width."""
_CUT_SIDE = 1 / 2
"""Sides of the rectangle that is cut out, as a share of height and width."""


class Augmentation:
    """Random changes of images (N, C, H, W) in [-1, 1], different for each image.

    `names` is a config's resolved `augment`. Each call draws new random numbers for a whole batch,
    on the CPU: a seed gives the same changes in every process and on every device.
    """

    def __init__(self, names: str, seed: int) -> None:
        self._changes = [] if names == "none" else [_CHANGES[name] for name in names.split(",")]
        self._seed = seed
        self._rng: torch.Generator | None = None

    def __call__(self, images: Tensor, rows: Rows | None = None) -> Tensor:
        """Return `images`, which are the `rows` of a batch (None: all), after all changes."""
        if not self._changes:
            return images
        if self._rng is None:
            self._rng = torch.Generator().manual_seed(self._seed)
        rows = rows or Rows.all_of(len(images))
        draws = rows.select(torch.rand(rows.total, _NUM_DRAWS, generator=self._rng))
        draws = draws.to(images.device, non_blocking=True)
        for change in self._changes:
            images = change(images, draws)
        return images


def _color(images: Tensor, draws: Tensor) -> Tensor:
    """Change brightness by up to 0.5, saturation to 0 to 2 times, contrast to 0.5 to 1.5 times."""
    brightness, saturation, contrast = draws[:, :3, None, None, None].unbind(1)
    if images.shape[1] == RGBA:
        return _color_of_visible(images, brightness - 0.5, 2 * saturation, contrast + 0.5)
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        gray = images.mean(1, keepdim=True)
        images = gray + (images - gray) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def _color_of_visible(
    images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor
) -> Tensor:
    """Change the colors of RGBA images, premultiplied as `images.to_tensor` has them; not alpha."""
    alpha = (images[:, 3:] + 1) / 2
    colors = (images[:, :3] + 1 + brightness * alpha) / 2
    gray = colors.mean(1, keepdim=True)
    colors = gray + (colors - gray) * saturation
    whole, area = (x.mean((1, 2, 3), keepdim=True) for x in (colors, alpha))
    mean = alpha * (whole / area.clamp(min=_LEAST_AREA))
    colors = mean + (colors - mean) * contrast
    return torch.cat([2 * colors - 1, images[:, 3:]], 1)


def _outside(images: Tensor) -> float:
    """Return the value of pixels that come from nowhere: gray, or transparent in RGBA images."""
    return -1.0 if images.shape[1] == RGBA else 0.0


def _translation(images: Tensor, draws: Tensor) -> Tensor:
    """Shift by whole pixels; pixels from outside the image are gray, 0, or transparent."""
    height, width = images.shape[2:]
    rows = _shifted(height, draws[:, 3])
    columns = _shifted(width, draws[:, 4])
    padded = functional.pad(images, (1, 1, 1, 1), value=_outside(images)).permute(0, 2, 3, 1)
    each = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shifted(length: int, draws: Tensor) -> Tensor:
    """Return where the pixels of a side come from, (N, length); 0 and length + 1 are outside."""
    most = int(length * _MAX_SHIFT + 0.5)
    shift = (draws * (2 * most + 1)).long() - most
    pixels = torch.arange(1, length + 1, device=draws.device)
    return (pixels + shift[:, None]).clamp_(0, length + 1)


def _cutout(images: Tensor, draws: Tensor) -> Tensor:
    """Turn a rectangle of half the sides gray, 0, or transparent; part of it may be outside."""
    height, width = images.shape[2:]
    rows, columns = _cut(height, draws[:, 5]), _cut(width, draws[:, 6])
    kept = ~(rows[:, None, :, None] & columns[:, None, None, :])
    if (outside := _outside(images)) != 0:
        return torch.where(kept, images, outside)
    return images * kept


def _cut(length: int, draws: Tensor) -> Tensor:
    """Return whether each pixel of a side lies in the cut, (N, length)."""
    size = int(length * _CUT_SIDE + 0.5)
    first = (draws * (length + 1)).long() - size // 2
    pixels = torch.arange(length, device=draws.device)
    return (pixels >= first[:, None]) & (pixels < first[:, None] + size)


_CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
