"""The bytes of an image file → pixels as a network sees them; damaged and hostile bytes → a reason.

Everything goes through Pillow, whose limits are replaced by one that is checked before decoding.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ganctl import limits
from ganctl.config import ImageSettings
from ganctl.datasets import excess

Pixels = NDArray[np.uint8]
Content = bytes | Pixels
"""A file's bytes, or uint8 (H, W) or (H, W, C) pixels where the images come as an array."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
_OVERSAMPLING = 2.0
"""What is much too large is first reduced quickly, to at least so many times the size asked for."""
_SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8",
)  # fmt: skip


UNREADABLE, NO_MEMORY = "cannot be read", "too large for the memory that is left"
PASSING = (UNREADABLE, NO_MEMORY)
"""How the reasons begin that may be gone next time, though the files are the same."""


class BadImage(Exception):  # noqa: N818 - a finding about a file, not a failure of the program
    """An image that cannot be used, and why, in plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Facts:
    """What an image says of itself."""

    width: int
    height: int
    """In pixels, as it is to be shown: after the rotation that a camera asks for."""
    mode: str
    """Pillow's name for its kind of pixels: L, RGB, P, RGBA, CMYK, I;16 ..."""
    format: str
    """PNG, JPEG, ..., or array."""


def measure(content: Content) -> Facts:
    """Size and kind of an image, from its header wherever that suffices. Raises BadImage."""
    if not isinstance(content, bytes):
        image = _from_array(content)
        return Facts(image.width, image.height, image.mode, "array")
    with _opened(content) as image:
        width, height = image.size
        if _orientation(image, content) >= 5:
            width, height = height, width
        return Facts(width, height, image.mode, image.format or "")


def decode(content: Content, settings: ImageSettings) -> Pixels:
    """The image as uint8 (H, W, C), of the size and channels of `settings`, which are set by then.

    Upright, in sRGB, over the background where it is transparent, reduced without aliasing.
    Raises BadImage.
    """
    if not isinstance(content, bytes):
        return fit_array(content, settings)
    with _opened(content) as image:
        _draft(image, settings)
        image.load()
        with contextlib.suppress(Exception):  # a camera's notes may be damaged, and not the image
            ImageOps.exif_transpose(image, in_place=True)
        return _fit(_to_srgb(image), settings)


def fit_array(pixels: Pixels, settings: ImageSettings) -> Pixels:
    """The same for pixels, uint8 (H, W) or (H, W, C) with C of 1 to 4. Raises BadImage."""
    return _fit(_from_array(pixels), settings)


def _from_array(pixels: Pixels) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or pixels.shape[2:] in ((2,), (3,), (4,))):
        raise BadImage(f"not an image: an array of {pixels.dtype} {pixels.shape}")
    return Image.fromarray(np.ascontiguousarray(pixels))


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """The image with its header read and its size checked; whatever Pillow raises is BadImage."""
    if not content:
        raise BadImage("empty file")
    if (reason := excess.before_opening(content)) is not None:
        raise BadImage(reason)
    try:
        with _own_limits(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if (reason := excess.before_decoding(image, content)) is not None:
                raise BadImage(reason)
            yield image
    except BadImage:
        raise
    except UnidentifiedImageError:
        known = content.startswith(_SIGNATURES)
        raise BadImage("damaged at its start" if known else "not an image") from None
    except MemoryError:
        raise BadImage(NO_MEMORY) from None
    except Exception as error:  # a parser of damaged files raises whatever it stumbles over
        raise BadImage(_plain(error)) from None


@contextlib.contextmanager
def _own_limits() -> Iterator[None]:
    """Pillow's bound on pixels is off, for the one that names the size; its warnings are too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def _plain(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "truncated"
    return f"damaged ({text})"


def _orientation(image: Image.Image, content: bytes) -> int:
    # Pillow turns a TIFF itself, and would decode a PNG to look for what may come after its pixels.
    if image.format == "TIFF" or (image.format == "PNG" and b"eXIf" not in content):
        return 1
    value = 1
    with contextlib.suppress(Exception):  # as in decoding
        value = image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _draft(image: Image.Image, settings: ImageSettings) -> None:
    """Have a large JPEG decoded at a half, a quarter or an eighth, which is far quicker."""
    assert settings.size is not None
    longest = int(_OVERSAMPLING * max(settings.size))  # whichever way it is rotated
    mode = "L" if settings.channels == 1 and image.mode == "RGB" else None
    image.draft(mode, (longest, longest))


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and len(profile) <= limits.PROFILE_BYTES and image.mode in ("RGB", "CMYK"):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """From `profile` to sRGB; None where it is that already, or is of no use."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _fit(image: Image.Image, settings: ImageSettings) -> Pixels:
    assert settings.size is not None
    assert settings.channels is not None
    height, width = settings.size
    mode = "L" if settings.channels == 1 else "RGB"
    image = _opaque(image, settings.background)
    if mode == "L" and image.mode != "L":
        image = image.convert("L")
    if settings.fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        canvas = Image.new(mode, (width, height), settings.background)
        place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
        canvas.paste(_resized(image, inner), place)
        image = canvas
    else:
        box = _middle(image, width / height) if settings.fit == "crop" else None
        image = _resized(image, (width, height), box)
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(height, width, settings.channels)


def _opaque(image: Image.Image, background: str) -> Image.Image:
    """The image in mode L or RGB, over `background` where it is transparent."""
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, background)
        canvas.alpha_composite(image.convert("RGBA"))
        return canvas.convert("RGB")
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257
    if image.mode in ("I", "F"):
        raise BadImage("pixels of 32 bits: save it with 8 or 16, which say what is white")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _middle(image: Image.Image, aspect: float) -> tuple[float, float, float, float]:
    """The largest box of `aspect` (width / height) in the middle."""
    width = min(image.width, image.height * aspect)
    height = min(image.height, image.width / aspect)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return (left, top, left + width, top + height)


def _resized(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Bicubic with antialiasing: a third quicker than Lanczos, and with less of a halo."""
    return image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=_OVERSAMPLING)
