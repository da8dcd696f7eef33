"""Decoding of images that other programs made: see tests/fixtures/images/README.md."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganctl import limits
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage, Facts, decode, decode_whole, examine, measure

FILES = Path(__file__).parents[2] / "fixtures" / "images"
RED, GREEN, BLUE, GRAY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128,) * 3
WHITE, PALE = (255,) * 3, (191,) * 3
COLOR = (RED, GREEN, BLUE, GRAY)
CLEAR = (RED, GREEN, WHITE, PALE)
"""Over white: the third quarter shows nothing, the fourth half."""
SHADES = ((0,) * 3, (80,) * 3, (160,) * 3, (255,) * 3)
BLACK_AND_WHITE = ((0,) * 3, WHITE, (0,) * 3, WHITE)
SOFT = ((191, 64, 64), (64, 191, 64), (64, 64, 191), (128,) * 3)

EXPECTED = {
    # name: (the quarters' colors, Pillow's mode, how far off they may be)
    "rgb.png": (COLOR, "RGB", 0),
    "rgb-interlaced.png": (COLOR, "RGB", 0),
    "rgb-libpng.png": (COLOR, "RGB", 0),
    "rgb-16.png": (COLOR, "RGB", 0),
    "rgb-one-color-clear.png": ((RED, GREEN, WHITE, GRAY), "RGB", 0),
    "rgba.png": (CLEAR, "RGBA", 0),
    "rgba-16.png": (CLEAR, "RGBA", 0),
    "rgba-opencv.png": (CLEAR, "RGBA", 0),
    "gray.png": (SHADES, "L", 0),
    "gray-16.png": (SHADES, "I;16", 0),
    "gray-alpha.png": ((SHADES[0], SHADES[1], WHITE, WHITE), "LA", 0),
    "gray-4-bits.png": (((0,) * 3, (85,) * 3, (170,) * 3, WHITE), "L", 0),
    "black-and-white.png": (BLACK_AND_WHITE, "1", 0),
    "palette.png": (COLOR, "P", 0),
    "palette-alpha.png": (CLEAR, "P", 0),
    "two-frames.png": (COLOR, "RGB", 0),
    "adobe-rgb.png": (SOFT, "RGB", 3),
    "rgb.jpg": (COLOR, "RGB", 3),
    "rgb-420.jpg": (COLOR, "RGB", 3),
    "gray.jpg": (SHADES, "L", 3),
    "progressive-opencv.jpg": (COLOR, "RGB", 3),
    "cmyk.jpg": (COLOR, "CMYK", 3),
    "ycck.jpg": (COLOR, "CMYK", 3),
    "rgb.webp": (COLOR, "RGB", 3),
    "rgba-lossless.webp": (CLEAR, "RGBA", 0),
    "two-frames.webp": (COLOR, "RGB", 3),
    "rgb.bmp": (COLOR, "RGB", 0),
    "rgb-ffmpeg.bmp": (COLOR, "RGB", 0),
    "gray.bmp": (SHADES, "L", 0),
    "gray.gif": (SHADES, "L", 0),
    "two-frames.gif": (COLOR, "P", 0),
    "clear.gif": ((RED, GREEN, WHITE, GRAY), "P", 0),
    "rgb.tif": (COLOR, "RGB", 0),
    "rgb-lzw.tif": (COLOR, "RGB", 0),
    "rgb-deflate-tiled.tif": (COLOR, "RGB", 0),
    "rgb-planar.tif": (COLOR, "RGB", 0),
    "rgb-16.tif": (COLOR, "RGB", 0),
    "rgb-big.tif": (COLOR, "RGB", 0),
    "rgb-jpeg.tif": (COLOR, "RGB", 3),
    "rgba.tif": (CLEAR, "RGBA", 0),
    "cmyk.tif": (COLOR, "CMYK", 0),
    "gray.tif": (SHADES, "L", 0),
    "gray-inverted.tif": (SHADES, "L", 0),
    "gray-16.tif": (SHADES, "I;16", 0),
    "gray-16-big-endian.tif": (SHADES, "I;16B", 0),
    "black-and-white.tif": (BLACK_AND_WHITE, "1", 0),
    "palette.tif": (COLOR, "P", 0),
    "two-pages.tif": (COLOR, "RGB", 0),
    "adobe-rgb.tif": (SOFT, "RGB", 3),
    **{f"exif-{orientation}.jpg": (COLOR, "RGB", 3) for orientation in range(1, 9)},
    "exif-6.webp": (COLOR, "RGB", 0),
    "exif-6.png": (COLOR, "RGB", 0),
    "exif-6.tif": (COLOR, "RGB", 0),
}
REFUSED = {"gray-32.tif": "32-bit", "gray-float.tif": "32-bit"}
FORMATS = {"tif": "TIFF", "jpg": "JPEG"}
FLAT = Image.new("RGB", (64, 32), "red")


def settings_of(size=(16, 24), channels=3, fit="stretch", background="white") -> ImageSettings:
    return ImageSettings(size, channels, fit, background)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Return the color in the middle of each quarter."""
    height, width, _ = pixels.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return [tuple(map(int, pixels[row, column])) for row in rows for column in columns]


def test_every_fixture_has_an_expected_result():
    files = {path.name for path in FILES.iterdir() if path.suffix not in (".py", ".md", ".tar")}
    assert files == set(EXPECTED) | set(REFUSED)


@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_other_programs_have_the_expected_colors(name):
    expected, mode, tolerance = EXPECTED[name]
    content = (FILES / name).read_bytes()
    suffix = name.rsplit(".")[-1]
    frames = 2 if name.startswith("two-") else 1
    extent = (0, 65535) if mode.startswith("I;16") else None
    kind = FORMATS.get(suffix, suffix.upper())
    assert measure(content) == Facts(24, 16, mode, kind, frames, extent)
    pixels = decode(content, settings_of())
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(quarters(pixels), expected, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name][0] is SHADES])
def test_grayscale_files_have_the_expected_shades(name):
    pixels = decode((FILES / name).read_bytes(), settings_of(channels=1))
    assert pixels.shape == (16, 24, 1)
    np.testing.assert_allclose(quarters(pixels), [[0], [80], [160], [255]], atol=3)


@pytest.mark.parametrize("name", REFUSED)
def test_pixels_without_a_known_white_are_refused(name):
    with pytest.raises(BadImage, match=REFUSED[name]):
        decode((FILES / name).read_bytes(), settings_of())


def test_colors_become_luma():
    pixels = decode((FILES / "rgb.png").read_bytes(), settings_of(channels=1))
    assert quarters(pixels) == [(76,), (150,), (29,), (128,)]  # ITU-R BT.601


@pytest.mark.parametrize("channels", [1, 3])
def test_the_background_shows_through_transparent_pixels(channels):
    content = (FILES / "rgba.png").read_bytes()
    third, fourth = quarters(decode(content, settings_of(channels=channels, background="#00ff00")))[
        2:
    ]
    assert third == ((0, 255, 0) if channels == 3 else (150,))
    assert fourth == pytest.approx((64, 191, 64) if channels == 3 else (139,), abs=1)


def test_damaged_exif_data_is_ignored():
    content = (FILES / "exif-1.jpg").read_bytes()
    start = content.index(b"Exif\0\0") + 6
    for damage in (bytes(8), b"MM\0*\xff\xff\xff\xff", b"\xff" * 8):
        damaged = content[:start] + damage + content[start + 8 :]
        assert measure(damaged) == Facts(24, 16, "RGB", "JPEG")
        np.testing.assert_allclose(quarters(decode(damaged, settings_of())), COLOR, atol=3)


def test_a_jpeg_that_is_decoded_at_an_eighth_may_be_larger():
    content = bytearray(encoded(FLAT, "JPEG"))
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", 16_000, 16_000)
    assert measure(bytes(content)).width == 16_000
    content[start : start + 4] = struct.pack(">HH", 17_000, 17_000)
    with pytest.raises(BadImage, match="too large: 17000 x 17000 pixels"):
        measure(bytes(content))


def test_a_progressive_jpeg_may_not_be_larger():
    content = bytearray(encoded(FLAT, "JPEG", progressive=True))
    start = content.index(b"\xff\xc2") + 5
    content[start : start + 4] = struct.pack(">HH", 8000, 8000)
    assert measure(bytes(content)).width == 8000
    content[start : start + 4] = struct.pack(">HH", 9000, 9000)
    with pytest.raises(BadImage, match="too large: 9000 x 9000 pixels"):
        measure(bytes(content))


def test_a_jpeg_with_one_scan_per_component_may_not_be_larger():
    content = bytearray(encoded(FLAT, "JPEG"))
    start = content.index(b"\xff\xda")
    content[start + 2 : start + 14] = b"\0\x08\1\1\0\0\x3f\0"  # of the first component alone
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", 9000, 9000)
    with pytest.raises(BadImage, match="too large: 9000 x 9000 pixels"):
        measure(bytes(content))
    content[start : start + 4] = struct.pack(">HH", 16, 24)
    assert measure(bytes(content)).width == 24


def test_a_jpeg_of_endless_scans_is_refused():
    content = bytearray(encoded(FLAT, "JPEG", progressive=True))
    start = content.index(b"\xff\xc2") + 5
    content[start : start + 4] = struct.pack(">HH", 8000, 8000)
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert measure(bytes(content[:-2] + scan * 20 + content[-2:])).width == 8000
    with pytest.raises(BadImage, match="too many scans"):
        measure(bytes(content[:-2] + scan * 40 + content[-2:]))


def test_endless_exif_segments_are_not_joined():
    content = encoded(FLAT, "JPEG")
    part = b"\xff\xe1\xff\xffExif\0\0" + bytes(2**16 - 9)
    with pytest.raises(BadImage, match="too many EXIF segments"):
        measure(content[:2] + part * 65 + content[2:])


@pytest.mark.parametrize(("side", "is_refused"), [(512, False), (2048, False), (16_000, True)])
def test_a_small_tiff_of_huge_tiles_is_refused(side, is_refused):
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1}
    tags |= {322: side, 323: side, 324: 200, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(300)
    if is_refused:
        with pytest.raises(BadImage, match="tiles of 16000 x 16000 pixels"):
            measure(content)
    else:
        assert measure(content) == Facts(16, 16, "L", "TIFF")


def test_a_damaged_profile_is_ignored():
    content = encoded(FLAT, icc_profile=b"no profile at all" * 20)
    assert quarters(decode(content, settings_of())) == [RED] * 4


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (64, 64), (3, 5), (1, 1), (1, 500)])
@pytest.mark.parametrize("size", [(28, 28), (48, 64)])
def test_every_shape_is_made_to_fit(fit, shape, size):
    flat = np.full((*shape, 3), 100, np.uint8)
    pixels = decode(flat, settings_of(size, 3, fit, "black"))
    assert pixels.shape == (*size, 3)
    assert set(np.unique(pixels)) <= ({0, 100} if fit == "pad" else {100})


def test_crop_keeps_the_center_and_pad_keeps_everything():
    wide = np.zeros((30, 90), np.uint8)
    wide[:, 30:60] = 255  # the middle third, which is square
    crop = decode(wide, settings_of((28, 28), 1, "crop"))
    assert crop[:, 2:-2].min() > 250
    pad = decode(wide, settings_of((36, 36), 1, "pad", "#808080"))[..., 0]
    assert (pad[:12] == 128).all()
    assert (pad[24:] == 128).all()
    assert pad[18, [2, 18, 34]].tolist() == [0, 255, 0]
    stretch = decode(wide, settings_of((28, 36), 1, "stretch"))[..., 0]
    assert stretch[14, [2, 18, 34]].tolist() == [0, 255, 0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_reducing_does_not_alias(kind):
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 255
    content = encoded(Image.fromarray(stripes), kind)
    pixels = decode(content, settings_of((64, 64), 1, "crop"))
    np.testing.assert_allclose(pixels, 127.5, atol=4)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_the_right_shape_are_unchanged(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 32, channels), dtype=np.uint8)
    for fit in ("crop", "pad", "stretch"):
        np.testing.assert_array_equal(decode(pixels, settings_of((28, 32), channels, fit)), pixels)
    np.testing.assert_array_equal(decode(pixels, settings_of((28, 32), channels)), pixels)
    assert measure(pixels) == Facts(32, 28, "L" if channels == 1 else "RGB", "array")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), bool), np.zeros((2, 2, 5), np.uint8), np.zeros(4, np.uint8)]
)
def test_an_array_that_is_not_an_image_is_refused(array):
    with pytest.raises(BadImage, match="not an image"):
        decode(array, settings_of())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_image_looks_like_its_own_reduction(kind):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    large = small.resize((900, 700), Image.Resampling.BICUBIC)
    expected = np.asarray(large.resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
    pixels = decode(encoded(large, kind), settings_of((64, 64)))
    assert np.abs(pixels - expected).mean() < 3


def test_measuring_a_png_does_not_decode_it():
    content = bytearray(encoded(FLAT))
    position = content.index(b"IDAT") + 8
    content[position] ^= 0xFF
    assert measure(bytes(content)) == Facts(64, 32, "RGB", "PNG")
    with pytest.raises(BadImage, match="damaged"):
        decode(bytes(content), settings_of())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am a text\n", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "damaged at its start"),
        (b"\0" * 99, "not an image"),
    ],
)
def test_files_that_are_not_images_are_refused_with_the_reason(content, reason):
    for work in (measure, lambda content: decode(content, settings_of())):
        with pytest.raises(BadImage) as caught:
            work(content)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name", ["rgb.png", "rgb.jpg", "gray.bmp", "rgb-lzw.tif", "two-frames.gif"]
)
def test_half_a_file_is_truncated_or_damaged(name):
    content = (FILES / name).read_bytes()
    with pytest.raises(BadImage, match=r"truncated|damaged"):
        decode(content[: len(content) * 3 // 4 if name != "two-frames.gif" else 900], settings_of())


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_that_claims(width: int, height: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + pixels


@pytest.mark.parametrize("side", [8200, 30_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_size_before_it_takes_memory(side):
    content = png_that_claims(side, side)
    tracemalloc.start()
    try:
        for work in (measure, lambda content: decode(content, settings_of())):
            with pytest.raises(BadImage) as caught:
                work(content)
            assert caught.value.reason == f"too large: {side} x {side} pixels"
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert side * side > limits.IMAGE_PIXELS


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_png_with_highly_compressed_text_takes_little_memory(kind):
    bomb = chunk(kind, b"name\0\0" + zlib.compress(bytes(2**28)))
    content = png_that_claims(8, 8, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(BadImage):
            decode(content, settings_of())
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_pillows_limit_and_warnings_are_restored(recwarn, monkeypatch):
    with pytest.raises(BadImage):
        measure(png_that_claims(30_000, 30_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    measure(png_that_claims(40, 40))  # Pillow would warn
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert not recwarn.list


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(EXPECTED)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.05, 1),
)
def test_damaged_files_raise_only_bad_image(name, changes, keep):
    content = bytearray((FILES / name).read_bytes())
    for where, value in changes:
        content[int(where * (len(content) - 1))] = value
    content = content[: int(len(content) * keep)]
    for work in (measure, lambda content: decode(content, settings_of())):
        reason = reason_against(work, bytes(content))
        assert reason is None or (reason and "\n" not in reason)


def reason_against(work, content: bytes) -> str | None:
    try:
        work(content)
    except BadImage as error:
        return error.reason
    return None


@pytest.mark.parametrize("name", EXPECTED)
def test_a_whole_image_has_the_pixels_of_training_at_its_own_size(name):
    content = (FILES / name).read_bytes()
    facts = measure(content)
    settings = ImageSettings((facts.height, facts.width), 3, "stretch")
    pixels = decode_whole(content, "white")
    assert pixels.shape == (facts.height, facts.width, pixels.shape[2])
    assert (np.broadcast_to(pixels, (*pixels.shape[:2], 3)) == decode(content, settings)).all()
    assert pixels.shape[2] == (1 if name.startswith(("gray", "black")) else 3)


def test_a_large_jpeg_is_decoded_whole():
    image = Image.effect_noise((900, 700), 60).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    whole = decode_whole(buffer.getvalue(), "white")
    assert (np.broadcast_to(whole, expected.shape) == expected).all()


def test_whole_images_are_upright_and_over_the_background():
    upright = decode_whole((FILES / "exif-1.jpg").read_bytes(), "white")
    turned = decode_whole((FILES / "exif-6.jpg").read_bytes(), "white")
    assert upright.shape == turned.shape
    green = decode_whole((FILES / "rgba.png").read_bytes(), "#00ff00")
    white = decode_whole((FILES / "rgba.png").read_bytes(), "white")
    assert (green != white).any()


def test_bad_whole_images():
    with pytest.raises(BadImage, match="32-bit"):
        decode_whole((FILES / "gray-32.tif").read_bytes(), "white")
    with pytest.raises(BadImage):
        decode_whole((FILES / "rgb.png").read_bytes()[:60], "white")
    with pytest.raises(BadImage, match="not an image"):
        decode_whole(np.zeros((4, 4, 9), np.uint8), "white")


KEPT = ImageSettings((8, 8), 4)


def test_four_channels_keep_transparency():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (200, 100, 50, 77)
    pixels[4:] = (1, 2, 3, 0)  # colors that nobody sees
    found, facts = examine(encoded(Image.fromarray(pixels)), KEPT)
    assert facts.is_transparent
    np.testing.assert_array_equal(found[:4], pixels[:4])
    assert (found[4:] == 0).all()


def test_invisible_colors_do_not_bleed_when_an_image_is_reduced():
    pixels = np.full((64, 64, 4), (255, 0, 0, 0), np.uint8)
    pixels[16:48, 16:48] = (0, 0, 255, 255)
    found = decode(encoded(Image.fromarray(pixels)), KEPT)
    visible = found[found[..., 3] > 0]
    assert (visible[:, 2] > visible[:, 0] + 200).all()
    assert found[0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_images_without_transparency_are_opaque(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.new("RGB", (12, 8), "orange").convert(mode)
    found, facts = examine(encoded(image, kind), KEPT)
    assert found.shape == (8, 8, 4)
    assert (found[..., 3] == 255).all()
    assert not facts.is_transparent


def test_a_transparent_color_of_a_palette_is_kept():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 8, 4))
    found, facts = examine(encoded(image, transparency=0), KEPT)
    assert facts.is_transparent
    assert found[0, 0].tolist() == [0, 255, 0, 255]
    assert found[7, 7].tolist() == [0, 0, 0, 0]


def test_padding_is_transparent():
    content = encoded(Image.new("RGB", (16, 8), "red"))
    found = decode(content, ImageSettings((8, 8), 4, "pad"))
    assert found[0].tolist() == [[0, 0, 0, 0]] * 8
    assert found[4].tolist() == [[255, 0, 0, 255]] * 8
