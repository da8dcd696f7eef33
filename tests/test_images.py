import io
import struct
import weakref
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl import images
from ganctl.images import ArrayStream


def numbered(count, channels=1, height=2, width=3):
    """Return images of one color each: 1, 2, 3, ..."""
    values = np.arange(1, count + 1, dtype=np.uint8).reshape(-1, 1, 1, 1)
    shades = values + 50 * np.arange(channels, dtype=np.uint8)
    return np.broadcast_to(shades, (count, height, width, channels)).copy()


@pytest.mark.parametrize(
    ("value", "pixel"),
    [
        (-1.0, 0),
        (1.0, 255),
        (0.0, 128),  # 127.5, to the even neighbor
        (-1.5, 0),
        (2.0, 255),
        (0.5 / 127.5 - 1 - 1e-4, 0),
        (0.5 / 127.5 - 1 + 1e-4, 1),
        (1 - 0.4 / 127.5, 255),
        (1 - 0.6 / 127.5, 254),
    ],
)
def test_values_are_rounded_and_clipped(value, pixel):
    assert images.to_pixels(torch.full((1, 1, 1, 1), value)).item() == pixel


def test_pixels_are_channels_last_bytes():
    batch = torch.arange(-1.0, 1.0, 2 / (2 * 3 * 4 * 5)).view(2, 3, 4, 5)
    pixels = images.to_pixels(batch.requires_grad_())
    assert pixels.dtype == np.uint8
    assert pixels.shape == (2, 4, 5, 3)
    assert pixels[1, 2, 3, 0] == round((batch[1, 0, 2, 3].item() + 1) * 127.5)


def test_every_byte_survives_scaling_and_back():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    scaled = values.float().div(127.5).sub(1)
    assert np.array_equal(images.to_pixels(scaled)[0, :, :, 0], values[0, 0].numpy())


def rgba(*pixels):
    """Return a picture of one row."""
    return np.array([pixels], np.uint8)


def test_transparency_survives_scaling_and_back():
    values = torch.arange(256, dtype=torch.uint8)
    alpha, color = torch.meshgrid(values[1:], values, indexing="ij")
    pixels = torch.stack([color, color.flip(1), color, alpha], -1)[None]
    scaled = images.to_tensor(pixels)
    assert scaled.shape == (1, 4, 255, 256)
    assert (scaled[:, :3] <= scaled[:, 3:] + 1e-6).all()  # premultiplied
    assert np.array_equal(images.to_pixels(scaled), pixels.numpy())


def test_invisible_colors_are_black():
    pixels = torch.tensor([[[[200, 100, 50, 0]]]], dtype=torch.uint8)
    assert (images.to_tensor(pixels) == -1).all()
    brighter_than_opaque = torch.tensor([1.0, 0.5, -1.0, -1.0]).view(1, 4, 1, 1)
    assert images.to_pixels(brighter_than_opaque).tolist() == [[[[0, 0, 0, 0]]]]


def test_transparent_pictures_are_shown_over_white_or_a_checkerboard():
    picture = rgba((10, 20, 30, 255), (10, 20, 30, 0), (0, 100, 255, 128))
    assert images.over_white(picture).tolist() == [[[10, 20, 30], [255] * 3, [127, 177, 255]]]
    board = images.over_checkerboard(np.zeros((16, 16, 4), np.uint8))
    assert board.shape == (16, 16, 3)
    assert (board[0, 0], board[0, 8], board[8, 8]) == pytest.approx([204, 255, 204])
    for opaque in (numbered(1)[0], numbered(1, 3)[0]):
        assert images.over_white(opaque) is images.over_checkerboard(opaque) is opaque


def test_captions_of_transparent_images_are_opaque():
    framed = images.add_captions(np.zeros((1, 8, 8, 4), np.uint8), ["7"])[0]
    assert (framed[8:, :, 3] == 255).all()
    assert framed[8:, :, 0].min() < 128


@pytest.mark.parametrize("kind", images.ANIMATIONS)
@pytest.mark.parametrize("channels", [1, 4])
def test_animations_carry_text(kind, channels):
    frames = [np.full((8, 8, channels), shade, np.uint8) for shade in (0, 150, 200)]
    text = {"seeds": "0-2", "class": "été", "classes": "a, b" * 1000}
    content = images.animation(frames, kind, milliseconds=100, text=text)
    with Image.open(io.BytesIO(content)) as animation:
        assert images.text_of(animation) == text
        assert animation.n_frames == 3
    plain = images.animation(frames, kind, milliseconds=100)
    with Image.open(io.BytesIO(plain)) as animation:
        assert images.text_of(animation) == {}


@pytest.mark.parametrize("kind", images.ANIMATIONS)
def test_animations_are_transparent(kind):
    """Also where an earlier frame was not."""
    frames = [np.zeros((8, 8, 4), np.uint8) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[2 * number : 2 * number + 3, 1:5] = (250, 100, 0, 255)
        frame[7] = (0, 0, 250, 60)
    content = images.animation(frames, kind, milliseconds=100)
    with Image.open(io.BytesIO(content)) as animation:
        assert animation.n_frames == 3
        for number, frame in enumerate(frames):
            animation.seek(number)
            shown = np.asarray(animation.convert("RGBA"))
            alpha = np.where(frame[..., 3] < 128, 0, 255) if kind == "gif" else frame[..., 3]
            np.testing.assert_array_equal(shown[..., 3], alpha)
            np.testing.assert_array_equal(shown[alpha == 255], frame[alpha == 255])


@pytest.mark.parametrize(
    ("count", "layout"),
    [
        (1, [[1]]),
        (2, [[1, 2]]),
        (5, [[1, 2, 3], [4, 5, 0]]),
        (16, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_grid_is_filled_by_rows_and_nearly_square(count, layout, channels):
    picture = images.grid(numbered(count, channels))
    assert picture.shape == (2 * len(layout), 3 * len(layout[0]), channels)
    assert picture[::2, ::3, 0].tolist() == layout
    whole = numbered(16, channels)
    for row, numbers in enumerate(layout):
        for column, number in enumerate(numbers):
            tile = picture[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            assert np.array_equal(tile, whole[number - 1] if number else np.zeros_like(tile))


def test_grid_has_the_given_columns():
    assert images.grid(numbered(5), columns=2)[::2, ::3, 0].tolist() == [[1, 2], [3, 4], [5, 0]]
    assert images.grid(numbered(3), columns=3)[::2, ::3, 0].tolist() == [[1, 2, 3]]


def test_enlarge_repeats_pixels():
    picture = np.array([[[1], [2]]], np.uint8)
    assert images.enlarge(picture, 2)[..., 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert images.enlarge(numbered(4, 3), 3).shape == (4, 6, 9, 3)
    assert images.enlarge(picture, 1).tolist() == picture.tolist()


@pytest.mark.parametrize(("height", "factor"), [(28, 3), (8, 10), (84, 1), (256, 1)])
def test_preview_factor(height, factor):
    assert images.preview_factor(height) == factor


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip(channels):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    content = images.png(picture, {"seeds": "0-15", "ümlaut": "größer"})
    assert np.array_equal(images.read_png(io.BytesIO(content), picture.shape), picture)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.text == {"seeds": "0-15", "ümlaut": "größer"}


def test_other_files_are_not_read():
    picture = numbered(12, height=8, width=8)[0]
    content, gif = images.png(picture), io.BytesIO()
    Image.fromarray(picture[..., 0]).save(gif, "GIF")
    cut = [content[:length] for length in range(len(content) - 20)]
    for other in [*cut, images.png(picture[1:]), images.png(picture.repeat(3, -1)), gif.getvalue()]:
        assert images.read_png(io.BytesIO(other), picture.shape) is None


def test_a_decompression_bomb_is_not_unpacked():
    """70,000 by 70,000 pixels in 41 bytes: only the header is read."""
    header = struct.pack(">2I5B", 70_000, 70_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(chunk[4:]))
    for width in (84, 70_000):
        assert images.read_png(io.BytesIO(content), (84, width, 1)) is None


def test_the_same_picture_gives_the_same_bytes():
    picture = numbered(1)[0]
    assert images.png(picture) == images.png(picture.copy())


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_animation_has_frames_durations_and_an_endless_loop(kind, channels):
    frames = numbered(4, channels, height=8, width=8) * 20
    content = images.animation(list(frames), kind, milliseconds=70, hold=3)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == kind.upper()
        assert image.n_frames == 4
        assert image.info["loop"] == 0
        for index, milliseconds in enumerate([70, 70, 70, 210]):
            image.seek(index)
            image.load()
            assert image.info["duration"] == milliseconds
            shown = np.asarray(image.convert("RGB"))
            assert np.array_equal(shown, np.broadcast_to(frames[index], (8, 8, 3)))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animation_of_one_frame(kind):
    content = images.animation(list(numbered(1, height=8, width=8)), kind, milliseconds=70)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (8, 8)
        assert getattr(image, "n_frames", 1) == 1


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_identical_frames_keep_their_duration(kind):
    still = numbered(1, height=8, width=8)[0]
    content = images.animation([still, still, still + 9], kind, milliseconds=50)
    total = 0
    with Image.open(io.BytesIO(content)) as image:
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            total += image.info["duration"]
    assert total == 150


def test_concatenate_joins_chunks_in_order():
    whole = numbered(5)
    assert np.array_equal(images.concatenate(iter([whole[:2], whole[2:]])), whole)


def test_npz_is_read_by_numpy():
    whole = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    parts = (whole[start : start + 4] for start in range(0, 10, 4))
    file = io.BytesIO()
    images.write_npz(file, {"arr_0": ArrayStream("|u1", whole.shape, parts)})
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays.files == ["arr_0"]
        assert arrays["arr_0"].dtype == np.uint8
        assert np.array_equal(arrays["arr_0"], whole)
    assert zipfile.ZipFile(file).testzip() is None


def test_npz_with_several_arrays():
    names = np.array(["cat", "café"])
    arrays = {
        "arr_0": ArrayStream("|u1", (2, 4, 4, 1), [np.zeros((2, 4, 4, 1), np.uint8)]),
        "labels": ArrayStream("<i8", (2,), [[1], np.array([0], np.int32)]),
        "classes": ArrayStream(names.dtype.str, (2,), [names]),
    }
    file = io.BytesIO()
    images.write_npz(file, arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays.files == ["arr_0", "labels", "classes"]
        assert arrays["labels"].tolist() == [1, 0]
        assert arrays["classes"].tolist() == ["cat", "café"]


def test_npz_is_written_without_keeping_chunks():
    made = []

    def chunks():
        for number in range(6):
            # while a chunk is made, at most the one before it is still there
            assert sum(reference() is not None for reference in made) <= 1
            chunk = np.full((3, 2, 2, 1), number, np.uint8)
            made.append(weakref.ref(chunk))
            yield chunk
            del chunk

    images.write_npz(io.BytesIO(), {"arr_0": ArrayStream("|u1", (18, 2, 2, 1), chunks())})
    assert len(made) == 6


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_is_lossless_unless_a_quality_is_given(channels):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    exact = np.asarray(Image.open(io.BytesIO(images.webp(picture))).convert("RGB"))
    assert np.array_equal(exact, np.broadcast_to(picture, (20, 30, 3)))
    assert len(images.webp(picture, 10)) < len(images.webp(picture))


def test_a_sheet_enlarges_small_images_and_reduces_large_ones():
    small = np.arange(3 * 28 * 20, dtype=np.uint8).reshape(3, 28, 20, 1)
    picture = images.sheet(small, columns=3)
    assert picture.shape == (84, 3 * 60, 1)
    np.testing.assert_array_equal(picture[::3, 60:120:3], small[1])
    assert images.sheet(np.zeros((3, 512, 256, 3), np.uint8)).shape == (2 * 256, 2 * 128, 3)
    assert images.sheet(np.zeros((1, 128, 128, 4), np.uint8)).shape == (128, 128, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_shrink_limits_the_longer_side_and_never_enlarges(channels):
    picture = np.full((40, 80, channels), 7, np.uint8)
    assert images.shrink(picture, 80) is picture
    smaller = images.shrink(picture, 20)
    assert smaller.shape == (10, 20, channels)
    assert (smaller == 7).all()
