"""Tensors → pixels, grids, strips, PNG, WebP and animations."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
"""uint8 (N, H, W, C) for images, (H, W, C) for a picture; C is 1 or 3."""

_ROWS = 2**20
"""Numbers of a column that are made at once."""
PREVIEW_SIZE = 84
"""Pictures made to be looked at are enlarged until an image has about this height."""


def to_pixels(images: Tensor) -> Pixels:
    """float (N, C, H, W) in [-1, 1] → uint8 (N, H, W, C); values outside are clipped."""
    scaled = images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255)
    pixels: Pixels = scaled.byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def grid(pixels: Pixels, columns: int | None = None, rows: int | None = None) -> Pixels:
    """Images (N, H, W, C) → one picture, row by row, with no gaps.

    As square as N allows unless `columns`, and `rows` for more than N, say otherwise; places left
    over are black.
    """
    count, height, width, channels = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = rows or math.ceil(count / columns)
    padded = np.zeros((rows * columns, height, width, channels), np.uint8)
    padded[:count] = pixels
    picture: Pixels = (
        padded.reshape(rows, columns, height, width, channels)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width, channels)
    )
    return picture


def strip(pixels: Pixels) -> Pixels:
    """Images (N, H, W, C) → one row, (H, N*W, C)."""
    return grid(pixels, columns=len(pixels))


def captioned(pixels: Pixels, captions: Sequence[str]) -> Pixels:
    """Images (N, H, W, C), each with its line of text on white below it, all of one new size."""
    height, width, channels = pixels.shape[1:]
    font = ImageFont.load_default(min(16, max(10, height // 7)))
    boxes = [font.getbbox(caption) for caption in captions]
    margin = 2
    wide = max(width, *(math.ceil(box[2] - box[0]) + 2 * margin for box in boxes))
    band = max(math.ceil(box[3] - box[1]) for box in boxes) + 2 * margin
    framed = np.full((len(pixels), height + band, wide, channels), 255, np.uint8)
    left = (wide - width) // 2
    framed[:, :height, left : left + width] = pixels
    for picture, caption in zip(framed, captions, strict=True):
        text = Image.new("L", (wide, band), 255)
        ImageDraw.Draw(text).text((wide / 2, band / 2), caption, 0, font, anchor="mm")
        picture[height:] = np.asarray(text)[..., None]
    return framed


def enlarge(picture: Pixels, factor: int) -> Pixels:
    """Pixels of a picture (H, W, C) or of images (N, H, W, C) as squares of `factor` a side."""
    return picture.repeat(factor, axis=-3).repeat(factor, axis=-2)


def preview_factor(height: int) -> int:
    """The whole factor that brings images of `height` pixels to about PREVIEW_SIZE."""
    return max(1, PREVIEW_SIZE // height)


def png(picture: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """A picture (H, W, C) as a PNG file, `text` as its text chunks."""
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def webp(picture: Pixels, quality: int | None = None) -> bytes:
    """A picture (H, W, C) as a WebP file; without loss unless a `quality`, 0 to 100, is given."""
    buffer = io.BytesIO()
    options = {"lossless": True} if quality is None else {"quality": quality}
    to_pil(picture).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def reduced(picture: Pixels, side: int) -> Pixels:
    """A picture (H, W, C) made smaller, if need be, so that neither side is longer than `side`."""
    height, width, channels = picture.shape
    if max(height, width) <= side:
        return picture
    image = to_pil(picture)
    image.thumbnail((side, side), Image.Resampling.BOX)
    smaller: Pixels = np.asarray(image).reshape(image.height, image.width, channels)
    return smaller


ANIMATIONS: Mapping[str, Mapping[str, Any]] = {
    "gif": {"format": "GIF", "disposal": 1},
    "webp": {"format": "WEBP", "lossless": True},
    "apng": {"format": "PNG"},
}
"""Kinds of animation, and how Pillow is told to write each without loss."""


def animation(frames: Sequence[Pixels], kind: str, *, milliseconds: int, hold: int = 1) -> bytes:
    """Pictures (H, W, C) of one size as an endless animation; `kind` is one of ANIMATIONS.

    `milliseconds` is the time of a frame; the last one is shown `hold` times as long.
    """
    first, *others = [to_pil(frame) for frame in frames]
    durations = [milliseconds] * len(others) + [milliseconds * hold]
    buffer = io.BytesIO()
    timing: dict[str, Any] = {"duration": durations if others else durations[0], "loop": 0}
    first.save(buffer, save_all=True, append_images=others, **timing, **ANIMATIONS[kind])
    return buffer.getvalue()


def read(file: IO[bytes], shape: tuple[int, ...]) -> Pixels | None:
    """The pixels of a PNG of `shape`, (H, W, C), as ganctl makes them; None where it is no such.

    Whatever the file is, no more is read or unpacked than such a PNG could take.
    """
    mode = "L" if shape[-1] == 1 else "RGB"
    try:
        content = io.BytesIO(file.read(2 * math.prod(shape) + 2**16))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of sizes that are refused here
            with Image.open(content, formats=["PNG"]) as image:
                if (image.size, image.mode) != ((shape[1], shape[0]), mode):
                    return None
                pixels: Pixels = np.asarray(image)
    except Exception:  # Pillow has a dozen kinds for a damaged file, SyntaxError among them
        return None
    return pixels.reshape(shape)


def to_pil(picture: Pixels) -> Image.Image:
    """A picture (H, W, C) as Pillow has it: of mode L or RGB."""
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def concatenate(chunks: Iterable[Pixels]) -> Pixels:
    """Chunks of images (N, H, W, C) as one array."""
    whole: Pixels = np.concatenate(list(chunks))
    return whole


@dataclass(frozen=True)
class Column:
    """An array that has a number for each image, made in parts."""

    dtype: str
    rows: Callable[[int, int], ArrayLike]
    """The numbers of the images from the first index to the second."""


def write_npz(
    file: IO[bytes],
    chunks: Iterable[Pixels],
    shape: tuple[int, ...],
    beside: Mapping[str, np.ndarray | Column] = MappingProxyType({}),
) -> None:
    """Write chunks of images as `arr_0` of an .npz, uint8 of `shape` (N, H, W, C).

    Only one chunk is in memory at a time, whatever N is. `beside` are other arrays, by their names.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for chunk in chunks:
                member.write(np.ascontiguousarray(chunk).data)
        for name, array in beside.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if isinstance(array, Column):
                    _write_column(member, array, shape[0])
                else:
                    np.lib.format.write_array(member, array, allow_pickle=False)


def _write_column(member: IO[bytes], column: Column, length: int) -> None:
    header = {"descr": column.dtype, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(member, header)
    for start in range(0, length, _ROWS):
        rows = column.rows(start, min(start + _ROWS, length))
        member.write(np.asarray(rows, column.dtype).tobytes())
