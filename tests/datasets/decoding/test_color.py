"""Color profiles and transparent colors in every mode that can have them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import decode, measure

GREEN = (0, 255, 0)
ORANGE, BLUE = (200, 40, 10), (10, 40, 200)


def settings(channels=3):
    return ImageSettings((8, 8), channels, "stretch", "#00ff00")


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(content, channels=3):
    """Return the colors of the left and the right half."""
    pixels = decode(content, settings(channels))
    return tuple(map(int, pixels[4, 1])), tuple(map(int, pixels[4, 6]))


def png(bits, kind, left, right, clear, palette=b""):
    """Return an 8x8 PNG with a bit depth that Pillow cannot write; `clear` is its tRNS chunk."""

    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    samples = "".join(format(value, f"0{bits}b") for value in (*left * 4, *right * 4))
    row = b"\0" + int(samples, 2).to_bytes(len(samples) // 8, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, kind, 0, 0, 0))
        + (chunk(b"PLTE", palette) if palette else b"")
        + chunk(b"tRNS", clear)
        + chunk(b"IDAT", zlib.compress(row * 8))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("bits", "left", "right", "shown"),
    [(1, 0, 1, 255), (2, 1, 2, 170), (4, 5, 10, 170), (8, 85, 170, 170), (16, 21_845, 43_690, 170)],
)
def test_a_transparent_gray_of_any_depth_shows_the_background(bits, left, right, shown):
    content = png(bits, 0, [left], [right], struct.pack(">H", left))
    assert corners(content) == (GREEN, (shown,) * 3)


def test_16_bit_grays_that_are_not_transparent_stay_as_they_are():
    content = png(16, 0, [0x5000], [0xA000], struct.pack(">H", 0))
    assert corners(content) == ((80,) * 3, (159,) * 3)


@pytest.mark.parametrize("scale", [1, 257])
def test_a_transparent_color_of_any_depth_shows_the_background(scale):
    left, right = [value * scale for value in ORANGE], [value * scale for value in BLUE]
    clear = struct.pack(">3H", *left)
    assert corners(png(8 if scale == 1 else 16, 2, left, right, clear)) == (GREEN, BLUE)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_entry_of_a_palette_shows_the_background(bits):
    content = png(bits, 3, [0], [1], b"\0", bytes([*ORANGE, *BLUE]))
    assert corners(content) == (GREEN, BLUE)


def swapped_profile():
    """Return sRGB's profile with red and blue swapped, so that a missing conversion is noticed."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", content, 128)
    places = {}
    for number in range(count):
        name, place, size = struct.unpack_from(">4sII", content, 132 + 12 * number)
        places[name] = slice(place, place + size)
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    content[red], content[blue] = content[blue], content[red]
    return bytes(content).replace("sRGB".encode("utf-16-be"), "ours".encode("utf-16-be"))


def gray_profile():
    """Return a grayscale profile of linear light."""
    name = b"linear\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for key, data in tags.items():
        table += struct.pack(">4sII", key, 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    kinds = b"mntr" + b"GRAY" + b"XYZ " + bytes(12) + b"acsp"
    size = 128 + len(table) + len(body)
    head = struct.pack(">IIII", size, 0, 0x02400000, 0)[:12] + kinds
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + table + body


FLAT = Image.new("RGB", (8, 8), ORANGE)
HALF = FLAT.copy()
HALF.putalpha(0)
HALF.paste(ORANGE, (4, 0, 8, 8))


@pytest.mark.parametrize(
    "content",
    [
        encoded(FLAT, icc_profile=swapped_profile()),
        encoded(FLAT.convert("RGBA"), icc_profile=swapped_profile()),
        encoded(FLAT.convert("P", palette=Image.Palette.ADAPTIVE), icc_profile=swapped_profile()),
        encoded(FLAT, "TIFF", icc_profile=swapped_profile()),
        encoded(FLAT.convert("RGBA"), "WEBP", lossless=True, icc_profile=swapped_profile()),
    ],
    ids=["rgb", "rgba", "palette", "tiff", "webp"],
)
def test_a_profile_is_applied_in_every_mode(content):
    assert corners(content) == (BLUE, BLUE)


@pytest.mark.parametrize("image", [HALF, HALF.quantize(4)], ids=["alpha", "palette with alpha"])
def test_a_profile_does_not_change_transparency(image):
    content = encoded(image, icc_profile=swapped_profile())
    assert corners(content) == (GREEN, BLUE)


def test_a_transparent_color_is_found_before_the_profile_changes_it():
    content = encoded(FLAT, transparency=ORANGE, icc_profile=swapped_profile())
    assert corners(content) == (GREEN, GREEN)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (8, 8), 64),
        Image.new("LA", (8, 8), (64, 255)),
        Image.fromarray(np.full((8, 8), 64 * 257, np.uint16)),
    ],
    ids=["gray", "alpha", "16 bits"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grayscale_profile_is_applied(image, channels):
    content = encoded(image, icc_profile=gray_profile())
    assert corners(content, channels) == ((137,) * channels,) * 2  # a quarter of white's light


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_profile_for_another_color_space_is_ignored(mode):
    profile = swapped_profile() if mode == "L" else gray_profile()
    image = FLAT.convert(mode)
    assert corners(encoded(image, icc_profile=profile)) == corners(encoded(image))


def test_the_profile_of_a_jpeg_is_applied_before_it_becomes_grayscale():
    content = encoded(FLAT, "JPEG", quality=100, icc_profile=swapped_profile())
    assert corners(content, 1)[0][0] == pytest.approx(49, abs=2)  # the luma of the blue, not 84


def test_16_bit_grays_whose_zero_is_white_are_inverted():
    pixels = np.full((8, 8), 0x2000, np.uint16)
    content = bytearray(encoded(Image.fromarray(pixels), "TIFF"))
    place = content.index(struct.pack("<HHI", 262, 3, 1)) + 8
    content[place] = 0
    pixels = decode(bytes(content), settings(1))
    assert pixels.min() == pixels.max() == 255 - 0x20
    assert measure(bytes(content)).extent == (0xFFFF - 0x2000, 0xFFFF - 0x2000)


def test_white_is_4095_in_a_tiff_of_12_bits():
    row = int("fff" * 4 + "800" * 4, 16).to_bytes(12, "big")
    tags = {256: 8, 257: 8, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 8, 279: 96}
    content = b"II*\0" + struct.pack("<IH", 8, len(tags))
    content += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content += bytes(4) + row * 8
    assert corners(content, 1) == ((255,), (128,))
    assert measure(content).extent == (0x8007, 0xFFFF)
