"""Differentiable augmentation: reals and fakes alike are changed before they are judged.

Zhao et al. 2020 (DiffAugment), section 3.3. A discriminator that never sees an image twice alike
cannot learn a small set by heart; a generator that is judged through the same changes, of which
each leaves some images nearly alone, learns the images and not the changes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ganctl.batch import Rows

_DRAWS = 8
"""Random numbers an image takes, whatever is done to it."""
_SHIFT = 1 / 8
"""How far an image is moved at most, of its height and width."""
_CUT = 1 / 2
"""A side of what is cut out of it, of its own."""


class Augmentation:
    """Changes images (N, C, H, W) in [-1, 1], each in its own way; a function of a seed.

    `names` is a config's `augment`, settled. Every call draws anew, on the CPU: what a seed does is
    the same on every device. It draws for a whole batch, of which `rows` are those that it is given
    (all).
    """

    def __init__(self, names: str, seed: int) -> None:
        self._changes = [] if names == "none" else [_CHANGES[name] for name in names.split(",")]
        self._seed = seed
        self._rng: torch.Generator | None = None

    def __call__(self, images: Tensor, rows: Rows | None = None) -> Tensor:
        if not self._changes:
            return images
        if self._rng is None:
            self._rng = torch.Generator().manual_seed(self._seed)
        rows = rows or Rows.all_of(len(images))
        draws = rows.select(torch.rand(rows.total, _DRAWS, generator=self._rng))
        draws = draws.to(images.device, non_blocking=True)
        for change in self._changes:
            images = change(images, draws)
        return images


def _color(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness by up to half of white, saturation from none to double, contrast by a half."""
    brightness, saturation, contrast = draws[:, :3, None, None, None].unbind(1)
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images: Tensor, draws: Tensor) -> Tensor:
    """Moved by whole pixels; what comes in from outside is grey, 0."""
    height, width = images.shape[2:]
    rows = _shifted(height, draws[:, 3])
    columns = _shifted(width, draws[:, 4])
    padded = functional.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    each = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shifted(length: int, draws: Tensor) -> Tensor:
    """Where each pixel of a side comes from, (N, length), 0 and length + 1 being outside."""
    most = int(length * _SHIFT + 0.5)
    shift = (draws * (2 * most + 1)).long() - most
    places = torch.arange(1, length + 1, device=draws.device)
    return (places + shift[:, None]).clamp_(0, length + 1)


def _cutout(images: Tensor, draws: Tensor) -> Tensor:
    """A rectangle of half the sides, somewhere, perhaps partly outside, becomes grey, 0."""
    height, width = images.shape[2:]
    rows, columns = _cut(height, draws[:, 5]), _cut(width, draws[:, 6])
    kept = ~(rows[:, None, :, None] & columns[:, None, None, :])
    return images * kept


def _cut(length: int, draws: Tensor) -> Tensor:
    """Whether each pixel of a side lies in the cut, (N, length)."""
    size = int(length * _CUT + 0.5)
    first = (draws * (length + 1)).long() - size // 2
    places = torch.arange(length, device=draws.device)
    return (places >= first[:, None]) & (places < first[:, None] + size)


_CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
