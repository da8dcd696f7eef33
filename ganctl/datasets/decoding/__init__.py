"""The bytes of an image file → pixels as networks see them; damaged and hostile bytes → a reason.

Everything goes through Pillow, whose limits are replaced by one that is checked before decoding.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageOps, UnidentifiedImageError

from ganctl.config.images import ImageSettings
from ganctl.datasets.decoding import color, excess, formats, jpeg

Pixels = NDArray[np.uint8]
Content = bytes | Pixels
"""A file's bytes, or uint8 (H, W) or (H, W, C) pixels where the images come as an array."""

_OVERSAMPLING = 2.0
"""What is much too large is first reduced quickly, to at least so many times the size asked for."""
_PNG_BITS = 24
"""Where a PNG says how many bits a sample has."""
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
    frames: int = 1
    """How many pages or frames there are; the first is used."""


class Found(NamedTuple):
    """What is known of an image once it is decoded."""

    brightest: int
    """The largest value of any sample; white is `white_of` its mode."""
    lacks_end: bool = False
    """Whether a JPEG's last bytes are missing, without which all of its picture is there."""


Outcome = Found | str
"""What became of a file: what is known of it, or why it cannot be used."""


def white_of(mode: str) -> int:
    """Return what white is, for a `mode` of `Facts`: 65,535 or 255."""
    return 2**16 - 1 if mode.startswith("I;16") else 255


def measure(content: Content) -> Facts:
    """Size and kind of an image, from its header wherever that suffices. Raises BadImage."""
    if not isinstance(content, bytes):
        image = _from_array(content)
        return Facts(image.width, image.height, image.mode, "array")
    with _explained(content), _opened(content) as image:
        width, height = image.size
        if _orientation(image, content) >= 5:
            width, height = height, width
        mode, kind = image.mode, image.format or ""
        return Facts(width, height, mode, kind, formats.num_frames(image, content))


def decode(content: Content, settings: ImageSettings) -> Pixels:
    """The image as uint8 (H, W, C), of the size and channels of `settings`, which are set by then.

    Upright, in sRGB, over the background where it is transparent, reduced without aliasing.
    Raises BadImage.
    """
    return examine(content, settings)[0]


def examine(content: Content, settings: ImageSettings) -> tuple[Pixels, Found]:
    """Return what `decode` returns, and what became known of the image. Raises BadImage."""
    if not isinstance(content, bytes):
        pixels, brightest = _fit(_from_array(content), settings)
        return pixels, Found(brightest)
    with _explained(content):
        try:
            image, lacks_end = _loaded(content, settings), False
        except OSError as error:
            if not formats.is_truncated(error):
                raise
            ways = (_loaded(way, settings) for way in jpeg.endings(content))
            first = next(ways, None)
            if first is None or any(other != first for other in ways):
                raise
            image, lacks_end = first, True
        pixels, brightest = _fit(image, settings, _bits(content))
        return pixels, Found(brightest, lacks_end)


def fit_array(pixels: Pixels, settings: ImageSettings) -> Pixels:
    """Return `decode` of pixels, uint8 (H, W) or (H, W, C) with C of 1 to 4. Raises BadImage."""
    return _fit(_from_array(pixels), settings)[0]


def _loaded(content: bytes, settings: ImageSettings) -> Image.Image:
    """The decoded image, upright, a large JPEG reduced. Raises what Pillow does."""
    with _opened(content) as image:
        _draft(image, settings)
        image.load()
        with contextlib.suppress(Exception):  # a camera's notes may be damaged, and not the image
            ImageOps.exif_transpose(image, in_place=True)
        return image


def _bits(content: bytes) -> int | None:
    """Bits of a PNG's sample."""
    return content[_PNG_BITS] if content.startswith(b"\x89PNG") else None


def _from_array(pixels: Pixels) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or pixels.shape[2:] in ((2,), (3,), (4,))):
        raise BadImage(f"not an image: an array of {pixels.dtype} {pixels.shape}")
    return Image.fromarray(np.ascontiguousarray(pixels))


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """The image with its header read and its size checked. Raises BadImage and what Pillow does."""
    if not content:
        raise BadImage("empty file")
    if (reason := excess.before_opening(content)) is not None:
        raise BadImage(reason)
    with Image.open(io.BytesIO(content), formats=formats.formats(content)) as image:
        reason = excess.before_decoding(image, content) or formats.misread(image)
        if reason is not None:
            raise BadImage(reason)
        yield image


@contextlib.contextmanager
def _explained(content: bytes) -> Iterator[None]:
    """Whatever Pillow raises of a file of this `content` is a BadImage."""
    with _own_limits():
        try:
            yield
        except BadImage:
            raise
        except UnidentifiedImageError:
            raise BadImage(formats.why_not(content)) from None
        except MemoryError:
            raise BadImage(NO_MEMORY) from None
        except Exception as error:  # a parser of damaged files raises whatever it stumbles over
            raise BadImage(formats.why(error, content)) from None


@contextlib.contextmanager
def _own_limits() -> Iterator[None]:
    """Pillow's bound on pixels is off, for the one that names the size; its warnings are too.

    An AVIF is decoded by one thread: there is a process for each core already.
    """
    theirs = Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = None, 1
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = theirs


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
    to_grey = settings.channels == 1 and image.mode == "RGB" and not color.is_converted(image)
    image.draft("L" if to_grey else None, (longest, longest))


def _fit(
    image: Image.Image, settings: ImageSettings, bits: int | None = None
) -> tuple[Pixels, int]:
    """(the image as a network sees it, its brightest sample: see `Found`)."""
    assert settings.size is not None
    assert settings.channels is not None
    if image.mode in ("I", "F"):
        raise BadImage(
            "samples of 32 bits or with a sign, which do not say what is white: save it with "
            "8 or 16 bits"
        )
    brightest = color.brightest(image) if white_of(image.mode) > 255 else None
    height, width = settings.size
    mode = "L" if settings.channels == 1 else "RGB"
    image = color.flattened(image, settings.background, bits)
    if mode == "L" and image.mode != "L":
        image = image.convert("L")
    if settings.fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        pixels = _pixels(_resized(image, inner), mode)
        canvas = Image.new(mode, (width, height), settings.background)
        place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
        canvas.paste(Image.fromarray(pixels), place)
        seen, pixels = pixels, _pixels(canvas, mode)
    else:
        box = _middle(image, width / height) if settings.fit == "crop" else None
        seen = pixels = _pixels(_resized(image, (width, height), box), mode)
    if brightest is None:
        brightest = int(seen.max())
    return pixels.reshape(height, width, settings.channels), brightest


def _pixels(image: Image.Image, mode: str) -> Pixels:
    return np.asarray(image if image.mode == mode else image.convert(mode))


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
