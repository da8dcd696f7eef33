"""Samples in a terminal: two pixels per cell, one in each half of it."""

from __future__ import annotations

import functools
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganctl.images import Pixels, over_white, to_pil

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.segment import Segments
    from rich.style import Style

_READABLE = 14
"""Minimum height of a sample in pixels, if there is room for one."""
_MAX_SAMPLES = 100
_MAX_SCALE = 4
_COARSE = ((np.arange(256) * 31 / 255).round() * 255 / 31).round().astype(np.uint8)
"""Each value rounded to one of 32: invisible, and painting takes half the time."""
_Pixel = tuple[int, int, int] | None


class Preview:
    """A panel of samples, below a line with the step at which they were drawn."""

    def __init__(self) -> None:
        self._pixels: Pixels | None = None
        self._step = 0

    @property
    def version(self) -> object:
        return self._step, self._pixels is None

    def show(self, pixels: Pixels, step: int) -> None:
        """Replace the samples with `pixels`, uint8 (N, H, W, C), drawn after `step`."""
        self._pixels, self._step = pixels, step

    def render(self, width: int, height: int) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        if self._pixels is None:
            return Text("")
        title = Text(f"samples at step {self._step:,}", "dim", no_wrap=True, overflow="crop")
        picture, shown = contact_sheet(self._pixels, width, 2 * (height - 1))
        return Group(title, half_blocks(picture, shown))


@functools.lru_cache(16)
def arrange(
    count: int, height: int, width: int, room: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Lay out samples of height x width pixels in `room`, a width and a height in pixels.

    Returns columns, rows, and the width and height of a sample: as many of `count` as can be shown
    at a readable size, as large as fits. Without any room, (0, 0, 0, 0).
    """
    readable = min(height, max(_READABLE, height // 4))
    best = (0, 0, 0, 0)
    for number in range(min(count, _MAX_SAMPLES), 0, -1):
        layouts = []
        for columns in range(1, number + 1):
            rows = -(-number // columns)
            across, down = ((r - (n - 1)) // n for r, n in zip(room, (columns, rows), strict=True))
            scale = min(across / width, down / height, _MAX_SCALE)
            scale = int(scale) if scale > 1 else scale
            size = (int(width * scale), int(height * scale))
            if min(size) > 0:
                tidiness = (number - columns * rows, -abs(columns - rows))
                layouts.append((scale, tidiness, (columns, rows, *size)))
        if layouts:
            scale, _, best = max(layouts)
            if scale * height >= readable:
                break
    return best


def contact_sheet(pixels: Pixels, across: int, down: int) -> tuple[Pixels, NDArray[np.bool_]]:
    """Arrange samples, uint8 (N, H, W, C), in a sheet with a pixel between them.

    Returns an RGB picture, uint8 (down, across, 3), and which of its pixels belong to samples.
    """
    count, height, width, _ = pixels.shape
    columns, rows, width, height = arrange(count, height, width, (across, down))
    picture = np.zeros((max(0, down), across, 3), np.uint8)
    shown = np.zeros(picture.shape[:2], np.bool_)
    for index, sample in enumerate(pixels[: columns * rows]):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        place = np.s_[top : top + height, left : left + width]
        image = to_pil(over_white(sample))
        kind = Image.Resampling.NEAREST if height > pixels.shape[1] else Image.Resampling.LANCZOS
        picture[place] = np.asarray(image.resize((width, height), kind).convert("RGB"))
        shown[place] = True
    return picture, shown


def half_blocks(picture: Pixels, shown: NDArray[np.bool_]) -> Segments:
    """Return a picture, (H, W, 3), as H / 2 lines; `shown` (H, W) is false where it is empty."""
    from rich.segment import Segment, Segments

    rows = [
        [tuple(pixel) if seen else None for pixel, seen in zip(*row, strict=True)]
        for row in zip(_COARSE[picture].tolist(), shown.tolist(), strict=True)
    ]
    segments = []
    for uppers, lowers in zip(rows[::2], rows[1::2], strict=False):
        for cell, run in groupby(zip(uppers, lowers, strict=True)):
            text, style = _half_block(*cell)
            segments.append(Segment(text * len(list(run)), style))
        segments.append(Segment.line())
    return Segments(segments)


@functools.lru_cache(4096)
def _half_block(upper: _Pixel, lower: _Pixel) -> tuple[str, Style | None]:
    """Return the character and style that show two pixels, one above the other; None is empty."""
    from rich.color import Color
    from rich.style import Style

    front, back = (pixel and Color.from_rgb(*pixel) for pixel in (upper, lower))
    if upper is None and lower is None:
        return " ", None
    if upper == lower:
        return " ", Style(bgcolor=back)
    if upper is None:
        return "▄", Style(color=back)
    return "▀", Style(color=front, bgcolor=back)
