"""The pixels of a decoded image, in any of Pillow's modes → 8-bit grayscale or sRGB."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from ganctl import limits
from ganctl.datasets.decoding import levels


def is_converted(image: Image.Image) -> bool:
    """Return whether the embedded profile of an image in mode RGB changes its colors."""
    profile = _profile(image)
    return profile is not None and _transform(profile, "RGB") is not None


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Return what `converted` returned in mode L or RGB, over `background`."""
    if image.mode not in ("LA", "RGBA"):
        return image
    canvas = Image.new("RGBA", image.size, background)
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas.convert("RGB")


def converted(
    image: Image.Image, bits: int | None = None, value_range: str = "auto"
) -> Image.Image:
    """Return the image in sRGB: in mode L or RGB, or in LA or RGBA if it can be transparent.

    The `value_range` is as in `levels.to_levels`, whose NoLevels it raises. `bits` is the number of
    bits per sample in the file, if known: Pillow does not scale the color that stands for
    transparency to 8 bits.
    """
    profile = _profile(image)
    image = _expanded(image, bits, value_range)
    if image.mode not in ("LA", "RGBA"):
        return _in_srgb(image, profile)
    if profile:  # a profile says nothing about transparency
        alpha = image.getchannel("A")
        image = _in_srgb(image.convert(image.mode[:-1]), profile).convert("RGBA")
        image.putalpha(alpha)
    return image


def _profile(image: Image.Image) -> bytes | None:
    profile: bytes = image.info.get("icc_profile") or b""
    return profile if 0 < len(profile) <= limits.PROFILE_BYTES else None


def _expanded(image: Image.Image, bits: int | None, value_range: str) -> Image.Image:
    """Return the image with 8 bits per sample, in mode L, LA, RGB, RGBA or CMYK."""
    clear = image.info.get("transparency")
    if levels.is_wide(image.mode):
        wide = levels.values_of(image)
        gray = levels.to_levels(wide, value_range)
        if clear is None:
            return Image.fromarray(gray)
        alpha = np.where(wide == clear, 0, 255).astype(np.uint8)
        return Image.fromarray(np.stack([gray, alpha], -1))
    if image.has_transparency_data:
        if bits is not None and image.mode in ("L", "RGB"):
            image.info["transparency"] = _scaled(clear, bits)
        return image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled(clear: Any, bits: int) -> Any:
    """Return the transparent color of a PNG, scaled to 8 bits as Pillow scales the pixels."""
    if bits == 16 and isinstance(clear, tuple):
        return tuple(value >> 8 for value in clear)
    if bits < 8 and isinstance(clear, int):
        return clear * 255 // (2**bits - 1)
    return clear


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image in mode L, RGB or CMYK as L or RGB."""
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        converted = ImageCms.applyTransform(image, transform) or image
        return converted.convert("L") if image.mode == "L" else converted
    return image.convert("RGB") if image.mode not in ("L", "RGB") else image


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """Return the transform to sRGB; None if `profile` is sRGB already, or unusable for `mode`."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
