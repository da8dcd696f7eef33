"""The format of an image file by its content, not its name, and whether it can be read."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import itertools
import re
import struct
from collections.abc import Iterator

from PIL import Image, TiffImagePlugin, features

from ganctl import limits

READABLE = "ganctl can read PNG, JPEG, WebP, BMP, TIFF, GIF, AVIF and HEIC."
_ALWAYS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    "Canon's CR3": (b"crx ",),
}
"""Brands that files of ISO's base media format name, by format."""
_INSTALL = {"AVIF": "pip install --upgrade pillow", "HEIC": "pip install 'ganctl[heic]'"}
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
}
_UNSUPPORTED = {
    rb"\0\0\0\x0cJXL |\xff\x0a": "JPEG XL",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000",
    rb"8BPS": "a Photoshop document",
    rb"\x76\x2f\x31\x01": "OpenEXR",
    rb"P[1-7]\s": "netpbm",
    rb"\0\0\x01\0": "an icon",
    rb"%!PS": "PostScript",
    rb"%PDF": "PDF",
    rb"(?s).{128}DICM": "DICOM",
    rb"(?is)\s*(<\?xml.*?)?<svg": "SVG",
}
"""Image formats that cannot be read, by the pattern that their files begin with."""
_NOT_IMAGES = {
    rb"(?is)\s*(<!--.*?-->\s*)?<(!doctype html|html)": "a web page: download the image again",
    rb"version https://git-lfs": "a Git LFS pointer: git lfs pull fetches the image",
}
_HEAD_BYTES = 1024
_SAMPLES = {1: "", 2: "signed ", 3: "floating-point "}
_WIDTH, _BITS, _COMPRESSION, _CHANNELS, _SUBFILE, _SAMPLE_FORMAT = 256, 258, 259, 277, 254, 339
_PLANES, _SEPARATE = 284, 2
_NO_PAGE = 0b101
"""Bits of a TIFF's subfile type: a smaller copy of another page, or a mask."""


def pillow_formats(content: bytes) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a file of this `content` may be read as."""
    if not _is_boxed(content):
        return _ALWAYS
    installed = optional_formats()
    if "HEIC" in installed:
        _register_heif()
    return tuple("HEIF" if name == "HEIC" else name for name in installed)


def optional_formats() -> tuple[str, ...]:
    """Return the formats that only some installations of Pillow can read, and this one can."""
    is_heic = importlib.util.find_spec("pillow_heif") is not None
    return ("AVIF",) * bool(features.check("avif")) + ("HEIC",) * is_heic


@functools.cache
def _register_heif() -> None:
    import pillow_heif  # importing it takes 0.2 s

    pillow_heif.register_heif_opener(thumbnails=False)


def why_not_identified(content: bytes) -> str:
    """Return why a file that Pillow does not open cannot be used, in plain words."""
    if _is_boxed(content):
        return _why_not_boxed(content)
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            if _is_cut_short(content):
                return "truncated"
            reason = _why_not_tiff(content) if name == "TIFF" else _why_not_opened(name, content)
            return reason or "damaged at its start"
    for pattern, name in _UNSUPPORTED.items():
        if re.match(pattern, content[:_HEAD_BYTES]):
            return _unsupported(name)
    for pattern, reason in _NOT_IMAGES.items():
        if re.match(pattern, content[:_HEAD_BYTES]):
            return reason
    return "not an image"


def why_not_decoded(error: Exception, content: bytes) -> str:
    """Return why a file cannot be used, if reading it ended in Pillow's `error`."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
    if is_truncated(error) or _is_cut_short(content):
        return "truncated"
    if text.lower().startswith("unsupported"):
        return _unsupported(re.sub(r"(?i)^unsupported ", "", text))
    return f"damaged ({text})"


def why_misread(image: Image.Image) -> str | None:
    """Return why Pillow would decode an opened image wrongly, or None.

    It reads uncompressed separate planes of 16-bit samples as planes of 8-bit samples.
    """
    tags = getattr(image, "tag_v2", {})
    is_planar = tags.get(_PLANES) == _SEPARATE and len(image.getbands()) > 1
    if is_planar and image.info.get("compression") == "raw" and max(tags.get(_BITS, (1,))) > 8:
        return _unsupported("TIFF with uncompressed planes of 16-bit samples")
    return None


def is_truncated(error: Exception) -> bool:
    """Return whether Pillow's `error` says that a file ends too early."""
    return "truncated" in str(error).lower() or isinstance(error, EOFError)


def num_frames(image: Image.Image, content: bytes) -> int:
    """Return the number of pages or frames in an image that was opened from `content`.

    Smaller copies in a TIFF do not count, nor does what a camera appends to a JPEG.
    """
    if image.format == "TIFF":
        count = 0
        with contextlib.suppress(struct.error, OverflowError):
            for is_page in itertools.islice(_tiff_directories(content), limits.TIFF_PAGES):
                count += is_page
        return max(count, 1)
    if image.format != "MPO":
        with contextlib.suppress(Exception):  # only the first one has to be whole
            return int(getattr(image, "n_frames", 1))
    return 1


def _is_boxed(content: bytes) -> bool:
    """Return whether `content` is in ISO's base media format, as AVIF, HEIC and videos are."""
    return content[4:8] == b"ftyp"


def _why_not_boxed(content: bytes) -> str:
    size = min(int.from_bytes(content[:4], "big"), _HEAD_BYTES)
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, size, 4))}
    for name, known in _BRANDS.items():
        if brands.isdisjoint(known):
            continue
        if name in optional_formats():
            return f"{name}, {'truncated' if _is_cut_short(content) else 'damaged at its start'}"
        return _unsupported(name) + (f", or {_INSTALL[name]}" if name in _INSTALL else "")
    return "a video, not an image"


def _unsupported(what: str) -> str:
    return f"{what} is not supported: save it as PNG or JPEG"


def _why_not_opened(name: str, content: bytes) -> str | None:
    """Return what Pillow does not support in a file of the format `name`; None if it is damaged.

    `Image.open` does not say why it fails.
    """
    try:
        Image.OPEN[name][0](io.BytesIO(content), "")
    except Exception as error:  # parsers of damaged files can raise anything
        if found := re.match(r"cannot handle (\d+)-(bit|layer)", str(error)):
            samples = "-bit samples" if found[2] == "bit" else " channels"
            return _unsupported(f"{name} with {found[1]}{samples}")
    return None


def _why_not_tiff(content: bytes) -> str | None:
    """Return which samples or compression of a TIFF Pillow lacks; None if the file is damaged."""
    file = io.BytesIO(content)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if _is_big(content) else 8])
        file.seek(tags.next)
        tags.load(file)
        bits = tags.get(_BITS, (1,))
        channels = int(tags.get(_CHANNELS, len(bits)))
        sample = _SAMPLES.get(tags.get(_SAMPLE_FORMAT, (1,))[0], "complex ")
        compression = int(tags.get(_COMPRESSION, 1))
        is_whole = _WIDTH in tags and channels > 0 and 0 < bits[0] <= 128
    except Exception:  # as above
        return None
    if not is_whole:
        return None
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return _unsupported(f"TIFF with compression {compression}")
    of = f"{channels} channels of " if channels > 1 else ""
    return _unsupported(f"TIFF with {of}{bits[0]}-bit {sample}samples")


def _is_big(tiff: bytes) -> bool:
    return tiff[2:4] in (b"+\0", b"\0+")


def _is_cut_short(content: bytes) -> bool:
    """Return whether a WebP, a TIFF or a boxed file says that it is longer than it is."""
    size = len(content)
    if content.startswith(b"RIFF"):
        return int.from_bytes(content[4:8], "little") + 8 > size
    if _is_boxed(content):
        place = 0
        while place + 8 <= size and (box := int.from_bytes(content[place : place + 4], "big")) > 7:
            place += box
        return place > size
    if _SIGNATURES.get(content[:4]) == "TIFF":
        try:
            next(_tiff_directories(content))
        except (struct.error, OverflowError):
            return True
    return False


def _tiff_directories(content: bytes) -> Iterator[bool]:
    """Yield for each directory of a TIFF whether it is that of a page.

    Pillow would read all tags of each. Raises struct.error where the file ends too early.
    """
    order = "<" if content.startswith(b"II") else ">"
    count, entry, offset, first = ("Q", 20, "Q", 8) if _is_big(content) else ("H", 12, "I", 4)
    head = struct.calcsize(order + count)
    (place,) = struct.unpack_from(order + offset, content, first)
    seen = set[int]()
    while place not in seen:
        seen.add(place)
        (tags,) = struct.unpack_from(order + count, content, place)
        tag, _, _, value = struct.unpack_from(f"{order}HH{offset}I", content, place + head)
        (place,) = struct.unpack_from(order + offset, content, place + head + tags * entry)
        yield not (tag == _SUBFILE and value & _NO_PAGE)  # tags are sorted
        if not place:
            return
