"""Values with more than 8 bits, whole or floating-point → gray levels from 0 to 255."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganctl.config.image_settings import parse_range

Extent = tuple[float, float]
"""(smallest, largest) of some values."""
_WHITE_IS_ZERO = 0
_BITS, _PHOTOMETRIC = 258, 262
"""Tags of a TIFF."""
_MODES = {"u": "I", "i": "I", "f": "F"}
_ROW_VALUES = 2**22
"""Number of values that are scaled at once."""


class NoLevels(ValueError):  # noqa: N818 - a finding about an image
    """Values that have no gray levels; the text says why."""


def is_wide(mode: str) -> bool:
    """Return whether values of a `mode` of `Facts` have more than 8 bits."""
    return mode[:1] in ("I", "F") and not mode[1:2].isalpha()


def mode_of(values: NDArray[Any]) -> str:
    """Return the mode of wide values, (H, W) or (H, W, C), as Pillow would call it.

    >>> mode_of(np.zeros((2, 2), np.uint16)), mode_of(np.zeros((2, 2, 3), np.float32))
    ('I;16', 'F x 3')
    """
    mode = "I;16" if values.dtype == np.uint16 else _MODES[values.dtype.kind]
    return mode if values.ndim == 2 else f"{mode} x {values.shape[2]}"


def values_of(image: Image.Image) -> NDArray[Any]:
    """Return the values, (H, W), of an image whose mode is wide, the lowest being black.

    Pillow ensures that only for 8 bits, and does not scale 12 bits to 16.
    """
    values = np.asarray(image)
    if not image.mode.startswith("I;16"):
        return values
    values = values.astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    (bits, *_) = tags.get(_BITS, (16,))
    if bits < 16:
        values = (values.astype(np.uint32) * (2**16 - 1) // (2**bits - 1)).astype(np.uint16)
    return ~values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values


def extent_of(values: NDArray[Any]) -> Extent:
    """Return the smallest and the largest value. Raises NoLevels."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # NaN spreads to both
        raise NoLevels("has values that are infinite or not numbers (NaN)")
    return low, high


def to_levels(values: NDArray[Any], value_range: str) -> NDArray[np.uint8]:
    """Return the gray levels of `values`: 0 at the low end of a range and 255 at its high end.

    'auto' is the range that was found in all images; where none was, it is 'full': 0 to 65,535 with
    16 bits, and 0 to 1 with floating point. Raises NoLevels.
    """
    low, high = _ends(values.dtype, value_range)
    extent_of(values)
    flat = values.reshape(-1)
    levels = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), _ROW_VALUES):
        scaled = flat[start : start + _ROW_VALUES].astype(np.float64)
        scaled -= low
        scaled *= 255 / (high - low)
        np.floor(np.clip(scaled, 0, 255, out=scaled) + 0.5, out=scaled)
        levels[start : start + _ROW_VALUES] = scaled
    return levels.reshape(values.shape)


def _ends(dtype: np.dtype[Any], value_range: str) -> Extent:
    """Return the values that are black and white."""
    if value_range not in ("auto", "full"):
        return parse_range(value_range)
    if dtype.kind == "f":
        if value_range == "full":
            return 0.0, 1.0
    elif dtype.itemsize <= 2:
        bounds = np.iinfo(dtype)
        return float(bounds.min), float(bounds.max)
    raise NoLevels(
        "32-bit or floating-point values, which do not say what is white: give the range of values"
    )
