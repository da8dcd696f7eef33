"""The size and channels that images are trained at, detected where the settings leave them open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from statistics import median_low

from PIL import ImageColor

from ganctl.config.image_settings import CHANNELS, SIZES, ImageSettings, format_range
from ganctl.datasets.decoding.decode import Content, decode
from ganctl.datasets.decoding.levels import Extent
from ganctl.errors import Setting, Text, UsageError

LARGEST_DETECTED = 64
"""Largest size that is detected: photographs are larger, but 128x128 takes hours on a CPU."""


def detect(
    settings: ImageSettings, short_sides: Sequence[int], *, has_color: bool
) -> ImageSettings:
    """Return `settings` with size and channels set: as they were, or chosen for the images."""
    return dataclasses.replace(
        settings,
        size=settings.size or detect_size(short_sides),
        channels=settings.channels or (3 if has_color else 1),
    )


def detect_range(settings: ImageSettings, extents: Iterable[Extent | None]) -> ImageSettings:
    """Return `settings` with the range of all `extents` if it is to be detected and there are any.

    A range of one value begins with it: all is black.
    """
    found = [extent for extent in extents if extent is not None]
    if settings.value_range != "auto" or not found:
        return settings
    low, high = min(low for low, _ in found), max(high for _, high in found)
    text = format_range(low, high if high > low else low + max(1.0, abs(low)))
    return dataclasses.replace(settings, value_range=text)


def require_range_used(value_range: str, *, is_used: bool) -> None:
    """Raise UsageError if a range of values was given for images that all have 8 bits."""
    if value_range not in ("auto", "full") and not is_used:
        raise UsageError(
            "all images have values of 8 bits, which are gray levels already",
            Text("Leave out {}.", Setting("value_range")),
        )


def detect_size(short_sides: Sequence[int]) -> tuple[int, int]:
    """Return the largest square that at least half of the images fill without being enlarged."""
    bound = min(median_low(short_sides), LARGEST_DETECTED)
    side = max((size for size in SIZES if size <= bound), default=SIZES[0])
    return side, side


def is_colorful(content: Content, settings: ImageSettings) -> bool:
    """Return whether an image has more than shades of gray. Raises BadImage."""
    small = dataclasses.replace(settings, size=(32, 32), channels=3, fit="stretch")
    pixels = decode(content, small)
    return bool((pixels != pixels[..., :1]).any())


def array_shape(settings: ImageSettings) -> tuple[int, int, int]:
    """Return the (H, W, C) of images whose size and channels are set."""
    assert settings.size is not None
    assert settings.channels is not None
    return (*settings.size, settings.channels)


def describe(shape: tuple[int, ...], asked: ImageSettings, sample: str = "") -> str:
    """Return `shape`, (H, W, C), in words, and what of it was detected: '64x64 RGB (...)'.

    `sample` says in which of the images, such as ' from the first images'.
    """
    height, width, channels = shape
    detected = [name for name in ("size", "channels") if getattr(asked, name) is None]
    note = f" ({' and '.join(detected)} detected{sample})" if detected else ""
    return f"{height}x{width} {CHANNELS[channels]}{note}"


def require_color(background: str) -> None:
    """Raise UsageError unless Pillow knows the color."""
    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise UsageError(
            f"'{background[:40]}' is not a color",
            "Give a name, such as white or gray, or a code, such as '#ff8800'.",
        ) from None
