"""Samples as arrays, pictures, files, and in a notebook."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ganctl import machine
from ganctl.errors import RunError, UsageError
from ganctl.samples import Samples, Walk


def shades(count, channels=1, height=4, width=6):
    """Return images of one value each: 0, 10, 20, ..."""
    values = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) * 10
    return np.broadcast_to(values, (count, height, width, channels)).copy()


def opened(content):
    return Image.open(io.BytesIO(content))


def made(pixels, seeds, cls=Samples, **more):
    """Return samples with these pixels, drawn in two chunks."""
    half = len(pixels) // 2
    return cls(lambda: iter([pixels[:half], pixels[half:]]), pixels.shape, seeds, **more)


@pytest.fixture
def samples():
    return made(shades(5), tuple(range(3, 8)), text={"step": "7"})


@pytest.fixture
def walk():
    return made(shades(6, 3), (1, 2), Walk, columns=6)


def test_samples_convert_to_an_array(samples):
    assert len(samples) == 5
    assert np.array_equal(np.asarray(samples), samples.pixels)
    assert np.asarray(samples, dtype=float).dtype == float


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pil_returns_one_image_each(channels, mode):
    third = made(shades(4, channels), (0, 1, 2, 3)).pil()[2]
    assert (third.mode, third.size) == (mode, (6, 4))
    assert np.unique(np.asarray(third)).tolist() == [20]


def test_only_gray_samples_get_other_channels(samples, walk):
    rgb = samples.with_channels(3)
    assert (rgb.shape, rgb.seeds, rgb.text) == ((5, 4, 6, 3), samples.seeds, samples.text)
    assert (rgb.pixels == samples.pixels).all()
    assert samples.with_channels(1) is samples
    assert walk.with_channels(3) is walk
    for given, channels in ((walk, 1), (made(shades(2, 4), (0, 1)), 3)):
        with pytest.raises(UsageError, match=f"channels={channels} is not possible for RGB"):
            given.with_channels(channels)


def test_grid_fills_rows_in_order(samples):
    picture = samples.picture(columns=3, upscale=2)
    assert picture.shape == (2 * 8, 3 * 12, 1)
    assert picture[::8, ::12, 0].tolist() == [[0, 10, 20], [30, 40, 0]]
    assert samples.grid(columns=5, upscale=1).size == (30, 4)


def test_captions_are_below_the_images(samples):
    plain, captioned = samples.picture(upscale=10), samples.picture(upscale=10, captions=True)
    assert captioned.shape[0] > plain.shape[0]
    assert captioned[:40, :60].tolist() == plain[:40, :60].tolist()


def test_repr_names_shape_and_seeds(samples, walk):
    assert repr(samples) == "Samples(5 of 4x6x1, seeds 3, 4, 5, 6, 7)"
    assert repr(walk) == "Walk(6 of 4x6x3, seeds 1, 2)"
    assert repr(made(shades(20), tuple(range(20)))).endswith("6, 7, ...)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"columns": -2}, "columns must be at least 1"),
        ({"upscale": 0}, "upscale must be at least 1"),
        ({"upscale": -1}, "upscale must be at least 1"),
    ],
)
def test_invalid_columns_and_upscale_are_refused(samples, options, message):
    with pytest.raises(UsageError, match=message):
        samples.grid(**options)


def test_empty_samples_have_no_picture():
    none = made(shades(0), ())
    assert none.pil() == []
    assert none._repr_png_() is None
    with pytest.raises(UsageError, match="no images"):
        none.grid()


def test_frames_of_a_walk_cannot_be_captioned(walk):
    with pytest.raises(UsageError, match="a seed each"):
        walk.grid(captions=True)


def test_png_has_the_text(samples, tmp_path):
    samples.save(tmp_path / "a.PNG", upscale=1)
    with Image.open(tmp_path / "a.PNG") as picture:
        assert (picture.text, picture.size) == ({"step": "7"}, (18, 8))


@pytest.mark.parametrize(("upscale", "shape"), [(None, (5, 4, 6, 1)), (3, (5, 12, 18, 1))])
def test_npz_holds_the_pixels(samples, tmp_path, upscale, shape):
    samples.save(tmp_path / "a.npz", upscale=upscale)
    with np.load(tmp_path / "a.npz") as file:
        assert file["arr_0"].shape == shape
        assert file["arr_0"][:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]


def test_npz_holds_seeds_and_classes(tmp_path):
    conditional = {"classes": ("cat", "dog", "été")}
    for seeds, more, labels in (
        (range(3, 8), conditional, [0, 1, 2, 0, 1]),
        ((9, 9, 2, 3, 4), {**conditional, "labels": [2, 1, 0, 1, 2]}, [2, 1, 0, 1, 2]),
        (range(3, 8), {}, None),
    ):
        made(shades(5), seeds, **more).save(tmp_path / "a.npz")
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            assert arrays["seeds"].tolist() == [*seeds]
            assert arrays["seeds"].dtype == np.uint32
            assert arrays.files[2:] == (["labels", "classes"] if labels else [])
            if labels:
                assert arrays["labels"].tolist() == labels
                assert arrays["classes"].tolist() == ["cat", "dog", "été"]


def test_npz_of_a_walk_holds_only_frames(walk, tmp_path):
    walk.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays.files == ["arr_0"]
        assert np.array_equal(arrays["arr_0"], walk.pixels)


def test_folder_has_one_png_per_seed(samples, tmp_path):
    samples.save(f"{tmp_path}/new/")
    names = [f"seed-{seed:06d}.png" for seed in range(3, 8)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    with Image.open(tmp_path / "new" / names[2]) as picture:
        assert picture.text == {"step": "7", "seeds": "5"}
        assert np.array_equal(np.asarray(picture), samples.pixels[2, ..., 0])


def test_folder_has_one_folder_per_class(tmp_path):
    made(
        shades(4), (7, 9, 7, 9), labels=[0, 0, 1, 1], classes=("cat", "dog"), by_class=True,
        text={"classes": "cat, dog"},
    ).save(f"{tmp_path}/x/", upscale=2)  # fmt: skip
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert found == [f"x/{name}/seed-00000{seed}.png" for name in ("cat", "dog") for seed in (7, 9)]
    with Image.open(tmp_path / "x/dog/seed-000007.png") as picture:
        assert (picture.text, picture.size) == ({"seeds": "7", "class": "dog"}, (12, 8))
        assert picture.getpixel((0, 0)) == 20


def test_images_of_latents_are_named_by_number(tmp_path):
    labels = {"labels": [1, 0, 1], "classes": ("cat", "dog")}
    for seeds in ((), (7, 7, 9)):
        samples = made(shades(3), seeds, numbered=True, **labels, text={"latents": "a.npz"})
        samples.save(f"{tmp_path}/x/")
        names = sorted(path.name for path in (tmp_path / "x").iterdir())
        assert names == [f"latent-00000{number}.png" for number in range(3)]
        with Image.open(tmp_path / "x" / names[2]) as picture:
            assert picture.text == {"latents": "a.npz", "latent": "2", "class": "dog"}
        samples.save(tmp_path / "a.npz")
        with np.load(tmp_path / "a.npz") as arrays:
            assert arrays["labels"].tolist() == [1, 0, 1]
            assert ("seeds" in arrays) == bool(seeds)
        assert samples.picture(captions=True).shape[0] > samples.picture().shape[0]
    assert repr(made(shades(3), (), numbered=True)) == "Samples(3 of 4x6x1)"


def test_folder_refuses_duplicate_seeds_and_frames(walk, tmp_path):
    with pytest.raises(UsageError, match="a seed twice"):
        made(shades(3), (4, 5, 4)).save(f"{tmp_path}/x/")
    with pytest.raises(UsageError, match="a seed each"):
        walk.save(f"{tmp_path}/x/")
    assert not any(tmp_path.iterdir())


def test_samples_are_drawn_once_and_only_when_needed(tmp_path):
    drawn = []

    def draw():
        drawn.append(1)
        return iter([shades(5)])

    samples = Samples(draw, (5, 4, 6, 1), range(5))
    assert (len(samples), drawn) == (5, [])
    for name in ("a.png", "a.npz", "a/"):
        samples.save(f"{tmp_path}/{name}")
    assert np.array_equal(samples.pixels, shades(5))
    assert drawn == [1]


def test_progress_is_reported(samples, walk, tmp_path):
    reports = []
    samples.save(tmp_path / "a.png", progress=lambda *report: reports.append(report))
    assert reports == [("drawing samples", 2, 5), ("drawing samples", 5, 5)]
    reports.clear()
    walk.save(tmp_path / "a.gif", progress=lambda *report: reports.append(report))
    assert reports[1:] == [("drawing frames", 6, 6), ("writing frames", 0, 6)]


@pytest.mark.parametrize("name", ["a.gif", "a.jpg", "a"])
def test_unknown_suffixes_are_refused(samples, tmp_path, name):
    with pytest.raises(UsageError, match="cannot write"):
        samples.save(f"{tmp_path}/{name}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("layout", "shape"),
    [({"columns": 3, "rows": 4}, (16, 18)), ({"rows": 3}, (12, 12)), ({"rows": 1}, (4, 30))],
)
def test_grid_has_the_given_columns_and_rows(samples, tmp_path, layout, shape):
    assert samples.picture(**layout, upscale=1).shape == (*shape, 1)
    samples.save(tmp_path / "a.png", **layout, upscale=1)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == shape[::-1]


def test_too_small_a_grid_is_refused(samples):
    with pytest.raises(UsageError, match="5 images do not fit into a grid of 2x2"):
        samples.picture(columns=2, rows=2)


def test_missing_folder_is_an_error(samples, tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        samples.save(tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize(("kind", "form"), [("gif", "GIF"), ("webp", "WEBP"), ("apng", "PNG")])
def test_walk_is_saved_as_an_animation(walk, tmp_path, kind, form):
    walk.save(tmp_path / f"walk.{kind}", upscale=2, fps=20)
    with Image.open(tmp_path / f"walk.{kind}") as moving:
        assert (moving.format, moving.n_frames, moving.size) == (form, 6, (12, 8))
        moving.seek(5)
        moving.load()
        assert moving.info["duration"] == 50
        assert moving.convert("RGB").getpixel((0, 0)) == (50, 50, 50)


def test_walk_is_saved_as_a_strip(walk, tmp_path):
    walk.save(tmp_path / "strip.png", upscale=1)
    with Image.open(tmp_path / "strip.png") as picture:
        assert picture.size == (36, 4)


@pytest.mark.parametrize("fps", [0, -1, 51])
@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_invalid_fps_is_refused(walk, kind, fps):
    with pytest.raises(UsageError, match="fps must be 1 to 50"):
        walk.animation(kind, fps=fps)


def test_a_notebook_shows_a_grid(samples):
    assert np.array_equal(np.asarray(opened(samples._repr_png_())), samples.grid())


def test_a_notebook_shows_at_most_256_images():
    many = made(shades(300, height=28, width=28), tuple(range(300)))
    assert opened(many._repr_png_()).size == (16 * 84, 16 * 84)


def test_a_notebook_shows_a_walk_animated(walk):
    before, _, rest = walk._repr_html_().partition("base64,")
    assert before == '<img src="data:image/png;'
    assert 'alt="a walk of 6 frames"' in rest
    assert opened(base64.b64decode(rest.partition('"')[0])).n_frames == 6


@pytest.mark.parametrize(
    ("image", "upscale", "count"), [((256, 256, 3), 1, 5461), ((128, 128, 1), 3, 7281)]
)
@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_one_file_holds_at_most_a_gibibyte_of_pixels(
    tmp_path, monkeypatch, image, upscale, count, name
):
    class DrawnError(Exception): ...

    def draw():
        raise DrawnError

    monkeypatch.setattr(machine, "free_memory", lambda: None)
    with pytest.raises(DrawnError):
        Walk(draw, (count, *image), ()).save(tmp_path / name, upscale=upscale)
    with pytest.raises(UsageError, match=f"^{count + 1:,} images .* 1.0 GiB"):
        Walk(draw, (count + 1, *image), ()).save(tmp_path / name, upscale=upscale)
