"""The sizes that images may have, and the settings of their preprocessing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ganctl.errors import Setting, Text, UsageError

FITS = ("crop", "pad", "stretch")
"""Ways to fit an image of another aspect ratio: center crop, letterbox, or distort it."""
AUGMENTATIONS = ("color", "translation", "cutout")
ALL_AUGMENTATIONS = ",".join(AUGMENTATIONS)
SIZES = (28, 32, 48, 64, 96, 128)
"""Sizes that are chosen from the images; other multiples of 4 can be given."""
RGBA = 4
CHANNELS = {1: "grayscale", 3: "RGB", RGBA: "RGBA"}
"""Numbers of channels that images may have, with their names. The fourth is opacity, alpha."""
MIN_SIZE, MAX_SIZE = 8, 1024
MIN_STAGES, MAX_STAGES = 2, 8
_FEW_PIXELS = 16
"""Height or width of the smallest layer of good networks, at most."""


def parse_size(text: str) -> tuple[int, int]:
    """Return the (height, width) of '64' or '48x64'. UsageError names the nearest allowed size.

    >>> parse_size("48x64")
    (48, 64)
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"'{text[:40]}' is not a size", "Write it as 64, or as 48x64: HxW.")
    height, width = int(parts[0]), int(parts[-1])
    if not (is_side(height) and is_side(width)):
        near = (min(max(MIN_SIZE, 4 * round(side / 4)), MAX_SIZE) for side in (height, width))
        raise UsageError(
            f"images of {text} do not fit the networks: sizes are multiples of 4 from {MIN_SIZE} "
            f"to {MAX_SIZE}",
            Text("The nearest is {}.", Setting("image_size", format_size(*near))),
        )
    return height, width


def format_size(height: int, width: int) -> str:
    """Return '48x64', or '64' for a square: the inverse of `parse_size`."""
    return str(height) if height == width else f"{height}x{width}"


def normalize_size(text: str) -> str:
    """Return a size as a config has it. Raises UsageError.

    >>> normalize_size("64x64"), normalize_size("48X64")
    ('64', '48x64')
    """
    return format_size(*parse_size(text))


def stages_for(height: int, width: int) -> int:
    """Return how many times images of this size can be halved evenly, to no less than 4 pixels.

    >>> stages_for(28, 28), stages_for(64, 64), stages_for(48, 128), stages_for(100, 100)
    (2, 4, 3, 2)
    >>> stages_for(256, 256), stages_for(512, 512), stages_for(1024, 1024)
    (6, 7, 8)
    """
    fitting = [
        stages
        for stages in range(MIN_STAGES + 1, MAX_STAGES + 1)
        if height % 2**stages == width % 2**stages == 0 and min(height, width) >= 4 * 2**stages
    ]
    return max(fitting, default=MIN_STAGES)


def smoother_size(height: int, width: int) -> tuple[int, int] | None:
    """Return the nearest size that is halved to less than 16 pixels, None if this one is.

    >>> smoother_size(64, 64), smoother_size(100, 100), smoother_size(1000, 1020)
    (None, (96, 96), (1024, 1024))
    """
    if min(height, width) >> stages_for(height, width) < _FEW_PIXELS:
        return None
    step = 4
    while min(height, width) >= _FEW_PIXELS * step:
        step *= 2
    return step * round(height / step), step * round(width / step)


def parse_range(text: str) -> tuple[float, float]:
    """Return the values that are black and white in '0,4095'. Raises UsageError.

    >>> parse_range("-1, 1")
    (-1.0, 1.0)
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(
            f"'{text[:40]}' is not a range of values",
            "Write auto, full, or the values that are black and white: 0,4095.",
        )
    return low, high


def format_range(low: float, high: float) -> str:
    """Return '0,4095': the inverse of `parse_range`, but for the 13th digit on."""
    return f"{low:.12g},{high:.12g}"


def normalize_range(text: str) -> str:
    """Return a range of values as a config has it. Raises UsageError.

    >>> normalize_range("0, 4095.0"), normalize_range("Full")
    ('0,4095', 'full')
    """
    name = text.strip().lower()
    return name if name in ("auto", "full") else format_range(*parse_range(text))


def normalize_augment(text: str) -> str:
    """Return 'color,cutout' for 'cutout, color': the order of application. Raises UsageError."""
    names = {name.strip() for name in text.split(",")}
    if names in ({"auto"}, {"none"}):
        return names.pop()
    if unknown := sorted(names - {*AUGMENTATIONS}):
        known = f"Known: auto, none, or any of {ALL_AUGMENTATIONS}."
        raise UsageError(f"unknown augmentation '{unknown[0][:40]}'", known)
    return ",".join(name for name in AUGMENTATIONS if name in names)


def is_side(length: int) -> bool:
    """Return whether images can be that many pixels high or wide."""
    return MIN_SIZE <= length <= MAX_SIZE and length % 4 == 0


@dataclass(frozen=True)
class ImageSettings:
    """The preprocessing of images: size, channels, fit and background."""

    size: tuple[int, int] | None = None
    """(height, width); None: chosen from the images."""
    channels: int | None = None
    """One of CHANNELS; None: 1 or 3, detected from the images."""
    fit: str = "crop"
    """One of FITS."""
    background: str = "white"
    """Color behind transparent and beside padded images, as Pillow names it: 'white', '#ff8800'."""
    image_key: str | None = None
    """Field of the image in WebDataset's samples, such as 'seg.png'; None: the first plain one."""
    image_column: str | None = None
    """Column of the images in tables that have several; None: the only one."""
    label_column: str | None = None
    """Column of the classes in tables; None: the one whose type or name says so."""
    value_range: str = "auto"
    """Values that are black and white where they have more than 8 bits, as 'LOW,HIGH'; 'full': all
    that the type of the values has; 'auto': the lowest and highest in the images."""
