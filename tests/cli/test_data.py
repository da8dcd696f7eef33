"""ganctl data, and training on local images."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ganctl.cli.options import parse_bytes
from ganctl.datasets import detection
from ganctl.datasets.local import cache, preparing
from ganctl.datasets.local.survey import Survey
from ganctl.datasets.streaming import stream
from ganctl.errors import UsageError

pytestmark = pytest.mark.usefixtures("_no_plot")

QUICK = ("--device", "cpu", "--precision", "fp32", "--set", "base_channels=4", "--batch-size", "4",
         "--steps", "2", "--threads", "1", "--set", "eval_samples=0")  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch, photos):
    """The folder that the photos are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:400])


def test_the_cache_folder_is_named_if_there_is_no_home_folder(here, ok, monkeypatch):
    monkeypatch.setattr("ganctl.private_folders._platform_folder", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(here))
    (line,) = ok("data", "photos").err.splitlines()
    assert line.startswith(f"Decoded images and downloads are kept in {here}")
    assert line.endswith(": there is no home folder.")
    said = ok("train", "--data", "photos", *QUICK).err.splitlines()
    assert said[0] == line
    assert ok("train", "--data", "photos", *QUICK, "--quiet", "--out", "other").err == ""


def picture(path):
    return np.asarray(Image.open(path))


def test_the_listing(here, ok):
    shutil.copy("photos/cat/0.png", "photos/cat/z.png")
    Path("photos/notes.txt").write_text("words")
    result = ok("data", "photos")
    assert result.err == ""
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    for line in (
        str(here / "photos"),
        "images 13 of 13 files",
        "formats PNG 13",
        "modes RGB 13",
        "sizes, width x height 40x30 13",
        "training size 28x28 RGB (size and channels detected), crop",
        "contact sheet contact-sheet.png",
        "28 to 31 13 " + "█" * 30,
        "2 classes",
        "cat 6",
        "dog 7",
        "duplicates of other images, used: 1",
        "cat/z.png is cat/0.png",
        "other files: 1",
        "notes.txt not an image by its name",
    ):
        assert line in lines
    assert not any("cannot be used" in line for line in lines)


def test_peculiar_images_are_listed(here, ok):
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "lime", "blue")]
    frames[0].save("photos/cat/a.gif", save_all=True, append_images=frames[1:])
    frames[0].save("photos/dog/b.jpg")
    Path("photos/dog/b.jpg").write_bytes(Path("photos/dog/b.jpg").read_bytes()[:-1])
    result = ok("data", "photos")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert (
        lines[lines.index("several pages or frames, only the first is used: 1") + 1]
        == "cat/a.gif 3"
    )
    assert lines[lines.index("JPEGs without their last bytes, used: 1") + 1] == "dog/b.jpg"
    assert "(2 left out)" in result.err
    remarks = json.loads(ok("data", "photos", "--json").out)["remarks"]
    assert remarks["frames"] == [["cat/a.gif", 3]]
    assert remarks["lacking_end"] == ["dog/b.jpg"]


def test_the_contact_sheet_shows_preprocessed_images(here, ok):
    ok("data", "photos", "--size", "32", "--fit", "pad", "--background", "#00ff00", "-o", "s.png")
    sheet = picture("s.png")
    assert sheet.shape == (3 * 64, 4 * 64, 3)  # 12 images, twice as large
    assert (sheet[0, 0] == (0, 255, 0)).all()  # above a landscape
    stored = next(cache.folder().glob("*/images.npy"))
    np.testing.assert_array_equal(sheet[:64:2, :64:2], np.load(stored)[0])


def test_large_images_are_reduced_on_the_contact_sheet(here, ok):
    ok("data", "photos", "--size", "512")
    assert picture("contact-sheet.png").shape == (3 * 256, 4 * 256, 3)


def test_json_is_one_document(here, ok):
    result = ok("data", "photos", "--channels", "1", "--json")
    assert result.err == ""
    (document,) = map(json.loads, result.out.splitlines())
    assert document["num_images"] == 12
    assert document["image_shape"] == [1, 28, 28]
    assert document["settings"]["size"] == [28, 28]
    assert document["contact_sheet"] == "contact-sheet.png"
    assert document["problems"] == []
    assert Survey.from_dict(
        {name: document[name] for name in Survey.__dataclass_fields__}
    ).classes == {"cat": 5, "dog": 7}


def test_augmented_images_are_drawn_instead_of_the_contact_sheet(here, ok):
    result = ok("data", "photos", "--augment", "auto")
    assert result.err == (
        "Each row is one of 8 images: unchanged, then augmented 6 times by color, translation, "
        "cutout (auto: fewer than 1,000 images, 12 to train on).\n"
    )
    assert "augmented images       augmented.png" in result.out
    assert "contact sheet" not in result.out
    assert not Path("contact-sheet.png").exists()
    sheet = picture("augmented.png")
    assert sheet.shape == (8 * 84, 7 * 84, 3)
    stored = np.load(next(cache.folder().glob("*/images.npy")))
    np.testing.assert_array_equal(sheet[:84:3, :84:3], stored[0])
    assert not (sheet[:, :84] == sheet[:, 84:168]).all()
    result = ok("data", "photos", "--augment", "cutout, color", "-o", "a.png", "--json")
    assert result.err == ""
    document = json.loads(result.out)
    assert document["contact_sheet"] is None
    assert document["augmented_sheet"] == {
        "path": "a.png", "augment": "color,cutout", "reason": "set", "num_images": 8,
        "num_draws": 6,
    }  # fmt: skip
    told = ok("data", "photos", "--augment", "none", "-o", "n.png").err
    assert "nothing is augmented. --augment color,translation,cutout shows what" in told
    columns = np.split(picture("n.png"), 7, axis=1)
    assert all((column == columns[0]).all() for column in columns)


@pytest.mark.parametrize("share", ["0.2", "0", "auto"])
def test_as_many_images_are_held_out_as_train_holds_out(here, ok, share):
    np.save("many.npy", np.zeros((1000, 12, 12), np.uint8))
    given = ("--data", "many.npy", "--holdout", share)
    plan = json.loads(ok("train", *given, *QUICK, "--dry-run", "--json").out)["data"]
    shown = json.loads(ok("data", *given[1:], "--json").out)
    assert (shown["num_training"], shown["num_held_out"]) == (
        plan["num_images"], plan["num_held_out"]
    )  # fmt: skip
    told = ok("data", *given[1:]).out
    assert (f"{plan['num_held_out']} held out; --holdout 0 trains on all" in told) == (share != "0")


@pytest.mark.usefixtures("tiny_mnist")
def test_a_built_in_data_set(here, ok):
    result = ok("data", "mnist", "--size", "32")
    assert "32x32 grayscale" in result.out
    assert "enlarged" in result.out


def test_broken_files_are_listed_and_exit_with_1(here, cli):
    for number in range(60):
        Path(f"photos/{number:02}.png").write_bytes(b"words")
    cut(Path("photos/cat/0.png"))
    result = cli("data", "photos")
    assert result.code == 1
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "cannot be used: 61" in lines
    assert "00.png not an image" in lines
    assert "... and 11 more, which --json lists" in lines
    assert "images 11 of 72 files" in lines
    said, hint = result.err.splitlines()
    assert said == f"ganctl: 61 of 72 files in {here / 'photos'} cannot be used"
    assert "--skip-bad" in hint
    assert Path("contact-sheet.png").exists()
    document = cli("data", "photos", "--json")
    assert document.code == 1
    assert len(json.loads(document.out)["problems"]) == 61
    assert cli("data", "photos", "--skip-bad").code == 0


def test_a_source_without_images_is_refused(here, cli):
    Path("empty").mkdir()
    for options in ((), ("--augment", "auto", "--holdout", "0.2")):
        result = cli("data", "empty", *options)
        assert result.code == 1
        assert "no images in" in result.err
        assert not list(here.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "missing argument: a folder"),
        (["photos", "--clear-cache"], "takes no path"),
        (["photos", "-o", "x.jpg"], "cannot write '.jpg' files"),
        (["photos", "-o", "photos/x.png"], "lies in the folder of the images"),
        (["photos", "--size", "7"], "The nearest is --size 8"),
        (["photos", "--background", "reddish"], "is not a color"),
        (["photos", "--augment", "blur"], "unknown augmentation 'blur'"),
        (["photos", "--augment", ""], "unknown augmentation ''"),
        (["photos", "--augment", "auto", "-o", "x.jpg"], "cannot write '.jpg' files"),
        (["photos", "--holdout", "0.6"], "--holdout must be 0 to 0.5, not 0.6"),
        (["photos", "--holdout", "0.5"], "--holdout 0.5 holds out 6 of 12 images"),
        (["mnist", "--holdout", "0.1"], "Leave out --holdout."),
    ],
)
def test_wrong_usage(here, cli, files, arguments, words):
    before = files(here)
    result = cli("data", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.out == ""
    assert files(here) == before


def test_clear_cache(here, ok, cache_folder):
    ok("data", "photos")
    size = sum(path.stat().st_size for path in cache_folder.rglob("*") if path.is_file())
    assert json.loads(ok("data", "--clear-cache", "--json").out) == {
        "removed_bytes": size, "in_use": 0
    }  # fmt: skip
    assert list(cache_folder.iterdir()) == []
    assert "Removed 0 B" in ok("data", "--clear-cache").out


def test_a_terminal_shows_a_progress_bar(here, on_terminal):
    shown = on_terminal("data", "photos").out
    assert "decoding" in shown
    assert "12/12" in shown


def test_torch_is_not_imported(here, python):
    """Neither the command nor the decoding processes wait for torch to load."""
    done = python(
        "import sys, ganctl.cli\n"
        "code = ganctl.cli.main(['data', 'photos'])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr


# Amounts of memory


@pytest.mark.parametrize(
    ("text", "number"),
    [("4GB", 4 * 10**9), ("500 MB", 5 * 10**8), ("1.5GiB", 1.5 * 2**30), ("2g", 2 * 10**9),
     ("100", 100), ("64kb", 64_000), ("0", 0)],
)  # fmt: skip
def test_parse_bytes(text, number):
    assert parse_bytes(text) == number


@given(st.text("0123456789.kKmMgGtTiIbB -", max_size=8))
def test_any_text_is_a_size_or_a_usage_error(text):
    with contextlib.suppress(UsageError):
        assert parse_bytes(text) >= 0


# Training


def test_training_on_a_folder_and_sampling_a_grid(here, ok, monkeypatch):
    result = ok("train", "--data", "photos", *QUICK)
    assert "12 images in" in result.err
    assert "training at 28x28 RGB (size and channels detected)" in result.err
    assert "12 images are few" in result.err
    folder = here / "runs" / "photos"
    ok("sample", folder, "-n", "4", "-o", "grid.png")
    assert picture("grid.png").shape == (168, 168, 3)
    config = json.loads((folder / "config.json").read_text())["config"]
    assert config["data"] == str(here / "photos")
    assert (config["image_size"], config["image_channels"]) == ("28", 3)
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(detection, "decode", None)  # nothing is decoded again
    monkeypatch.setattr(preparing, "examine", None)
    ok("train", "--resume", "--out", folder, "--steps", "4", "--data", "../photos")


def test_size_channels_and_fit_are_kept_by_a_run(here, ok, cli):
    options = ("--size", "32x48", "--channels", "1", "--fit", "stretch", "--mirror")
    ok("train", "--data", "photos", *QUICK, *options, "--out", "run")
    config = json.loads(Path("run/config.json").read_text())["config"]
    assert (config["image_size"], config["image_channels"], config["fit"], config["mirror"]) == (
        "32x48", 1, "stretch", True
    )  # fmt: skip
    ok("train", "--resume", "--out", "run", "--steps", "3")
    refused = cli("train", "--resume", "--out", "run", "--steps", "4", "--size", "32")
    assert refused.code == 2
    assert "--size (32x48 -> 32)" in refused.err


def test_broken_files_stop_training_unless_skipped(here, ok, cli):
    cut(Path("photos/cat/0.png"))
    result = cli("train", "--data", "photos", *QUICK, "--out", "run")
    assert result.code == 1
    lines = result.err.splitlines()
    assert lines[0] == f"ganctl: 1 of 12 files in {here / 'photos'} cannot be used"
    assert lines[1:] == ["  cat/0.png: truncated", "  Add --skip-bad to leave them out."]
    assert not Path("run").exists()
    result = ok("train", "--data", "photos", *QUICK, "--out", "run", "--skip-bad")
    assert "cat/0.png: truncated" in result.err
    assert "(11 images)" in result.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: Path("photos").rename("moved"), "cannot be read: No such file"),
        (lambda: Path("photos/cat/0.png").unlink(), "are not those this run was trained on"),
    ],
)
def test_a_run_is_not_resumed_on_changed_images(here, ok, cli, files, change, words):
    ok("train", "--data", "photos", *QUICK, "--out", "run")
    before = files(here / "run")
    change()
    result = cli("train", "--resume", "--out", "run", "--steps", "4")
    assert result.code == 1
    assert words in result.err
    assert "Traceback" not in result.err
    assert files(here / "run") == before


def test_a_run_among_its_images_is_refused(here, cli, files, monkeypatch):
    monkeypatch.chdir(here / "photos")
    before = files(here)
    result = cli("train", "--data", ".", *QUICK)
    assert result.code == 2
    assert "lies in the folder of the images" in result.err
    assert files(here) == before


def test_a_batch_larger_than_the_data_is_refused(here, cli):
    result = cli("train", "--data", "photos", "--device", "cpu", "--batch-size", "13")
    assert result.code == 2
    assert "a batch of 13 is larger than the data, 12 images" in result.err


def test_few_images_reduce_the_default_batch_size(here, ok):
    quick = [*QUICK[: QUICK.index("--batch-size")], "--steps", "2", "--threads", "1"]
    result = ok("train", "--data", "photos", *quick, "--limit", "3", "--out", "run")
    assert "The batch size is 3, not 64" in result.err
    assert json.loads(Path("run/config.json").read_text())["config"]["batch_size"] == 3


def test_train_json_prints_only_json(here, ok):
    result = ok("train", "--data", "photos", *QUICK, "--out", "run", "--json")
    assert [json.loads(line)["event"] for line in result.out.splitlines()] == ["epoch", "end"]


def test_images_too_large_for_memory_train_alike_from_disk(here, ok, files):
    for out, bound in (("memory", "1GB"), ("disk", "1kB")):
        ok("train", "--data", "photos", *QUICK, "--out", out, "--cache-memory", bound)
    assert (
        Path("memory/samples/epoch-0001.png").read_bytes()
        == Path("disk/samples/epoch-0001.png").read_bytes()
    )


def test_evaluate_refuses_unsuitable_features(here, ok, cli):
    ok("train", "--data", "photos", *QUICK, "--out", "run")
    result = cli("evaluate", "run", "--features", "digits")
    assert result.code == 2
    assert "the classifier of digits does not know" in result.err


def test_mnist_in_another_size_is_not_measured(here, ok):
    """The built-in classifier only knows digits of 28x28."""
    ok("train", "--size", "32", "--limit", "64", *QUICK, "--out", "run")
    row = Path("run/losses.csv").read_text().splitlines()
    assert row[1].split(",")[row[0].split(",").index("frechet_distance")] == ""


# Stopping


@pytest.mark.skipif(sys.platform != "linux", reason="signals, and a cache where XDG says")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_and_leaves_nothing_behind(here, number, cache_folder):
    """The signal reaches all processes while two workers are decoding."""
    buffer = io.BytesIO()
    Image.effect_noise((1500, 1500), 60).save(buffer, "PNG", compress_level=1)
    Path("many").mkdir()
    Path("many/0.png").write_bytes(buffer.getvalue())
    for index in range(1, 600):
        os.link("many/0.png", f"many/{index}.png")
    source = (
        "import sys\nfrom ganctl.datasets.local import preparing\nfrom ganctl.cli import main\n"
        "preparing.machine.num_cores = lambda: 2\n"
        "preparing._WORTH_A_WORKER = 1\nsys.exit(main(['data', 'many']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and not any(cache_folder.glob("*.tmp/images.npy")):
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as Ctrl-C at a terminal does
    said, _ = process.communicate(timeout=60)  # every process has closed its end
    assert said == "ganctl: stopped\n"
    assert process.returncode == 128 + number
    assert [path.suffix for path in cache_folder.iterdir()] == [".lock"]
    assert not Path("contact-sheet.png").exists()


# Labels, splits and shards as people bring them


def tar_of(path, names):
    """Write a tar with an image for each .png and .jpg, and two bytes for other files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            buffer = io.BytesIO(b"\x93N")
            if name.endswith((".png", ".jpg")):
                image = Image.new("L", (12, 12), number % 256)
                image.save(buffer, "PNG" if name.endswith(".png") else "JPEG")
            member = tarfile.TarInfo(name)
            member.size = len(buffer.getvalue())
            tar.addfile(member, io.BytesIO(buffer.getvalue()))


@pytest.fixture
def layouts(here):
    """Make folders and tars as people have them in the current folder."""
    names = [f"{number:02}.png" for number in range(6)]
    chunks = [f"{number // 3:05}/img{number:08}.png" for number in range(6)]
    for folder, files in {
        "list": names, "chunks": chunks, "stray": ["cat/1.png", "dog/1.png", "a.png"],
        "split": [f"{split}/{name}" for split in ("seg_train", "seg_test") for name in names],
        "mixed": ["train/1.png", "test/1.png", "extra/1.png"],
        "nas": ["cat/1.png", "dog/1.png", "@eaDir/1.png", "cat/@eaDir/1.png/THUMB_M.jpg"],
        "broken": names,
    }.items():  # fmt: skip
        for number, name in enumerate(files):
            (here / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (12, 12), number).save(here / folder / name)
    rows = "".join(
        f"{name},{'dog' if number % 2 else 'cat'}\n" for number, name in enumerate(names)
    )
    Path("list/metadata.csv").write_text(f"file_name,label\n{rows}", "utf-8")
    Path("broken/labels.csv").write_text('file,label\n"', "utf-8")
    tar_of(here / "pairs/000.tar", [f"{n}.{kind}" for n in range(4) for kind in ("jpg", "seg.png")])
    tar_of(here / "none/000.tar", [f"{number}.npy" for number in range(4)])
    return here


@pytest.mark.parametrize(
    ("path", "classes", "labels_from", "said"),
    [
        ("list", {"cat": 3, "dog": 3}, "metadata.csv", "2 classes from metadata.csv"),
        ("chunks", {}, None, "No classes: the folders 00000, 00001 only number chunks"),
        ("stray", {}, None, "No classes: a.png lies beside the folders cat, dog."),
        ("split", {}, None, "Held out: 6 images in seg_test/."),
        ("mixed", {"extra": 1, "test": 1, "train": 1}, "folders", "test is a class here"),
        ("nas", {"cat": 1, "dog": 1}, "folders", "2 classes from folders"),
        ("pairs/000.tar", {}, None, "One image per sample is used. Left out: 4 seg.png."),
    ],
)
@pytest.mark.usefixtures("layouts")
def test_the_source_of_labels_is_named_by_data_and_train(ok, path, classes, labels_from, said):
    document = json.loads(ok("data", path, "--json").out)
    assert (document["classes"], document["labels_from"]) == (classes, labels_from)
    told = ok("data", path).out
    assert "classes from" in told if labels_from else said in told
    assert said in ok("train", "--data", path, *QUICK, "--batch-size", "2", "--dry-run").err


@pytest.mark.usefixtures("layouts")
def test_held_out_images_are_counted_separately(ok):
    document = json.loads(ok("data", "split", "--json").out)
    assert (document["num_images"], document["num_held_out"]) == (6, 6)
    assert "only compared with samples, by 'ganctl evaluate'" in ok(
        "train", "--data", "split", *QUICK, "--dry-run"
    ).err  # fmt: skip


@pytest.mark.usefixtures("layouts")
def test_a_broken_list_of_labels_is_an_unusable_file(cli, ok):
    result = cli("train", "--data", "broken", *QUICK)
    assert result.code == 1
    assert "labels.csv: cannot be understood: unexpected end of data" in result.err
    assert json.loads(ok("data", "broken", "--skip-bad", "--json").out)["classes"] == {}


@pytest.mark.usefixtures("layouts")
def test_an_image_key_selects_the_image_of_each_sample(cli, ok, monkeypatch):
    monkeypatch.setattr(stream, "_num_processes", lambda _: 0)
    for index in (None, "pairs/index.json"):
        if index:
            ok("data", "index", "pairs/000.tar", "--image-key", "seg.png")
        told = ok("train", "--data", index or "pairs/000.tar", *QUICK, "--dry-run",
                  *(() if index else ("--image-key", "seg.png"))).err  # fmt: skip
        assert "4 images" in told
        assert "Left out: 4 jpg." in told
    document = json.loads(ok("data", "pairs/000.tar", "--image-key", "seg.png", "--json").out)
    assert (document["formats"], document["settings"]["image_key"]) == ({"PNG": 4}, "seg.png")
    for words in (
        ("train", "--data", "pairs/index.json", "--image-key", "jpg"),
        ("train", "--data", "list", "--image-key", "jpg"),
        ("train", "--image-key", "jpg"),
        ("data", "mnist", "--image-key", "jpg"),
    ):
        result = cli(*words)
        assert result.code == 2
        assert "--image-key" in result.err


@pytest.mark.usefixtures("layouts")
def test_shards_without_images_get_no_index(cli):
    result = cli("data", "index", "none/000.tar")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("ganctl: no images in 000.tar, only other files: 4 npy")
    assert not Path("none/index.json").exists()
