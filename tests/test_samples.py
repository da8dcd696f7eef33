"""What a model draws, as arrays, pictures, files, and in a notebook."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ganctl.errors import RunError, UsageError
from ganctl.samples import Samples, Walk


def shades(count, channels=1, height=4, width=6):
    """Images of one value each: 0, 10, 20, ..."""
    values = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) * 10
    return np.broadcast_to(values, (count, height, width, channels)).copy()


def opened(content):
    return Image.open(io.BytesIO(content))


@pytest.fixture
def samples():
    return Samples(shades(5), tuple(range(3, 8)), text={"step": "7"})


@pytest.fixture
def walk():
    return Walk(shades(6, 3), (1, 2), columns=6)


def test_they_are_an_array(samples):
    assert len(samples) == 5
    assert np.array_equal(np.asarray(samples), samples.pixels)
    assert np.asarray(samples, dtype=float).dtype == float


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_each_is_a_picture(channels, mode):
    third = Samples(shades(4, channels), (0, 1, 2, 3)).pil()[2]
    assert (third.mode, third.size) == (mode, (6, 4))
    assert np.unique(np.asarray(third)).tolist() == [20]


def test_a_grid_is_row_by_row(samples):
    picture = samples.picture(columns=3, upscale=2)
    assert picture.shape == (2 * 8, 3 * 12, 1)
    assert picture[::8, ::12, 0].tolist() == [[0, 10, 20], [30, 40, 0]]
    assert samples.grid(columns=5, upscale=1).size == (30, 4)


def test_captions_stand_below_each(samples):
    plain, captioned = samples.picture(upscale=10), samples.picture(upscale=10, captions=True)
    assert captioned.shape[0] > plain.shape[0]
    assert captioned[:40, :60].tolist() == plain[:40, :60].tolist()


def test_words_say_what_they_are(samples, walk):
    assert repr(samples) == "Samples(5 of 4x6x1, seeds 3, 4, 5, 6, 7)"
    assert repr(walk) == "Walk(6 of 4x6x3, seeds 1, 2)"
    assert repr(Samples(shades(20), tuple(range(20)))).endswith("6, 7, ...)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"columns": -2}, "columns must be at least 1"),
        ({"upscale": 0}, "upscale must be at least 1"),
        ({"upscale": -1}, "upscale must be at least 1"),
    ],
)
def test_numbers_that_make_no_picture(samples, options, message):
    with pytest.raises(UsageError, match=message):
        samples.grid(**options)


def test_none_at_all_are_no_picture():
    none = Samples(shades(0), ())
    assert none.pil() == []
    assert none._repr_png_() is None
    with pytest.raises(UsageError, match="no images"):
        none.grid()


def test_a_walk_has_no_seed_for_each_frame(walk):
    with pytest.raises(UsageError, match="a seed each"):
        walk.grid(captions=True)


def test_a_png_says_where_it_is_from(samples, tmp_path):
    samples.save(tmp_path / "a.PNG", upscale=1)
    with Image.open(tmp_path / "a.PNG") as picture:
        assert (picture.text, picture.size) == ({"step": "7"}, (18, 8))


@pytest.mark.parametrize(("upscale", "shape"), [(None, (5, 4, 6, 1)), (3, (5, 12, 18, 1))])
def test_an_npz_is_the_array(samples, tmp_path, upscale, shape):
    samples.save(tmp_path / "a.npz", upscale=upscale)
    with np.load(tmp_path / "a.npz") as file:
        assert file["arr_0"].shape == shape
        assert file["arr_0"][:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("name", ["a.gif", "a.jpg", "a", "folder/"])
def test_other_files_are_refused(samples, tmp_path, name):
    with pytest.raises(UsageError, match="no kind of file"):
        samples.save(f"{tmp_path}/{name}")
    assert not any(tmp_path.iterdir())


def test_nowhere_to_write(samples, tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        samples.save(tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize(("kind", "form"), [("gif", "GIF"), ("webp", "WEBP"), ("apng", "PNG")])
def test_a_walk_moves(walk, tmp_path, kind, form):
    walk.save(tmp_path / f"walk.{kind}", upscale=2, fps=20)
    with Image.open(tmp_path / f"walk.{kind}") as moving:
        assert (moving.format, moving.n_frames, moving.size) == (form, 6, (12, 8))
        moving.seek(5)
        moving.load()
        assert moving.info["duration"] == 50
        assert moving.convert("RGB").getpixel((0, 0)) == (50, 50, 50)


def test_a_walk_is_a_strip(walk, tmp_path):
    walk.save(tmp_path / "strip.png", upscale=1)
    with Image.open(tmp_path / "strip.png") as picture:
        assert picture.size == (36, 4)


@pytest.mark.parametrize("fps", [0, -1, 51])
@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_frames_that_no_player_shows(walk, kind, fps):
    with pytest.raises(UsageError, match="fps must be 1 to 50"):
        walk.animation(kind, fps=fps)


def test_a_notebook_shows_a_grid(samples):
    assert np.array_equal(np.asarray(opened(samples._repr_png_())), samples.grid())


def test_a_notebook_is_not_flooded():
    many = Samples(shades(300, height=28, width=28), tuple(range(300)))
    assert opened(many._repr_png_()).size == (16 * 84, 16 * 84)


def test_a_notebook_shows_a_walk_moving(walk):
    before, _, rest = walk._repr_html_().partition("base64,")
    assert before == '<img src="data:image/png;'
    assert 'alt="a walk of 6 frames"' in rest
    assert opened(base64.b64decode(rest.partition('"')[0])).n_frames == 6
