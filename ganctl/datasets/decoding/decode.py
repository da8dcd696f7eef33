"""The bytes of an image file → pixels as networks see them; damaged and hostile bytes → a reason.

Pillow does the decoding. Its limit on pixels is replaced by `excess`, which is checked before.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageOps, UnidentifiedImageError

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding import color, excess, formats, jpeg, levels
from ganctl.datasets.decoding.fitting import OVERSAMPLING, fitted
from ganctl.datasets.decoding.levels import Extent

Pixels = NDArray[np.uint8]
Content = bytes | NDArray[Any]
"""A file's bytes, or the pixels of an image from an array: (H, W) or (H, W, C of 1 to 4)."""

_OPAQUE = (255, 255)
"""Smallest and largest alpha of an opaque image."""
_PNG_BITS = 24
"""Offset of the number of bits per sample in a PNG."""
UNREADABLE, NO_MEMORY = "cannot be read", "not enough memory to decode it"
PASSING = (UNREADABLE, NO_MEMORY)
"""Prefixes of reasons that may not apply next time, although the files are the same."""


class BadImage(Exception):  # noqa: N818 - a finding about a file, not a failure of the program
    """An image that cannot be used, and the reason in plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Facts:
    """Facts from the header of an image."""

    width: int
    height: int
    """Height in pixels, after the rotation that the camera has recorded."""
    mode: str
    """Pillow's name for the kind of pixels: L, RGB, P, RGBA, CMYK, I;16 ..."""
    format: str
    """PNG, JPEG, ..., or array."""
    frames: int = 1
    """Number of pages or frames; the first is used."""
    extent: Extent | None = None
    """Smallest and largest value if they have more than 8 bits."""


class Found(NamedTuple):
    """Facts about an image that are known once it is decoded."""

    brightest: int
    """The largest value of any sample; white is 255."""
    is_transparent: bool = False
    """Whether the file's image is not opaque everywhere."""
    lacks_end: bool = False
    """Whether a JPEG's last bytes are missing although its picture is complete."""


Outcome = Found | str
"""Result of decoding a file: facts about the image, or the reason why it cannot be used."""


def measure(content: Content) -> Facts:
    """Return the size and kind of an image, from its header where possible. Raises BadImage."""
    if not isinstance(content, bytes):
        if content.dtype == np.uint8:
            image = _from_array(content, "auto")
            return Facts(image.width, image.height, image.mode, "array")
        values = _wide(content)
        height, width = values.shape[:2]
        mode = levels.mode_of(values)
        return Facts(width, height, mode, "array", extent=_extent(values))
    with _bad_images(content), _opened(content) as image:
        width, height = image.size
        if _orientation(image, content) >= 5:
            width, height = height, width
        num_frames = formats.num_frames(image, content)
        mode, kind = image.mode, image.format or ""
    if not levels.is_wide(mode):
        return Facts(width, height, mode, kind, num_frames)
    with _bad_images(content):
        values = levels.values_of(_complete(content, None)[0])
        return Facts(width, height, mode, kind, num_frames, _extent(values))


def decode(content: Content, settings: ImageSettings) -> Pixels:
    """Return the image as uint8 (H, W, C), of the size and channels that `settings` must have.

    It is upright, in sRGB, and reduced without aliasing. With four channels it keeps its
    transparency and is black where nothing is to be seen, otherwise it is over the background.
    Raises BadImage.
    """
    return examine(content, settings)[0]


def examine(content: Content, settings: ImageSettings) -> tuple[Pixels, Found]:
    """Return what `decode` returns, and the facts found while decoding. Raises BadImage."""
    if not isinstance(content, bytes):
        return _fit(_from_array(content, settings.value_range), settings)
    with _bad_images(content):
        image, lacks_end = _complete(content, settings)
        pixels, found = _fit(image, settings, _bits(content))
        return pixels, found._replace(lacks_end=lacks_end)


def decode_whole(content: Content, background: str, value_range: str = "auto") -> Pixels:
    """Return the image at its own size, uint8 (H, W, 3), or (H, W, 1) if it is gray only.

    The `value_range` is as in `ImageSettings`. The image is upright, in sRGB and over `background`
    as in `decode`, but neither cropped nor resized. Raises BadImage.
    """
    if not isinstance(content, bytes):
        image = color.converted(_from_array(content, value_range))
    else:
        with _bad_images(content):
            image = color.converted(_complete(content, None)[0], _bits(content), value_range)
    image = color.flattened(image, background)
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    is_gray = pixels.shape[2] == 1 or bool((pixels == pixels[..., :1]).all())
    return pixels[..., :1] if is_gray else pixels


def to_pixels(values: NDArray[Any], value_range: str) -> Pixels:
    """Return the uint8 pixels of an array, with its values turned into levels if they are wide.

    Raises BadImage.
    """
    if values.dtype == np.uint8:
        return values
    try:
        return levels.to_levels(_wide(values), value_range)
    except levels.NoLevels as error:
        raise BadImage(str(error)) from None


def _from_array(values: NDArray[Any], value_range: str) -> Image.Image:
    pixels = to_pixels(values, value_range)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 2 or pixels.shape[2:] in ((2,), (3,), (4,))):
        raise _no_image(pixels)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    """Return wide values as (H, W) or (H, W, C). Raises BadImage."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype.kind not in "iuf" or values.ndim not in (2, 3) or not values.size:
        raise _no_image(values)
    return values


def _no_image(values: NDArray[Any]) -> BadImage:
    return BadImage(f"not an image: an array of {values.dtype} {values.shape}")


def _extent(values: NDArray[Any]) -> Extent:
    try:
        return levels.extent_of(values)
    except levels.NoLevels as error:
        raise BadImage(str(error)) from None


@contextlib.contextmanager
def _bad_images(content: bytes) -> Iterator[None]:
    """Convert any error that Pillow raises for a file of this `content` to BadImage.

    Pillow's limit on pixels and its warnings are off, and an AVIF is decoded by one thread, as
    there is a process for each core already.
    """
    before = Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = None, 1
        try:
            yield
        except BadImage:
            raise
        except levels.NoLevels as error:
            raise BadImage(str(error)) from None
        except UnidentifiedImageError:
            raise BadImage(formats.why_not_identified(content)) from None
        except MemoryError:
            raise BadImage(NO_MEMORY) from None
        except Exception as error:  # parsers of damaged files can raise anything
            raise BadImage(formats.why_not_decoded(error, content)) from None
        finally:
            Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = before


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Yield the image with its header read and its limits checked, but not decoded."""
    if not content:
        raise BadImage("empty file")
    if (reason := excess.before_opening(content)) is not None:
        raise BadImage(reason)
    with Image.open(io.BytesIO(content), formats=formats.pillow_formats(content)) as image:
        reason = excess.before_decoding(image, content) or formats.why_misread(image)
        if reason is not None:
            raise BadImage(reason)
        yield image


def _complete(content: bytes, settings: ImageSettings | None) -> tuple[Image.Image, bool]:
    """Return the decoded image, and whether only bytes after its picture are lost."""
    try:
        return _loaded(content, settings), False
    except OSError as error:
        if not formats.is_truncated(error):
            raise
        # If every ending gives the same picture, nothing of it depends on the lost bytes.
        pictures = (_loaded(ended, settings) for ended in jpeg.with_endings(content))
        first = next(pictures, None)
        if first is None or any(other != first for other in pictures):
            raise
        return first, True


def _bits(content: bytes) -> int | None:
    """Return the number of bits per sample in the file, if known."""
    return content[_PNG_BITS] if content.startswith(b"\x89PNG") else None


def _loaded(content: bytes, settings: ImageSettings | None) -> Image.Image:
    """Return the decoded image, upright; for `settings` a large JPEG is reduced meanwhile."""
    with _opened(content) as image:
        if settings is not None:
            assert settings.size is not None
            longest = int(OVERSAMPLING * max(settings.size))  # for any rotation
            is_gray = (
                settings.channels == 1 and image.mode == "RGB" and not color.is_converted(image)
            )
            image.draft("L" if is_gray else None, (longest, longest))
        image.load()
        with contextlib.suppress(Exception):  # EXIF data may be damaged, and the image not
            ImageOps.exif_transpose(image, in_place=True)
        return image


def _orientation(image: Image.Image, content: bytes) -> int:
    # Pillow rotates a TIFF itself, and would decode a PNG to look for EXIF data after its pixels.
    if image.format == "TIFF" or (image.format == "PNG" and b"eXIf" not in content):
        return 1
    value = 1
    with contextlib.suppress(Exception):  # as in decoding
        value = image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _fit(
    image: Image.Image, settings: ImageSettings, bits: int | None = None
) -> tuple[Pixels, Found]:
    """Return the image as a network sees it, and the facts found."""
    assert settings.size is not None
    assert settings.channels is not None
    height, width = settings.size
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[settings.channels]
    image = color.converted(image, bits, settings.value_range)
    is_transparent = image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() != _OPAQUE
    if mode != "RGBA":
        image = color.flattened(image, settings.background)
    if mode != "RGB":
        image = image.convert(mode)
    pixels, resized = fitted(image, settings, mode)
    is_opaque = mode == "RGBA" and not is_transparent
    brightest = int((resized[..., :3] if is_opaque else resized).max())
    found = Found(brightest, is_transparent)
    return pixels.reshape(height, width, settings.channels), found
