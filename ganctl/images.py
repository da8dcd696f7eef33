"""Images and pictures as arrays, and as PNG, WebP, animation and .npz files."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ganctl.config.image_settings import RGBA
from ganctl.provenance import as_json, encodable, from_json

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
"""uint8 (N, H, W, C) for images, (H, W, C) for a picture; C is 1, 3 or 4, RGBA as in a PNG."""
_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
"""Number of channels by Pillow's name of a mode."""
_SQUARE = 8
"""Side in pixels of a checkerboard's squares."""
PREVIEW_SIZE = 84
"""Height in pixels that small images are enlarged to."""
_SHEET_SIDE = 256
"""Longest side in pixels of an image on a sheet."""


def to_pixels(images: Tensor) -> Pixels:
    """Convert float (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C); other values are clipped.

    It is the inverse of `to_tensor`: colors of RGBA images are divided by alpha.
    """
    pixels: Pixels = to_bytes(images.detach()).cpu().numpy()
    return pixels


def to_bytes(images: Tensor) -> Tensor:
    """Return what `to_pixels` does as a tensor on the device of `images`, uint8 (N, H, W, C)."""
    scaled = images.float().add(1.0).mul(127.5)
    if scaled.shape[1] == RGBA:
        alpha = scaled[:, 3:].round().clamp(0, 255)
        scaled[:, :3] *= (alpha > 0) * (255 / alpha.clamp(min=1))
    return scaled.round().clamp(0, 255).byte().permute(0, 2, 3, 1)


def to_tensor(pixels: Tensor) -> Tensor:
    """Convert uint8 (N, H, W, C) to float32 (N, C, H, W) in [-1, 1], as networks see images.

    Colors of RGBA images are multiplied by alpha (Porter & Duff 1984), so that invisible colors,
    which files leave to chance, are the same everywhere, and sums over pixels weigh each color by
    its visibility.
    """
    images = pixels.permute(0, 3, 1, 2).float()
    if images.shape[1] == RGBA:
        images[:, :3] *= images[:, 3:] / 255
    return images.div_(127.5).sub_(1.0)


def over_white(pixels: Pixels) -> Pixels:
    """Return RGBA images or pictures (..., 4) as RGB over white, (..., 3); others unchanged."""
    return _over(pixels, np.full((1, 3), 255, np.uint8)) if pixels.shape[-1] == RGBA else pixels


def over_checkerboard(picture: Pixels) -> Pixels:
    """Return an RGBA picture (H, W, 4) as RGB over a checkerboard; others unchanged."""
    if picture.shape[-1] != RGBA:
        return picture
    rows, columns = (np.arange(side) // _SQUARE for side in picture.shape[:2])
    board = np.where((rows[:, None] + columns) % 2, 255, 204).astype(np.uint8)
    return _over(picture, board[..., None])


def _over(pixels: Pixels, background: Pixels) -> Pixels:
    colors, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    return ((colors * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)


def grid(pixels: Pixels, columns: int | None = None, rows: int | None = None) -> Pixels:
    """Return images (N, H, W, C) side by side in one picture, row by row, without gaps.

    It is as square as N allows unless `columns` or `rows` are given; empty places are black, or
    transparent.
    """
    count, height, width, channels = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = rows or math.ceil(count / columns)
    padded = np.zeros((rows * columns, height, width, channels), np.uint8)
    padded[:count] = pixels
    table = padded.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return table.reshape(rows * height, columns * width, channels)


def sheet(pixels: Iterable[Pixels], columns: int | None = None) -> Pixels:
    """Return images (H, W, C) of one size as a picture to look at.

    It is a grid of their `previews`; transparent ones are shown over a checkerboard.
    """
    return over_checkerboard(grid(previews(pixels), columns))


def previews(pixels: Iterable[Pixels]) -> Pixels:
    """Return images (H, W, C) of one size as they are shown on sheets, (N, H', W', C).

    They are enlarged to about PREVIEW_SIZE or reduced to at most 256 pixels.
    """
    return np.stack([
        enlarge(shrink(image, _SHEET_SIDE), preview_factor(len(image))) for image in pixels
    ])  # fmt: skip


def add_captions(pixels: Pixels, captions: Sequence[str]) -> Pixels:
    """Return images (N, H, W, C) with a line of text below each, black on white."""
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
        picture[height:, :, :3] = np.asarray(text)[..., None]
    return framed


def enlarge(picture: Pixels, factor: int) -> Pixels:
    """Enlarge each pixel of a picture (H, W, C) or images (N, H, W, C) to `factor` x `factor`."""
    if factor == 1:
        return picture
    return picture.repeat(factor, axis=-3).repeat(factor, axis=-2)


def preview_factor(height: int) -> int:
    """Return the factor that enlarges images of `height` pixels to about PREVIEW_SIZE."""
    return max(1, PREVIEW_SIZE // height)


def png(picture: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """Encode a picture (H, W, C) as PNG, with `text` as its text chunks."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, "PNG", pnginfo=_text_chunks(text or {}))
    return buffer.getvalue()


def _text_chunks(text: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, encodable(value))
    return info


def webp(picture: Pixels, quality: int | None = None) -> bytes:
    """Encode a picture (H, W, C) as WebP, lossless unless a `quality` of 0 to 100 is given."""
    buffer = io.BytesIO()
    options = {"lossless": True} if quality is None else {"quality": quality}
    to_pil(picture).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def shrink(picture: Pixels, side: int) -> Pixels:
    """Return a picture (H, W, C) with neither side longer than `side`; it is never enlarged."""
    height, width, channels = picture.shape
    if max(height, width) <= side:
        return picture
    image = to_pil(picture)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(image).reshape(image.height, image.width, channels)


ANIMATIONS: Mapping[str, Mapping[str, Any]] = {
    "gif": {"format": "GIF", "disposal": 1},
    "webp": {"format": "WEBP", "lossless": True},
    "apng": {"format": "PNG"},
}
"""Pillow's options that write each kind of animation without loss."""
_DESCRIPTION = 0x010E
"""Exif's number of ImageDescription."""


def _exif(text: Mapping[str, str]) -> bytes:
    exif = Image.Exif()
    exif[_DESCRIPTION] = as_json(text)
    return exif.tobytes()


_TEXT_OPTIONS: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, Any]]] = {
    "gif": lambda text: {"comment": as_json(text).encode()},
    "webp": lambda text: {"exif": _exif(text)},
    "apng": lambda text: {"pnginfo": _text_chunks(text)},
}
"""Pillow's options that store text in each kind of animation."""
_CLEAR, _CLEAR_INDEX = 2, 255
"""A GIF's way to remove a frame before the next one, and the color that is transparent."""


def animation(
    frames: Sequence[Pixels],
    kind: str,
    *,
    milliseconds: int,
    hold: int = 1,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """Encode pictures (H, W, C) of one size as an endless animation of a kind in ANIMATIONS.

    Each frame is shown for `milliseconds`, the last one `hold` times as long. In a GIF pixels are
    either transparent or opaque. `text` is stored as `provenance` describes.
    """
    options = {**ANIMATIONS[kind], **(_TEXT_OPTIONS[kind](text) if text else {})}
    if kind == "gif" and frames[0].shape[-1] == RGBA:
        options["disposal"] = _CLEAR
        first, *others = map(_with_one_bit_alpha, frames)
    else:
        first, *others = map(to_pil, frames)
    durations = [milliseconds] * len(others) + [milliseconds * hold]
    buffer = io.BytesIO()
    timing: dict[str, Any] = {"duration": durations if others else durations[0], "loop": 0}
    first.save(buffer, save_all=True, append_images=others, **timing, **options)
    return buffer.getvalue()


def _with_one_bit_alpha(frame: Pixels) -> Image.Image:
    """Return an RGBA frame (H, W, 4) with 255 colors, and transparent where alpha is below half."""
    colors = Image.fromarray(np.ascontiguousarray(frame[..., :3]))
    indexed = colors.quantize(_CLEAR_INDEX, Image.Quantize.MEDIANCUT)
    indices = np.where(frame[..., 3] < 128, _CLEAR_INDEX, np.asarray(indexed)).astype(np.uint8)
    image = Image.fromarray(indices)
    palette = indexed.getpalette() or []
    image.putpalette(palette + [0] * (3 * (_CLEAR_INDEX + 1) - len(palette)))
    image.info["transparency"] = _CLEAR_INDEX
    return image


def text_of(image: Image.Image) -> dict[str, str]:
    """Return the text that `png` or `animation` stored in an opened image."""
    if image.format == "GIF":
        return from_json(image.info.get("comment", b"").decode("utf-8", "replace"))
    if image.format == "WEBP":
        return from_json(image.getexif().get(_DESCRIPTION))
    return {str(key): str(value) for key, value in getattr(image, "text", {}).items()}


def read_png(file: IO[bytes], shape: tuple[int, ...]) -> Pixels | None:
    """Return the pixels of a PNG that ganctl wrote, of `shape` (H, W, C); None for other files.

    No more of a file is read or unpacked than such a PNG could take.
    """
    picture, _ = read_picture(file, max_bytes=2 * math.prod(shape) + 2**16, shapes=shape.__eq__)
    return picture


def read_picture(
    file: IO[bytes], *, max_bytes: int, shapes: Callable[[tuple[int, ...]], bool]
) -> tuple[Pixels | None, dict[str, str]]:
    """Return the pixels (H, W, C) and the text of a PNG that ganctl wrote; None for other files.

    `max_bytes` are read, and only a picture of one of the `shapes` is unpacked.
    """
    try:
        content = io.BytesIO(file.read(max_bytes))
        with (
            warnings.catch_warnings(action="ignore"),  # about sizes that are refused below
            Image.open(content, formats=["PNG"]) as image,
        ):
            shape = (image.height, image.width, _CHANNELS.get(image.mode, 0))
            if not shapes(shape):
                return None, {}
            return np.asarray(image).reshape(shape), text_of(image)
    except Exception:  # Pillow raises a dozen types for damaged files, even SyntaxError
        return None, {}


def to_pil(picture: Pixels) -> Image.Image:
    """Return a picture (H, W, C) as a Pillow image of mode L, RGB or RGBA."""
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def concatenate(chunks: Iterable[Pixels]) -> Pixels:
    """Join chunks of images (n, H, W, C) into one array."""
    return np.concatenate(list(chunks))


class ArrayStream(NamedTuple):
    """An array that is written in chunks of rows, without ever being in memory as a whole."""

    dtype: str
    shape: tuple[int, ...]
    chunks: Iterable[ArrayLike]


def text_array(text: Mapping[str, str]) -> ArrayStream:
    """Return `text` as an array for an .npz, where its name is `provenance`."""
    array = np.array(as_json(text))
    return ArrayStream(array.dtype.str, (), [array])


def write_npz(file: IO[bytes], arrays: Mapping[str, ArrayStream]) -> None:
    """Write an uncompressed .npz with the arrays under their names."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            header = {"descr": array.dtype, "fortran_order": False, "shape": array.shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for chunk in array.chunks:
                    member.write(np.ascontiguousarray(chunk, array.dtype).data)
