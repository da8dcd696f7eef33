"""Checks for image files that would take too much time or memory to decode."""

from __future__ import annotations

from PIL import Image

from ganctl import limits
from ganctl.datasets.decoding import jpeg

_SCAN = b"\xff\xda"
_EXIF = b"Exif\0\0"
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def before_opening(content: bytes) -> str | None:
    """Return why reading a file's header would take too long, or None."""
    if content.startswith(b"\xff\xd8") and content.count(_EXIF) > limits.EXIF_PARTS:
        return "damaged (too many EXIF segments)"  # Pillow joins them one by one
    return None


def before_decoding(image: Image.Image, content: bytes) -> str | None:
    """Return why decoding an image, whose header was read, would take too much, or None."""
    num_pixels, bound = image.width * image.height, limits.IMAGE_PIXELS
    if image.format in ("JPEG", "MPO"):
        if "progressive" not in image.info and not jpeg.is_split(content):
            bound = limits.JPEG_PIXELS
        elif num_pixels * content.count(_SCAN) > limits.JPEG_SCAN_PIXELS:
            return "too many scans for its size: save it again"
    if num_pixels > bound:
        return f"too large: {image.width} x {image.height} pixels"
    if image.format == "TIFF":
        # Tiles are decoded whole, however small the image is.
        tags = getattr(image, "tag_v2", {})
        width, length = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
        whole = -(-image.width // 16) * -(-image.height // 16) * 256  # sides are multiples of 16
        if width * length > max(whole, limits.TIFF_TILE_PIXELS):
            return f"damaged (tiles of {width} x {length} pixels)"
    return None
