"""ganctl interpolate: strips and animations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from ganctl import samples, store

SIDE = 84
"""Side of an image in a picture without --upscale."""


def strip(path):
    """Return the images of a strip, from left to right."""
    with Image.open(path) as picture:
        assert picture.height == SIDE
        return np.asarray(picture).reshape(SIDE, -1, SIDE).swapaxes(0, 1)


def frames(path):
    """Return the frames of an animation in grayscale."""
    with Image.open(path) as animation:
        shown = []
        for index in range(animation.n_frames):
            animation.seek(index)
            shown.append(np.asarray(animation.convert("L")))
        return shown


@pytest.fixture
def picture_of(ok, run, tmp_path):
    """Draw the image of a seed, or of a seed and a class, with `sample`."""

    def draw(seed, label=None):
        out = tmp_path / "one.png"
        of_class = () if label is None else ("--class", label)
        ok("sample", run, "--seed", seed, "-n", 1, *of_class, "-o", out)
        with Image.open(out) as picture:
            pixels = np.asarray(picture)
        out.unlink()
        return pixels

    return draw


def test_a_strip_begins_and_ends_with_what_sample_draws(ok, run, tmp_path, picture_of):
    ok("interpolate", run, "--seeds", "3,7,5", "--frames", 4, "-o", tmp_path / "x.png")
    images = strip(tmp_path / "x.png")
    assert len(images) == 9
    for index, seed in ((0, 3), (4, 7), (8, 5)):
        assert np.array_equal(images[index], picture_of(seed))
    assert len({image.tobytes() for image in images}) == 9


@pytest.mark.parametrize("suffix", ["gif", "webp", "apng"])
@pytest.mark.parametrize(("loop", "count"), [([], 11), (["--loop"], 15)])
def test_an_animation(ok, run, tmp_path, picture_of, suffix, loop, count):
    out = tmp_path / f"x.{suffix}"
    ok("interpolate", run, "--seeds", "3,7,5", "--frames", 5, *loop, "-o", out)
    shown = frames(out)
    assert len(shown) == count
    for index, seed in ((0, 3), (5, 7), (10, 5)):
        assert np.array_equal(shown[index], picture_of(seed))
    with Image.open(out) as animation:
        assert animation.format == {"apng": "PNG"}.get(suffix, suffix.upper())
        assert animation.size == (SIDE, SIDE)
        assert animation.info["loop"] == 0  # endless


@pytest.mark.parametrize(("fps", "milliseconds"), [(25, 40), (10, 100)])
def test_frames_per_second(ok, run, tmp_path, fps, milliseconds):
    out = tmp_path / "x.gif"
    ok("interpolate", run, "--seeds", "3,7", "--frames", 2, "--fps", fps, "-o", out)
    with Image.open(out) as animation:
        assert animation.info["duration"] == milliseconds


def test_the_default_is_a_walk_in_walk_gif(ok, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok("interpolate", run)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.gif"]
    assert len(frames("walk.gif")) == 3 * 24 + 1


@pytest.mark.parametrize("name", ["x.png", "x.gif", "x.webp"])
@pytest.mark.parametrize(("options", "side"), [([], 84), (["--upscale", 1], 28)])
def test_a_walk_is_enlarged_by_default(ok, run, tmp_path, name, options, side):
    ok("interpolate", run, "--frames", 2, *options, "-o", tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.height == side


def test_the_modes_differ_between_the_seeds_only(ok, run, tmp_path):
    drawn = {}
    for mode in ("lerp", "slerp"):
        out = tmp_path / f"{mode}.png"
        ok("interpolate", run, "--seeds", "3,7", "--frames", 4, "--mode", mode, "-o", out)
        drawn[mode] = strip(out)
    same = [np.array_equal(a, b) for a, b in zip(drawn["lerp"], drawn["slerp"], strict=True)]
    assert same == [True, False, False, False, True]


def test_the_average_differs_from_the_weights(ok, run, tmp_path):
    for name in ("--ema", "--no-ema"):
        ok("interpolate", run, name, "-o", tmp_path / f"{name}.png")
    assert not np.array_equal(strip(tmp_path / "--ema.png"), strip(tmp_path / "--no-ema.png"))


def test_a_strip_says_where_it_comes_from(ok, run, tmp_path):
    ok("interpolate", run, "--seeds", "3,7", "--mode", "lerp", "-o", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        text = picture.text
    assert (text["seeds"], text["mode"]) == ("3,7", "lerp")
    assert text["checkpoint"] == store.read_checkpoint(run).digest


def test_summary(ok, run, tmp_path):
    result = ok("interpolate", run, "--seeds", "3,7", "--loop", "-o", tmp_path / "x.gif")
    assert result.err == ""
    assert result.out == f"{tmp_path}/x.gif: 48 frames, seeds 3 → 7 → 3 (slerp)\n"


def test_as_json(ok, run, tmp_path):
    out = tmp_path / "x.webp"
    result = ok("interpolate", run, "--seeds", "3,7", "--frames", 2, "--loop", "-o", out, "--json")
    assert result.err == ""
    assert json.loads(result.out) == {
        "out": str(out), "kind": "webp", "seeds": [3, 7], "classes": None, "class_names": None,
        "latents": None, "along": None, "reach": None,
        "mode": "slerp", "ease": "linear", "loop": True, "truncation": 1.0, "sheet": False,
        "frames": 4, "ema": True, "checkpoint": str(run / "ckpt.pt"),
        "digest": store.read_checkpoint(run).digest,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "keyframes", "words"),
    [
        (["--class", "Cat,dog"], [(0, 1), (0, 2)], "seed 0, classes Cat → dog"),
        (["--seeds", "3", "--class", "dog,Cat,4"], [(3, 2), (3, 1), (3, 4)],
         "seed 3, classes dog → Cat → lion"),
        (["--seeds", "3,5", "--class", "dog"], [(3, 2), (5, 2)], "seeds 3 → 5, class dog"),
        (["--seeds", "3,5", "--class", "7,cat"], [(3, 7), (5, 1)],
         "seeds 3 → 5, classes pig → Cat"),
        (["--class", "dog"], [(0, 2), (1, 2), (2, 2), (3, 2)], "seeds 0 → 1 → 2 → 3, class dog"),
    ],
)  # fmt: skip
def test_between_classes(ok, named_run, tmp_path, picture_of, options, keyframes, words):
    out = tmp_path / "x.png"
    result = ok("interpolate", named_run, *options, "--frames", 3, "-o", out)
    assert f"frames, {words} (slerp)\n" in result.out
    images = strip(out)
    assert len(images) == 3 * (len(keyframes) - 1) + 1
    for image, keyframe in zip(images[::3], keyframes, strict=True):
        assert np.array_equal(image, picture_of(*keyframe))
    assert len({image.tobytes() for image in images}) == len(images)
    with Image.open(out) as picture:
        assert "classes" in picture.text
    document = json.loads(
        ok("interpolate", named_run, *options, "--frames", 3, "-o", out, "--json").out
    )
    assert document["seeds"] == [seed for seed, _ in keyframes]
    assert document["classes"] == [label for _, label in keyframes]
    assert document["class_names"][0] in words


def test_a_loop_through_classes_comes_back(ok, named_run, tmp_path):
    out = tmp_path / "x.gif"
    options = ("--class", "cat,dog", "--loop", "--frames", 2)
    result = ok("interpolate", named_run, *options, "-o", out)
    assert result.out == f"{out}: 4 frames, seed 0, classes Cat → dog → Cat (slerp)\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "3", "--class", "dog"], "two seeds or two classes"),
        (["--seeds", "3,4,5", "--class", "dog,cat"], "2 classes cannot be paired with 3 seeds"),
        (["--seeds", "3,4", "--class", "dog,cat,pig"], "3 classes cannot be paired with 2 seeds"),
        (["--class", "dgo,cat"], "Did you mean 'dog'?"),
        (["--class", "dog,"], "no class ''"),
        (["--seeds", "3"], "at least two seeds"),
        (["--class", ",".join(["dog"] * 2000)], "a walk of 15,993 images is too large"),
    ],
)
def test_invalid_classes(cli, named_run, tmp_path, options, words):
    result = cli("interpolate", named_run, *options, "-o", tmp_path / "x.png")
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "num", "kind"),
    [
        (["--seeds", "3,7", "--frames", "11"], 12, "walk"),
        (["--seeds", "3,7", "--frames", "6", "--loop"], 12, "walk"),
        (["--seeds", "3,7,9", "--frames", "5"], 11, "walk"),
        (["--walk", "4", "--frames", "4"], 13, "walk"),
        (["--corners", "3,7,9,5", "--frames", "3"], 16, "sheet"),
    ],
)
def test_the_limit_counts_the_images_exactly(
    ok, cli, run, tmp_path, monkeypatch, options, num, kind
):
    words = ["interpolate", run, *options, "-o", tmp_path / "x.png"]
    monkeypatch.setattr(samples, "_MAX_IMAGES", num)
    assert json.loads(ok(*words, "--json").out)["frames"] == num
    monkeypatch.setattr(samples, "_MAX_IMAGES", num - 1)
    result = cli(*words)
    assert result.code == 2
    assert f"a {kind} of {num} images is too large ({num - 1} at most)" in result.err


def test_class_needs_a_conditional_run(cli, dcgan_run, tmp_path):
    result = cli("interpolate", dcgan_run, "--class", "1,2", "-o", tmp_path / "x.png")
    assert (result.code, result.out) == (2, "")
    assert "has no classes" in result.err


def test_a_sheet_has_what_sample_draws_in_its_corners(ok, run, tmp_path, picture_of):
    out = tmp_path / "sheet.png"
    result = ok("interpolate", run, "--corners", "3,7,5,1", "--frames", 2, "-o", out)
    assert "9 images, between seeds 3, 7, 5, 1 (slerp)" in result.out
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (3 * SIDE, 3 * SIDE)
    drawn = pixels.reshape(3, SIDE, 3, SIDE).swapaxes(1, 2)
    for (row, column), seed in {(0, 0): 3, (0, 2): 7, (2, 0): 5, (2, 2): 1}.items():
        assert np.array_equal(drawn[row, column], picture_of(seed))


def test_a_random_walk_can_be_repeated_by_its_seeds(ok, run, tmp_path):
    options = ("--walk", 3, "--seed", 5, "--frames", 2, "-o", tmp_path / "a.png", "--json")
    seeds = json.loads(ok("interpolate", run, *options).out)["seeds"]
    again = ",".join(map(str, seeds))
    ok("interpolate", run, "--seeds", again, "--frames", 2, "-o", tmp_path / "b.png")
    a, b = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert np.array_equal(a, b)


def test_a_video(ok, run, tmp_path):
    av = pytest.importorskip("av")
    ok("interpolate", run, "--seeds", "3,7", "--frames", 4, "--fps", 10, "-o", tmp_path / "x.mp4")
    with av.open(tmp_path / "x.mp4") as video:
        assert len(list(video.decode(video=0))) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--corners", "1,2,3"], "a sheet has four corners, not 3"),
        (["--corners", "1,2,3,4", "--loop"], "a sheet has no --loop"),
        (["--corners", "1,2,3,4", "-o", "x.gif"], "cannot write '.gif' files"),
        (["--walk", 3, "--seeds", "1,2"], "give either --seeds or --walk"),
        (["--walk", 1], "--walk must be 2 to 10,000"),
        (["--seed", 1], "--seed is for --walk only"),
        (["--ease", "smoth"], "Did you mean 'smooth'?"),
        (["--truncation", 0], "--truncation must be more than 0"),
    ],
)
def test_invalid_options(cli, run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = cli("interpolate", run, *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert not list(tmp_path.iterdir())


def test_a_walk_and_a_sheet_of_latents(ok, cli, run, documented, tmp_path):
    saved, out = tmp_path / "five.npz", tmp_path / "x.png"
    ok("sample", run, "--seeds", "3,7,5,2,9", "--save-latents", saved, "-o", out)
    shown = {}
    for name, options in {
        "seeds": ["--seeds", "3,7,5,2,9"], "latents": ["--latents", saved],
        "corners": ["--corners", "9,3,2,3"],
        "picked": ["--latents", saved, "--corners", "4,0,3,0"],
    }.items():  # fmt: skip
        result = ok("interpolate", run, *options, "--frames", 2, "-o", out)
        with Image.open(out) as picture:
            shown[name] = np.asarray(picture)
    assert np.array_equal(shown["seeds"], shown["latents"])
    assert np.array_equal(shown["corners"], shown["picked"])
    assert f"4 latents of {saved}" in result.out
    result = ok("interpolate", run, "--latents", saved, "--frames", 1, "-o", out, "--json")
    document = json.loads(result.out)
    documented("interpolate", document)
    assert (document["seeds"], document["latents"]) == (None, str(saved))
    assert document["classes"] == [3, 7, 5, 2, 9]
    for options, words in {
        ("--corners", "0,1,2,5"): "there is no latent 5",
        ("--walk", "3"): "give either --latents or --walk",
        ("--seeds", "3,4"): "give either --latents or --seeds",
    }.items():
        result = cli("interpolate", run, "--latents", saved, *options, "-o", tmp_path / "y.png")
        assert (result.code, words in result.err) == (2, True)
    assert not (tmp_path / "y.png").exists()


def test_inspect_shows_how_a_walk_was_made(ok, cli, run, documented, tmp_path):
    out = tmp_path / "x.gif"
    ok("interpolate", run, "--seeds", "3,7", "--frames", 2, "--loop", "--no-ema", "-o", out, "-q")
    command = f"ganctl interpolate {run.name} --seeds 3,7 --frames 2 --loop --no-ema"
    shown = ok("inspect", out).out
    assert f"command     {command}\n" in shown
    assert store.read_checkpoint(run).digest in shown
    document = json.loads(ok("inspect", out, "--json").out)
    documented("inspect-drawn", document)
    assert document["made_with"]["seeds"] == "3,7"
    assert "--samples needs a checkpoint" in cli("inspect", out, "--samples").err
