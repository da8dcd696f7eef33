"""ganctl sample: grids, folders and arrays."""

from __future__ import annotations

import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import ganctl
from ganctl import machine, store
from ganctl.cli import terminal
from ganctl.datasets import loading

SIDE = 84
"""Side of an image in a grid without --upscale."""


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def tiles(path, side=SIDE):
    """Return the images of a grid, row by row."""
    picture = pixels(path)
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    return picture.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


@pytest.mark.parametrize(("num", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (16, 4, 4), (65, 9, 8)])
def test_a_grid(ok, run, tmp_path, num, columns, rows):
    out = tmp_path / "grid.png"
    result = ok("sample", run, "-n", num, "-o", out)
    with Image.open(out) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        assert picture.size == (columns * SIDE, rows * SIDE)
    drawn = tiles(out)
    assert all(image.any() for image in drawn[:num])
    assert len({image.tobytes() for image in drawn[:num]}) == num
    assert not drawn[num:].any()  # places left over are black
    assert str(out) in result.out
    assert result.out.count("\n") == 1
    assert result.err == ""


def test_the_default_is_sixteen_in_samples_png(ok, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok("sample", run)
    assert [path.name for path in tmp_path.iterdir()] == ["samples.png"]
    assert pixels("samples.png").shape == (4 * SIDE, 4 * SIDE)


def test_a_png_says_where_it_comes_from(ok, run, tmp_path):
    out = tmp_path / "grid.png"
    ok("sample", run, "--seeds", "3,7,20-22", "-o", out)
    with Image.open(out) as picture:
        text = picture.text
    assert text["seeds"] == "3,7,20-22"
    assert text["checkpoint"] == store.read_checkpoint(run).digest
    assert text["Software"] == f"ganctl {ganctl.__version__}"
    assert (text["step"], text["weights"]) == ("8", "ema")
    assert text["command"] == f"ganctl sample {run.name} --seeds 3,7,20-22"


@pytest.mark.parametrize("name", ["new/", "deep/er/", "there"])
def test_a_folder_gets_one_png_per_sample(ok, run, tmp_path, name):
    (tmp_path / "there").mkdir()
    ok("sample", run, "--seeds", "3,70", "-o", f"{tmp_path}/{name}")
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
        "seed-000003.png", "seed-000070.png",
    ]  # fmt: skip
    ok("sample", run, "--seed", 70, "-n", 1, "--upscale", 1, "-o", tmp_path / "one.png")
    assert np.array_equal(pixels(tmp_path / name / "seed-000070.png"), pixels(tmp_path / "one.png"))
    with Image.open(tmp_path / name / "seed-000070.png") as picture:
        assert picture.text["seeds"] == "70"


@pytest.mark.parametrize(("upscale", "side"), [(1, 28), (2, 56)])
def test_an_array(ok, run, tmp_path, upscale, side):
    ok("sample", run, "-n", 70, "--upscale", upscale, "-o", tmp_path / "x.npz")
    ok("sample", run, "-n", 70, "--upscale", upscale, "-o", tmp_path / "x.png")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["arr_0", "seeds", "labels", "classes", "provenance"]
        assert arrays["seeds"].tolist() == [*range(70)]
        assert arrays["labels"].tolist() == [seed % 10 for seed in range(70)]
        array = arrays["arr_0"]
    assert (array.shape, array.dtype) == ((70, side, side, 1), np.uint8)
    assert np.array_equal(array[..., 0], tiles(tmp_path / "x.png", side)[:70])


@pytest.mark.parametrize("out", ["x.png", "x.npz", "x/"])
def test_gray_samples_are_written_as_rgb(ok, run, tmp_path, documented, out):
    ok("sample", run, "-n", 3, "-o", f"{tmp_path}/gray-{out}")
    words = ("sample", run, "-n", 3, "--channels", 3, "--json", "-o", f"{tmp_path}/rgb-{out}")
    document = json.loads(ok(*words).out)
    documented("sample", document)
    assert document["channels"] == 3
    if out == "x.npz":
        gray, rgb = (np.load(tmp_path / f"{name}-x.npz")["arr_0"] for name in ("gray", "rgb"))
    else:
        name = out if out == "x.png" else "x/seed-000002.png"
        with Image.open(tmp_path / f"rgb-{name}") as picture:
            assert picture.mode == "RGB"
        gray, rgb = (pixels(tmp_path / f"{kind}-{name}") for kind in ("gray", "rgb"))
        gray = gray[..., None]
    assert rgb.shape == (*gray.shape[:-1], 3)
    assert (rgb == gray).all()


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_channels_are_refused(cli, run, tmp_path, channels):
    result = cli("sample", run, "--channels", channels, "-o", tmp_path / "x.png")
    assert result.code == 2
    assert f"--channels {channels} is not possible for gray images" in result.err
    assert not (tmp_path / "x.png").exists()


def test_an_image_does_not_depend_on_its_neighbors(ok, run, tmp_path):
    ok("sample", run, "--seeds", "3,7,20-22", "-o", tmp_path / "all.png")
    together = tiles(tmp_path / "all.png")
    for index, seed in enumerate((3, 7, 20, 21, 22)):
        ok("sample", run, "--seed", seed, "-n", 1, "-o", tmp_path / "one.png")
        assert np.array_equal(together[index], pixels(tmp_path / "one.png"))


def test_the_same_command_writes_the_same_bytes(ok, run, tmp_path):
    for name in ("a", "b"):
        ok("sample", run, "-n", 5, "-o", tmp_path / f"{name}.png")
        ok("sample", run, "-n", 5, "-o", tmp_path / f"{name}.npz")
    for suffix in ("png", "npz"):
        first, second = (tmp_path / f"{name}.{suffix}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_the_average_is_the_default_and_differs(ok, run, tmp_path):
    for name, options in {"default": [], "ema": ["--ema"], "raw": ["--no-ema"]}.items():
        ok("sample", run, *options, "-o", tmp_path / f"{name}.png")
    default, ema, raw = (pixels(tmp_path / f"{name}.png") for name in ("default", "ema", "raw"))
    assert np.array_equal(default, ema)
    assert not np.array_equal(ema, raw)


def test_ema_is_refused_without_an_average(cli, dcgan_run, tmp_path):
    result = cli("sample", dcgan_run, "--ema", "-o", tmp_path / "x.png")
    assert (result.code, result.out) == (2, "")
    assert "dcgan" in result.err
    assert "--ema" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--no-ema"]])
def test_weights_are_used_without_an_average(ok, dcgan_run, tmp_path, options):
    result = ok("sample", dcgan_run, *options, "-o", tmp_path / "x.png", "--json")
    assert json.loads(result.out)["ema"] is False


def test_upscale_repeats_pixels(ok, run, tmp_path):
    ok("sample", run, "-n", 2, "--upscale", 1, "-o", tmp_path / "small.png")
    ok("sample", run, "-n", 2, "--upscale", 3, "-o", tmp_path / "large.png")
    small = pixels(tmp_path / "small.png")
    assert np.array_equal(pixels(tmp_path / "large.png"), small.repeat(3, 0).repeat(3, 1))


def test_only_a_grid_is_enlarged_by_default(ok, run, tmp_path):
    for name in ("x.png", "x.npz", "x/"):
        ok("sample", run, "-n", 1, "-o", f"{tmp_path}/{name}")
    assert pixels(tmp_path / "x.png").shape == (84, 84)
    assert pixels(tmp_path / "x" / "seed-000000.png").shape == (28, 28)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert arrays["arr_0"].shape == (1, 28, 28, 1)


def test_a_grid_can_show_a_seed_several_times(ok, run, tmp_path):
    ok("sample", run, "--seeds", "3,3,5,3", "-o", tmp_path / "x.png")
    first, second, other, last = tiles(tmp_path / "x.png")
    assert np.array_equal(first, second)
    assert np.array_equal(first, last)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["x.png", "x.npz", "x/"])
def test_as_json(ok, run, tmp_path, name):
    result = ok("sample", run, "--seeds", "3,5-6", "-o", f"{tmp_path}/{name}", "--json")
    document = json.loads(result.out)
    assert result.err == ""
    assert document == {
        "out": str(tmp_path / name), "seeds": "3,5-6", "num_samples": 3, "ema": True,
        "channels": 1,
        "class": None, "class_name": None, "per_class": None, "classes": None, "step": 8,
        "truncation": 1.0, "move": None, "latents": None, "saved_latents": None,
        "kind": {"x.png": "png", "x.npz": "npz", "x/": "folder"}[name],
        "checkpoint": str(run / "ckpt.pt"), "digest": store.read_checkpoint(run).digest,
    }  # fmt: skip


def test_sample_draws_the_same_as_the_last_epoch(ok, run, tmp_path):
    ok("sample", run, "-n", 100, "-o", tmp_path / "x.png")  # as many as the preset draws
    kept = run / "samples" / "epoch-0002.png"
    assert np.array_equal(pixels(tmp_path / "x.png"), pixels(kept))


def test_a_run_and_its_checkpoint_are_the_same(ok, run, tmp_path):
    ok("sample", run, "-o", tmp_path / "run.png")
    ok("sample", run / "ckpt.pt", "-o", tmp_path / "file.png")
    assert np.array_equal(pixels(tmp_path / "run.png"), pixels(tmp_path / "file.png"))


def test_an_existing_picture_is_replaced(ok, run, tmp_path):
    out = tmp_path / "x.png"
    out.write_bytes(b"an older file" * 10_000)
    ok("sample", run, "-n", 1, "-o", out)
    assert pixels(out).shape == (SIDE, SIDE)
    assert list(tmp_path.iterdir()) == [out]


_PEAKS = """
import re, resource, sys
from ganctl.cli import main

def peak():
    try:  # of this process alone; ru_maxrss begins at that of the process it was forked from
        with open("/proc/self/status") as file:
            return int(re.search(r"VmHWM:\\s+(\\d+)", file.read()).group(1)) * 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

for num in ("1000", "20000"):
    assert main(["sample", sys.argv[1], "-n", num, "--upscale", "3", "-o", sys.argv[2]]) == 0
    print("peak", peak())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module there")
def test_memory_does_not_grow_with_the_number_of_samples(python, run, tmp_path):
    """The larger array is 141 MB."""
    done = python(_PEAKS, run, tmp_path / "x.npz")
    assert done.returncode == 0, done.stderr
    few, many = (int(peak) for peak in re.findall(r"^peak (\d+)$", done.stdout, re.M))
    assert (tmp_path / "x.npz").stat().st_size > 20_000 * (3 * 28) ** 2
    assert many - few < 70e6


def test_a_class_is_chosen_for_all(ok, run, tmp_path):
    ok("sample", run, "-n", 10, "-o", tmp_path / "own.npz")
    document = json.loads(
        ok("sample", run, "-n", 10, "--class", 7, "-o", tmp_path / "sevens.npz", "--json").out
    )
    assert (document["class"], document["class_name"]) == (7, "7")
    own, sevens = (np.load(tmp_path / f"{name}.npz")["arr_0"] for name in ("own", "sevens"))
    same = [np.array_equal(own[seed], sevens[seed]) for seed in range(10)]
    assert same == [seed == 7 for seed in range(10)]
    ok("sample", run, "--class", 7, "-o", tmp_path / "sevens.png")
    with Image.open(tmp_path / "sevens.png") as picture:
        assert picture.text["class"] == "7"


def test_unknown_classes_are_refused(cli, run, named_run, dcgan_run, tmp_path):
    for folder, number, words in (
        (run, 10, "class must be a name or 0 to 9, not 10"),
        (run, -1, "class must be a name or 0 to 9, not -1"),
        (named_run, "frgo", "Did you mean 'frog'?"),
        (named_run, "cow", "Known: airplane, Cat, dog, "),
        (dcgan_run, 3, "has no classes"),
    ):
        result = cli("sample", folder, "--class", number, "-o", tmp_path / "grid.png")
        assert (result.code, result.out) == (2, "")
        assert words in result.err
        assert "\x1b" not in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["Cat", "cat", "1"])
def test_a_class_is_chosen_by_its_name(ok, run, named_run, tmp_path, text):
    ok("sample", run, "--class", 1, "-o", tmp_path / "by-number.png")
    result = ok("sample", named_run, "--class", text, "-o", tmp_path / "x.png")
    assert "16 samples of class Cat, seeds 0-15" in result.out
    assert np.array_equal(pixels(tmp_path / "x.png"), pixels(tmp_path / "by-number.png"))
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.text["class"] == "Cat"
    document = json.loads(
        ok("sample", named_run, "--class", text, "-o", tmp_path / "x.png", "--json").out
    )
    assert (document["class"], document["class_name"]) == (1, "Cat")


def test_class_names_are_escaped(ok, named_run, tmp_path):
    shown = r"a, b\x1b[2J"
    result = ok("sample", named_run, "--class", 9, "-o", f"{tmp_path}/x/")
    assert f"of class {shown}" in result.out
    with Image.open(tmp_path / "x" / "seed-000003.png") as picture:
        assert picture.text["class"] == shown


def test_per_class_draws_a_row_per_class(ok, named_run, tmp_path):
    out = tmp_path / "x.png"
    result = ok("sample", named_run, "--per-class", 3, "--seed", 5, "-o", out)
    assert "30 samples, 3 of each of 10 classes, seeds 5-7" in result.out
    assert "classes, row by row: airplane, Cat, dog, " in result.out
    assert pixels(out).shape == (10 * SIDE, 3 * SIDE)
    drawn = tiles(out).reshape(10, 3, SIDE, SIDE)
    for label in (0, 1, 9):
        ok("sample", named_run, "--class", label, "--seeds", "5-7", "-o", tmp_path / "row.npz")
        row = np.load(tmp_path / "row.npz")["arr_0"][..., 0]
        assert np.array_equal(drawn[label], row.repeat(3, 1).repeat(3, 2))
    with Image.open(out) as picture:
        assert picture.text["seeds"] == "5-7"
        assert picture.text["classes"].startswith("airplane, Cat, dog, ")


def test_per_class_writes_folders_and_arrays(ok, named_run, tmp_path):
    """The array has labels and class names, so that it can be trained on."""
    ok("sample", named_run, "--per-class", 2, "-o", f"{tmp_path}/x/")
    names = ["airplane", "Cat", "dog", "frog", "lion", "mouse", "otter", "pig", "yak", "class-009"]
    folders = [tmp_path / "x" / name for name in names]
    assert sorted((tmp_path / "x").iterdir()) == sorted(folders)
    written = [path for folder in folders for path in sorted(folder.iterdir())]
    assert [path.name for path in written[:2]] == ["seed-000000.png", "seed-000001.png"]
    with Image.open(written[2]) as picture:
        assert (picture.text["class"], picture.text["seeds"]) == ("Cat", "0")
    ok("sample", named_run, "--per-class", 2, "-o", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert np.array_equal(
            arrays["arr_0"], np.stack([pixels(path)[..., None] for path in written])
        )
        assert arrays["labels"].tolist() == [n // 2 for n in range(20)]
        assert arrays["classes"][:3].tolist() == ["airplane", "Cat", "dog"]
        assert arrays["seeds"].tolist() == [0, 1] * 10


@pytest.mark.parametrize("options", [[], ["--class", "1"], ["--per-class", "2"]])
def test_an_array_can_be_trained_on(ok, named_run, tmp_path, options):
    out = tmp_path / "x.npz"
    many = [] if "--per-class" in options else ["-n", "20"]
    ok("sample", named_run, *options, *many, "-o", out)
    found = loading.load(str(out))
    with np.load(out) as arrays:
        assert len(found) == len(arrays["arr_0"])
        assert found.labels.tolist() == arrays["labels"].tolist()
    assert found.classes[:3] == ("airplane", "Cat", "dog")


def test_an_array_of_an_unconditional_run_has_only_seeds(ok, dcgan_run, tmp_path):
    ok("sample", dcgan_run, "--seeds", "7,3,2000000", "-o", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays.files == ["arr_0", "seeds", "provenance"]
        assert arrays["seeds"].tolist() == [7, 3, 2_000_000]


def test_samples_of_earlier_calls_are_never_mixed_with_new_ones(ok, cli, run, dcgan_run, tmp_path):
    out = tmp_path / "x"
    ok("sample", run, "-n", 3, "-o", f"{out}/")
    (out / "mine.png").write_bytes(b"mine")
    ok("sample", run, "-n", 4, "-o", out)  # all old ones are replaced
    for options in (["-n", 2], ["--seeds", "1-4"], ["--per-class", 1]):
        before = {path: path.read_bytes() for path in out.rglob("*.png")}
        result = cli("sample", run, *options, "-o", out)
        assert (result.code, result.out) == (1, "")
        assert re.search(r"holds \d samples? of an earlier call", result.err)
        assert "--force" in result.err
        assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    ok("sample", run, "--per-class", 1, "--force", "-o", out)
    names = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert names == {"mine.png", *(f"{digit}/seed-000000.png" for digit in range(10))}
    assert "10 samples" in cli("sample", dcgan_run, "-n", 2, "-o", out).err
    ok("sample", dcgan_run, "-n", 2, "--force", "-o", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "mine.png", "seed-000000.png", "seed-000001.png",
    ]  # fmt: skip


def test_per_class_as_json(ok, run, tmp_path):
    out = tmp_path / "x.png"
    result = ok("sample", run, "--per-class", 2, "-o", out, "--json")
    expected = {"num_samples": 20, "seeds": "0-1", "class": None, "class_name": None,
                "per_class": 2, "classes": [str(digit) for digit in range(10)]}  # fmt: skip
    assert json.loads(result.out).items() >= expected.items()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", 3], "either --per-class or -n"),
        (["--seeds", "3"], "either --per-class or --seeds"),
        (["--class", "3"], "either --per-class or --class"),
        (["--per-class", 0], "--per-class must be at least 1, not 0"),
        (["--per-class", 1001], "a grid of 10,010 images is too large"),
        (["--per-class", 10**9], "of each of 10 classes are more than 1,000,000"),
        (["--per-class", 10**9, "-o", "x.npz"], "of each of 10 classes are more than 1,000,000"),
        (["--seed", 2**32 - 1], "seeds must be"),
    ],
)
def test_options_that_conflict_with_per_class(cli, run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = cli(
        "sample", run, *(["--per-class", 2] if "--per-class" not in options else []), *options
    )
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert not list(tmp_path.iterdir())


def test_per_class_needs_a_conditional_run(cli, dcgan_run, tmp_path):
    result = cli("sample", dcgan_run, "--per-class", 2, "-o", tmp_path / "x.png")
    assert (result.code, result.out) == (2, "")
    assert "has no classes" in result.err


def test_a_grid_of_columns_and_rows(ok, run, tmp_path):
    out = tmp_path / "x.png"
    assert "8 samples" in ok("sample", run, "--grid", "4x2", "-o", out).out
    assert pixels(out).shape == (2 * SIDE, 4 * SIDE)
    ok("sample", run, "--grid", "4x3", "-n", 5, "-o", out)
    assert pixels(out).shape == (3 * SIDE, 4 * SIDE)


def test_label_seeds_writes_seeds_below(ok, run, tmp_path):
    for seeds in ("3,7", "3,8"):
        ok("sample", run, "--seeds", seeds, "--label-seeds", "-o", tmp_path / f"{seeds}.png")
    first, second = (pixels(tmp_path / f"{seeds}.png") for seeds in ("3,7", "3,8"))
    ok("sample", run, "--seed", 3, "-n", 1, "-o", tmp_path / "one.png")
    assert np.array_equal(first[:SIDE, :SIDE], pixels(tmp_path / "one.png"))
    below = slice(SIDE, None)
    assert np.array_equal(first[below, :SIDE], second[below, :SIDE])
    assert not np.array_equal(first[below, SIDE:], second[below, SIDE:])


def test_truncation_one_changes_nothing_and_less_is_a_function_of_seed_and_psi(ok, run, tmp_path):
    def drawn(name, *options):
        ok("sample", run, *options, "-o", tmp_path / name)
        return np.load(tmp_path / name)["arr_0"]

    plain, one = drawn("a.npz"), drawn("b.npz", "--truncation", 1)
    half, alone = (
        drawn("c.npz", "--truncation", 0.5),
        drawn("d.npz", "--truncation", 0.5, "--seed", 7, "-n", 1),
    )
    assert np.array_equal(plain, one)
    assert np.array_equal(half[7], alone[0])
    assert not np.array_equal(half, plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "4"], "--grid must be columns x rows"),
        (["--grid", "2x2", "-n", 5], "5 images do not fit into a grid of 2x2"),
        (["--grid", "2x2", "-o", "x.npz"], "--grid needs a PNG grid"),
        (["--label-seeds", "-o", "x.npz"], "--label-seeds needs a PNG grid"),
        (["--grid", "2x2", "--per-class", 2], "either --per-class or --grid"),
        (["--grid", "9999x9999"], "a grid of 99,980,001 images is too large"),
        (["--grid", "99999x99999"], "seeds must be from 0 to"),
        (["--truncation", "nan"], "--truncation must be more than 0"),
        (["--truncation", 1.5], "--truncation must be more than 0"),
    ],
)
def test_invalid_grids_and_truncations(cli, run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = cli("sample", run, *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("out", "size"), [("big.npz", "784.0 GB"), ("big/", "4,096.0 GB")])
def test_files_larger_than_the_disk_are_refused_before_drawing(
    cli, run, tmp_path, monkeypatch, out, size
):
    monkeypatch.chdir(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=73 * 10**9))
    result = cli("sample", run, "-n", 10**9, "-o", out)
    assert (result.code, result.out) == (1, "")
    assert f"{out.rstrip('/')} would take {size}, and 73.0 GB are free there" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [("sample", "-n", "9"), ("interpolate", "--seeds", "1,2", "-o", "walk.gif")],
)
def test_pictures_larger_than_memory_are_refused(cli, run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "free_memory", lambda: 100_000)
    command, *options = arguments
    result = cli(command, run, *options)
    assert (result.code, result.out) == (1, "")
    assert "of memory, and 100.0 kB are free" in result.err
    assert list(tmp_path.iterdir()) == []


def test_drawing_many_shows_a_bar_or_a_line(ok, on_terminal, run, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "_MANY", 20)
    words = ("sample", run, "-o", tmp_path / "many.npz", "-n")
    shown = on_terminal(*words, "20").out
    assert shown.index("starting") < shown.index("drawing samples") < shown.index("many.npz: 20")
    assert "20/20" in shown
    assert "/?" not in shown
    assert ok(*words, "20").err == "Drawing samples: 20 ...\n"
    assert ok(*words, "19").err == ok(*words, "20", "--json").err == ""


def test_walks_and_reports_show_progress(on_terminal, run, tmp_path):
    for words, doing in (
        (("interpolate", run, "-o", tmp_path / "walk.gif", "--frames", "1"), "drawing"),
        (("report", run, "-o", tmp_path / "report.html"), "writing the report"),
        (("inspect", run), "starting"),
    ):
        shown = on_terminal(*words)
        assert shown.code == 0
        assert doing in shown.out


def test_one_sample_is_described_in_the_singular(ok, run, tmp_path):
    out = tmp_path / "one.png"
    assert ok("sample", run, "-n", "1", "-o", out).out.startswith(f"{out}: 1 sample, seed 0 (")


def test_latents_are_saved_and_drawn_again(ok, run, documented, tmp_path):
    saved, again = tmp_path / "five.npz", tmp_path / "again.png"
    result = ok("sample", run, "--seeds", "3,7,20-22", "--truncation", 0.7, "--save-latents", saved,
                "-o", tmp_path / "first.png")  # fmt: skip
    assert f"{saved}: their latents" in result.out
    result = ok("sample", run, "--latents", saved, "-o", again, "--json")
    assert np.array_equal(pixels(again), pixels(tmp_path / "first.png"))
    document = json.loads(result.out)
    documented("sample", document)
    assert (document["seeds"], document["latents"], document["num_samples"]) == (
        None,
        str(saved),
        5,
    )
    assert result.err == ""
    with Image.open(again) as picture:
        assert picture.text["latents"] == "five.npz"
    result = ok("sample", run, "--no-ema", "--latents", saved, "-o", f"{tmp_path}/folder/")
    assert f"5 samples, latents of {saved} (weights as trained" in result.out
    assert (tmp_path / "folder" / "latent-000004.png").exists()


def test_latents_of_another_checkpoint_give_a_warning(ok, run, named_run, tmp_path):
    saved = tmp_path / "two.npz"
    ok("sample", run, "-n", 2, "--save-latents", saved, "-o", tmp_path / "x.png")
    result = ok("sample", named_run, "--latents", saved, "-o", tmp_path / "x.png", "--quiet")
    assert "were made with another checkpoint" in result.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", 4], "give either --latents or -n"),
        (["--seed", 4], "give either --latents or --seed"),
        (["--seeds", "4"], "give either --latents or --seeds"),
        (["--per-class", 4], "give either --latents or --per-class"),
        (["-o", "two.npz"], "-o and --latents are the same file"),
        (["--save-latents", "two.png"], "cannot write '.png' files"),
        (["--grid", "1x1", "--class", 3, "-o", "x.png"], "2 images do not fit"),
        (["-o", "x.png"], "Choose them with --class"),
    ],
)
def test_what_does_not_go_with_latents_is_refused(cli, run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    np.savez("two.npz", latents=np.zeros((2, 100)))
    before = (tmp_path / "two.npz").read_bytes()
    result = cli("sample", run, "--latents", "two.npz", *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["two.npz"]
    assert (tmp_path / "two.npz").read_bytes() == before
