"""Formats are recognized by content, and unreadable files are refused with the reason."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding import formats
from ganctl.datasets.decoding.decode import BadImage, decode, measure

SETTINGS = ImageSettings((8, 12), 3, "stretch")
FLAT = Image.new("RGB", (24, 16), "red")
OTHERS = [Image.new("RGB", (24, 16), color) for color in ("lime", "blue")]
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def boxed(*brands):
    """Return the beginning of a file of ISO's base media format."""
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(box) + 4) + box + bytes(99)


def tiff(bits, channels, sample_format=1, compression=1):
    """Return the beginning of a TIFF with such samples."""
    tags = [
        (256, 8), (257, 8), (258, bits), (259, compression), (262, 2), (273, 8), (277, channels),
        (278, 8), (279, 64), (339, sample_format),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4 + 64)


def reason(content):
    with pytest.raises(BadImage) as caught:
        measure(content)
    return caught.value.reason


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(9), "JPEG XL is not supported"),
        (b"\xff\x0a" + bytes(9), "JPEG XL is not supported"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9), "JPEG 2000 is not supported"),
        (b"8BPS\0\1" + bytes(9), "a Photoshop document is not supported"),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "OpenEXR is not supported"),
        (b"P6 4 4 255\n" + bytes(48), "netpbm is not supported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript is not supported"),
        (b"%PDF-1.7\n", "PDF is not supported"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM is not supported"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', "SVG is not supported"),
        (boxed(b"crx "), "Canon's CR3 is not supported"),
        (tiff(32, 3, 3), "TIFF with 3 channels of 32-bit floating-point samples is not supported"),
        (tiff(8, 5), "TIFF with 5 channels of 8-bit samples is not supported"),
        (tiff(64, 1, 2), "TIFF with 64-bit signed samples is not supported"),
        (tiff(8, 3, 1, 34_712), "TIFF with compression 34712 is not supported"),
    ],
)
def test_unsupported_formats_are_named_with_a_remedy(content, expected):
    assert reason(content) == f"{expected}: save it as PNG or JPEG"


def test_16_bit_planes_are_not_read_as_8_bit_planes():
    """Pillow reads the two bytes of each uncompressed sample as two samples."""
    tags = {256: 4, 257: 4, 258: 16, 259: 1, 262: 2, 273: 0, 277: 3, 278: 4, 279: 32, 284: 2}
    place = 8 + 2 + 12 * len(tags) + 4
    content = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, value in tags.items():
        count = 3 if tag == 273 else 1
        content += struct.pack("<HHII", tag, 4, count, place if tag == 273 else value)
    content += bytes(4) + struct.pack("<3I", *(place + 12 + 32 * plane for plane in range(3)))
    content += bytes(3 * 32)
    assert reason(content) == (
        "TIFF with uncompressed planes of 16-bit samples is not supported: save it as PNG or JPEG"
    )


def test_a_12_bit_jpeg_is_unsupported_and_not_damaged():
    content = bytearray(encoded(FLAT, "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    assert (
        reason(bytes(content))
        == "JPEG with 12-bit samples is not supported: save it as PNG or JPEG"
    )


def test_a_rare_bmp_is_unsupported_and_not_damaged():
    content = bytearray(encoded(FLAT, "BMP"))
    content[30] = 9
    assert reason(bytes(content)).startswith("BMP compression (9) is not supported")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!DOCTYPE html>\n<html>", "a web page: download the image again"),
        (b"\n<HTML><body>404", "a web page: download the image again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (boxed(b"isom", b"mp42"), "a video, not an image"),
    ],
)
def test_failed_downloads_are_named(content, expected):
    assert reason(content).startswith(expected)


@pytest.mark.parametrize(
    ("name", "brands"), [("HEIC", (b"mif1", b"heic")), ("AVIF", (b"mif1", b"avif"))]
)
def test_optional_formats_are_named_with_what_to_install(monkeypatch, name, brands):
    monkeypatch.setattr(formats, "optional_formats", lambda: ())
    assert reason(boxed(*brands)).startswith(f"{name} is not supported: save it as PNG or JPEG, or")
    assert "pip install" in reason(boxed(*brands))
    monkeypatch.setattr(formats, "optional_formats", lambda: (name,))
    assert reason(boxed(*brands)) == f"{name}, damaged at its start"


@needs_avif
def test_avif_is_read_upright_with_its_transparency():
    content = encoded(FLAT, "AVIF", exif=exif(6))
    assert (measure(content).width, measure(content).height) == (16, 24)
    assert measure(content).format == "AVIF"
    np.testing.assert_allclose(decode(content, SETTINGS)[4, 6], (255, 0, 0), atol=6)
    clear = encoded(Image.new("RGBA", (24, 16), (255, 0, 0, 0)), "AVIF")
    np.testing.assert_allclose(decode(clear, SETTINGS)[4, 6], (255, 255, 255), atol=6)
    assert reason_of(content[:-9]) == "truncated"


def test_heic_is_read_upright():
    pillow_heif = pytest.importorskip("pillow_heif")
    half = Image.new("RGB", (64, 32), "red")
    half.paste((0, 0, 255), (32, 0, 64, 32))
    buffer = io.BytesIO()
    pillow_heif.from_pillow(half).save(buffer, exif=exif(6))
    content = buffer.getvalue()
    facts = measure(content)
    assert (facts.width, facts.height, facts.format) == (32, 64, "HEIF")
    pixels = decode(content, ImageSettings((64, 32), 3))
    np.testing.assert_allclose(pixels[16, 16], (255, 0, 0), atol=12)
    np.testing.assert_allclose(pixels[48, 16], (0, 0, 255), atol=12)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def reason_of(content):
    try:
        decode(content, SETTINGS)
    except BadImage as bad:
        return bad.reason
    return None


@pytest.mark.parametrize(("kind", "cut"), [("WEBP", 1), ("WEBP", 40), ("BMP", 1), ("TIFF", 1)])
def test_a_file_that_claims_to_be_longer_is_truncated(kind, cut):
    assert reason_of(encoded(FLAT, kind)[:-cut]) == "truncated"


def test_a_tiff_whose_directory_is_cut_off_is_truncated():
    content = encoded(FLAT, "TIFF", compression="tiff_lzw")  # which has it at its end
    assert reason_of(content[:-30]) == "truncated"


@pytest.mark.parametrize(
    "kind",
    ["GIF", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)],
)
def test_pages_and_frames_are_counted(kind):
    several = encoded(FLAT, kind, save_all=True, append_images=OTHERS)
    assert measure(several).frames == 3
    assert measure(encoded(FLAT, kind)).frames == 1
    np.testing.assert_allclose(decode(several, SETTINGS)[4, 6], (255, 0, 0), atol=12)


def test_the_pages_of_a_bigtiff_are_counted():
    content = encoded(FLAT, "TIFF", save_all=True, append_images=OTHERS, big_tiff=True)
    assert measure(content).frames == 3


def test_a_smaller_copy_is_not_a_page():
    pages = [FLAT.copy() for _ in range(2)]
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert Image.open(io.BytesIO(content)).n_frames == 2
    assert measure(content).frames == 1


def test_a_second_picture_in_a_camera_file_is_not_a_frame():
    content = encoded(FLAT, "MPO", save_all=True, append_images=OTHERS[:1])
    facts = measure(content)
    assert (facts.format, facts.frames) == ("MPO", 1)


@pytest.mark.parametrize("next_place", [8, 2**32 - 1])
def test_a_tiff_with_endless_directories_has_one_page(next_place):
    content = bytearray(encoded(FLAT, "TIFF"))
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    assert place == 8
    struct.pack_into("<I", content, place + 2 + 12 * count, next_place)
    assert measure(bytes(content)).frames == 1


def test_later_frames_may_be_damaged():
    content = encoded(FLAT, "GIF", save_all=True, append_images=OTHERS)[:-30]
    assert measure(content).width == 24
    np.testing.assert_array_equal(decode(content, SETTINGS)[4, 6], (255, 0, 0))
