"""Wrong input is explained in at most two plain lines, and nothing half-done is left behind."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ganctl import checkpoint, sampling, store

pytestmark = pytest.mark.usefixtures("_no_plot")


@pytest.fixture
def refused(cli, tmp_path, files, monkeypatch):
    """Call `ganctl` in an empty folder with something wrong; return its stderr.

    Only with `announced` may the line that announces a training run come first.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code, announced=False):
        before = files(tmp_path)
        result = cli(*arguments)
        lines = result.err.splitlines()
        if announced and lines and lines[0].startswith("Training "):
            del lines[0]
        assert result.code == code, result.err
        assert result.out == ""
        assert lines
        assert lines[0].startswith("ganctl: ")
        assert len(lines) <= 2
        assert "Traceback" not in result.err
        assert "defect" not in result.err
        assert files(tmp_path) == before
        return result.err

    return call


# Checkpoints that are none


class _RunsCode:
    """An object that makes a folder when it is unpickled without restrictions."""

    def __reduce__(self):
        return os.mkdir, ("the-code-ran",)


def _make(kind, whole, path):
    """Make a file or folder at `path` that is not a checkpoint of this version of ganctl."""
    content = torch.load(whole, weights_only=True)
    if kind == "missing":
        return
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "half":
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    elif kind == "a byte flipped":
        data = bytearray(whole.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif kind == "picture":
        path.write_bytes((whole.parent / "samples" / "epoch-0001.png").read_bytes())
    elif kind == "text":
        path.write_text("ganctl")
    elif kind == "other archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "nothing")
    elif kind == "bare pickle with code":
        path.write_bytes(pickle.dumps(_RunsCode()))
    elif kind == "pickle with code":
        torch.save({**content, "made_by": _RunsCode()}, path)
    elif kind == "state dict":
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "newer":
        content["version"] = checkpoint.VERSION + 1
        content["digest"] = checkpoint.content_digest(content)
        torch.save(content, path)
    elif kind == "edited":
        content["step"] += 1
        torch.save(content, path)
    else:
        path.mkdir()
        assert kind == "folder"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no checkpoint"),
        ("empty", "is empty"),
        ("half", "cut short"),
        ("a byte flipped", "damaged"),
        ("picture", "PNG"),
        ("text", "not a ganctl checkpoint"),
        ("other archive", "not a ganctl checkpoint"),
        ("bare pickle with code", "run code"),
        ("pickle with code", "run code"),
        ("state dict", "another program"),
        ("list", "another program"),
        ("newer", "newer ganctl"),
        ("edited", "damaged"),
        ("folder", "holds no ckpt.pt"),
    ],
)
@pytest.mark.parametrize("command", ["sample", "interpolate", "inspect", "evaluate", "report"])
def test_what_is_no_checkpoint(refused, run, tmp_path, command, kind, words):
    _make(kind, run / "ckpt.pt", tmp_path / "x.pt")
    is_of_images = command == "evaluate" and kind == "folder"
    said = refused(command, "x.pt", code=2 if is_of_images else 1)
    assert words in said
    assert "x.pt" in said
    assert not Path("the-code-ran").exists()


def test_the_hostile_pickle_is_hostile(tmp_path, monkeypatch):
    """The pickle's code runs without restrictions, so that the test above proves something."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(_RunsCode()))
    assert Path("the-code-ran").is_dir()


# Places that cannot be written to


@pytest.mark.parametrize(
    "out", ["file/x.png", "file/x.npz", "file/x/", "missing/x.png", "/proc/x.png", "/proc/x/"]
)
def test_a_place_for_samples_that_cannot_be_written(refused, run, tmp_path, out):
    if out.startswith("/proc") and sys.platform != "linux":
        pytest.skip("no /proc here")
    (tmp_path / "file").write_text("not a folder")
    assert out.rstrip("/") in refused("sample", run, "-o", out, code=1)


@pytest.mark.parametrize("out", ["file/x.gif", "missing/x.webp"])
def test_a_place_for_a_walk_that_cannot_be_written(refused, run, tmp_path, out):
    (tmp_path / "file").write_text("not a folder")
    assert out in refused("interpolate", run, "-o", out, code=1)


@pytest.mark.parametrize("out", ["file/x.html", "missing/x.html"])
def test_a_place_for_a_report_that_cannot_be_written(refused, run, tmp_path, out):
    (tmp_path / "file").write_text("not a folder")
    assert out in refused("report", run, "-o", out, code=1)


@pytest.mark.parametrize("out", ["file", "file/run"])
def test_a_place_for_a_run_that_cannot_be_written(refused, fast_options, tmp_path, out):
    """A run is refused before anything is announced or computed."""
    (tmp_path / "file").write_text("not a folder")
    assert out in refused("train", *fast_options, "--steps", "1", "--out", out, code=1)


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_a_place_for_a_run_that_root_seems_to_be_able_to_write_to(refused, fast_options):
    """The permissions allow root to write there, but nobody can: only the attempt shows it."""
    arguments = (*fast_options, "--steps", "1", "--out", "/proc/run")
    assert "\nganctl: /proc/run" in "\n" + refused("train", *arguments, code=1, announced=True)


def test_a_disk_that_is_full_leaves_the_earlier_file(refused, run, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    (tmp_path / "x.png").write_text("earlier")
    monkeypatch.setattr(store.os, "fsync", full)
    assert "no space left" in refused("sample", run, "-o", "x.png", code=1)


# Options that are wrong


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "fsat"], "Did you mean 'fast'?"),
        (["--preset", "x"], "fast, guided, dcgan"),
        (["--device", "cudaa"], "Did you mean 'cuda'?"),
        (["--device", "cpu:1"], "unknown device"),
        (["--device", "cuda:x"], "unknown device"),
        (["--precision", "bf61"], "Did you mean 'bf16'?"),
        (["--epochs", "0"], "ganctl: --epochs must be 1"),
        (["--epochs", "-1"], "ganctl: --epochs must be 1"),
        (["--steps", "0"], "ganctl: --steps must be 1"),
        (["--epochs", "1", "--steps", "1"], "not both"),
        (["--epochs", "x"], "--epochs must be a whole number, not 'x'"),
        (["--epochs", "1.5"], "--epochs must be a whole number, not '1.5'"),
        (["--batch-size", "0"], "--batch-size must be 1"),
        (["--batch-size=-4"], "--batch-size must be 1"),
        (["--preset", "dcgan", "--batch-size", "1"], "at least 2 for dcgan"),
        (["--batch-size", "33", "--limit", "32"], "33 is larger than the data, 32 images"),
        (["--limit", "0"], "--limit must be"),
        (["--limit", "1"], "--limit must be 2"),
        (["--latent-dim", "0"], "--latent-dim must be"),
        (["--num-samples", "0"], "--num-samples must be"),
        (["--snapshot-every", "-1"], "--snapshot-every must be"),
        (["--keep", "-1"], "--keep must be"),
        (["--lr-g", "-0.1"], "--lr-g must be"),
        (["--lr-d", "0"], "--lr-d must be"),
        (["--lr-d", "2"], "--lr-d must be"),
        (["--lr-g", "nan"], "--lr-g must be"),
        (["--lr-d", "inf"], "--lr-d must be"),
        (["--seed", "-1"], "ganctl: --seed must be 0"),
        (["--seed", str(2**32)], "ganctl: --seed must be 0"),
        (["--set", "lr-g=-1"], "ganctl: lr_g must be"),
        (["--lr-d", "1", "--set", "lr_g=-1"], "ganctl: lr_g must be"),
        (["--size", "30"], "The nearest is --size 32"),
        (["--size", "64x"], "is not a size"),
        (["--channels", "2"], "--channels must be 1, 3, 4 or auto, not 2"),
        (["--fit", "squeeze"], "unknown fit"),
        (["--background", "reddish", "--size", "32"], "'reddish' is not a color"),
        (["--augment", "blur"], "unknown augmentation 'blur'"),
        (["--accumulate", "0"], "--accumulate must be"),
        (["--cache-memory", "much"], "'much' is not a size"),
        (["--cache-memory", "-1"], "'-1' is not a size"),
        (["--save-every", "0"], "ganctl: --save-every must be"),
        (["--save-every", "nan"], "--save-every"),
        (["--set", "nonsense"], "name=value"),
        (["--set", "lr_h=1"], "Did you mean 'lr_"),
        (["--set", "preset=dcgan"], "Choose it with --preset."),
        (["--set", "beta1=x"], "beta1 must be a number"),
        (["--set", "beta1=1"], "beta1"),
        (["--set", "epochs=none"], "epochs"),
        (["--set", "batch_size="], "batch_size must be a whole number"),
        (["--set", "batch_size=2.5"], "batch_size must be a whole number, not '2.5'"),
        (["--set", "loss=mse"], "unknown loss"),
        (["--set", "architecture=resnet"], "unknown architecture"),
        (["--seed", "1", "--set", "seed=2"], "seed is set both by --set and by --seed"),
        (["--set", "beta1=0", "--set", "beta1=0.5"], "beta1 is set twice by --set"),
        (["--resume", "--preset", "nope"], "unknown preset"),
        (["extra"], "extra"),
    ],
)
def test_wrong_options_of_train(refused, options, words):
    limit = [] if "--limit" in options else ["--limit", "64"]
    assert words in refused("train", *limit, *options, code=2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnits", "Did you mean 'mnist'?"),
        ("fashion", "Did you mean 'fashion-mnist'?"),
        ("./mydata", "there is nothing at './mydata'"),
        ("photos.zip", "there is nothing at 'photos.zip'"),
        ("C:\\mydata", "Known: mnist, stacked-mnist, fashion-mnist"),
        ("x" * 300, "unknown data"),
    ],
)
def test_data_that_are_not_there(refused, name, words):
    assert words in refused("train", "--data", name, code=1)


@pytest.mark.parametrize("name", ["mine", "mnist.npz"])
def test_images_of_ones_own_are_not_a_misspelt_name(refused, tmp_path, name):
    (tmp_path / name).mkdir()
    assert f"no images in {tmp_path / name}" in refused("train", "--data", name, code=1)


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps"])
def test_a_device_that_is_not_there(refused, fast_options, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    said = refused("train", *fast_options, "--device", device, code=1)
    assert "--device cpu" in said


@pytest.mark.parametrize(
    "folder", [pytest.param("nowhere", id="missing"), pytest.param(".", id="empty")]
)
def test_nothing_to_resume(refused, folder):
    assert "--resume" in refused("train", "--resume", "--out", folder, code=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", "0"], "-n must be at least 1"),
        (["-n", "-3"], "-n must be at least 1"),
        (["-n", "x"], "-n"),
        (["-n", "10001"], ".npz"),
        (["--seed", "-1"], "seeds must be from 0"),
        (["--seed", str(2**32)], "seeds must be from 0"),
        (["--seed", str(2**32 - 1), "-n", "2"], "seeds must be from 0"),
        (["--seeds", "1,x"], "'x' is not a seed"),
        (["--seeds", ""], "is not a seed"),
        (["--seeds", "5-3"], "'5-3'"),
        (["--seeds", str(2**32)], str(2**32)),
        (["--seeds", "9" * 5000], "seed"),
        (["--seeds", "3", "-n", "2"], "either"),
        (["--seeds", "3", "--seed", "2"], "either"),
        (["--upscale", "0"], "--upscale"),
        (["--upscale", "-1"], "--upscale must be at least 1, not -1"),
        (["--upscale", "65"], "--upscale must be at most 64, not 65"),
        (["--seeds", "3,3,3", "-o", "x/"], "a seed twice"),
        (["--seeds", "0-5,4", "-o", "x/"], "a seed twice"),
        (["-o", "x.pgn"], "Did you mean '.png'?"),
        (["-o", "x.gif"], ".png"),
        (["-o", "x"], "ending in /"),
        (["-o", ""], "-o needs a file or a folder"),
    ],
)
def test_wrong_options_of_sample(refused, run, options, words):
    assert words in refused("sample", run, *options, code=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "7"], "at least two seeds"),
        (["--seeds", "a,b"], "'a' is not a seed"),
        (["--mode", "slurp"], "Did you mean 'slerp'?"),
        (["--frames", "0"], "--frames"),
        (["--frames", "-1"], "--frames"),
        (["--frames", "100000"], "too large"),
        (["--fps", "0"], "ganctl: --fps must be"),
        (["--fps", "51"], "--fps"),
        (["--upscale", "0"], "--upscale"),
        (["-o", "w.mov"], "cannot write '.mov' files"),
        (["-o", "w.MOV"], "Did you mean '.mp4'?"),
        (["-o", "x.gfi"], "Did you mean '.gif'?"),
        (["-o", "x"], ".webp"),
        (["-o", ""], "kind of file"),
    ],
)
def test_wrong_options_of_interpolate(refused, run, options, words):
    assert words in refused("interpolate", run, *options, code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("interpolate", "--upscale", "64", "--frames", "5000", "--seeds", "3,7"),
        ("interpolate", "--upscale", "64", "--frames", "5000", "--seeds", "3,7", "-o", "x.png"),
        ("sample", "--upscale", "64", "-n", "10000"),
    ],
)
def test_more_pixels_than_one_file_should_hold(refused, run, monkeypatch, arguments):
    """Too many pixels are refused before the first image is drawn."""

    def draws(*_):
        raise AssertionError

    monkeypatch.setattr(sampling, "sample_latents", draws)
    monkeypatch.setattr(sampling, "sample_seeds", draws)
    command, *options = arguments
    said = refused(command, run, *options, code=2)
    assert "GiB" in said
    assert "--upscale" in said


# Anything at all

words = st.one_of(
    st.sampled_from(
        ["0", "-1", "1", "3,7", "0-4", "nan", "1e9", "x.png", "x/", "", "slerp", "[b]"]
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)


def options(*names):
    """Return a strategy for some of these options, each with any value."""
    pairs = st.lists(st.tuples(st.sampled_from(names), words), max_size=4)
    return pairs.map(lambda given: [part for pair in given for part in pair])


def assert_plain(result):
    assert result.code in (0, 1, 2)
    assert "Traceback" not in result.err
    assert "defect" not in result.err
    assert result.code == 0 or result.err.startswith("ganctl: ")


few = hypothesis_settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(options("-n", "--num", "--seed", "--seeds", "--upscale", "-o"), st.booleans())
def test_any_options_of_sample(cli, tmp_path, arguments, json):
    result = cli("sample", tmp_path / "missing.pt", *arguments, *["--json"] * json)
    assert_plain(result)
    assert result.code != 0


@few
@given(options("--seeds", "--frames", "--mode", "--fps", "--upscale", "-o"), st.booleans())
def test_any_options_of_interpolate(cli, tmp_path, arguments, loop):
    result = cli("interpolate", tmp_path / "missing.pt", *arguments, *["--loop"] * loop)
    assert_plain(result)
    assert result.code != 0


@few
@given(
    options("--epochs", "--steps", "--batch-size", "--latent-dim", "--lr-g", "--seed", "--data",
            "--limit", "--num-samples", "--keep", "--save-every", "--preset", "--device", "--set")
)  # fmt: skip
def test_any_options_of_train(cli, tmp_path, arguments):
    """The folder is not empty, so that even a correct command does not start training."""
    (tmp_path / "something").touch()
    result = cli("train", *arguments, "--out", tmp_path)
    assert_plain(result)
    assert result.code != 0


@hypothesis_settings(parent=few, max_examples=5)
@given(
    st.floats(1e-12, 1.0), st.integers(1, 16), st.integers(1, 300), st.integers(0, 2**32 - 1),
    st.sampled_from(["bce", "relativistic"]),
)  # fmt: skip
def test_any_right_options_of_train_can_be_tried(
    cli, tmp_path, rate, batch, latent_dim, seed, loss
):
    result = cli(
        "train", "--limit", "16", "--lr-g", rate, "--batch-size", batch, "--latent-dim", latent_dim,
        "--seed", seed, "--set", f"loss={loss}", "--set", "base_channels=2", "--dry-run",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert_plain(result)
    assert result.code == 0
    assert not (tmp_path / "run").exists()


def test_a_name_too_long_and_a_thing_that_is_no_file(refused):
    assert "too long" in refused("inspect", "a" * 300, code=1)
    assert "too long" in refused("train", "--out", "a" * 300, code=1)
    assert "is not a file" in refused("sample", "/dev/zero", code=1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="known under Linux alone")
def test_a_batch_that_does_not_fit_into_memory(python, tmp_path):
    """The process may allocate only one more gigabyte."""
    done = python(
        "import resource, sys, pathlib, torch, ganctl.cli\n"
        "pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + 10**9\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.exit(ganctl.cli.main(['train', '--preset', 'dcgan', '--device', 'cpu', '--precision',"
        " 'fp32', '--batch-size', '4096', '--out', sys.argv[1]]))",
        tmp_path / "run",
    )
    assert (done.returncode, done.stdout) == (1, "")
    said, hint = done.stderr.splitlines()
    assert said.startswith("ganctl: a batch of 4096 takes at least 5.4 GB of memory, and ")
    assert re.fullmatch(r"  --batch-size (256|512) should fit, or --accumulate (16|8)\.", hint)
    assert not (tmp_path / "run").exists()


def test_the_root_is_no_run_directory(refused):
    assert "is not empty and not a run" in refused("train", "--out", "/", code=1)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_name_that_is_not_utf_8_is_a_name(ok, fast_options, tmp_path):
    out = tmp_path / "l\udcffuf\x1b"
    ok("train", *fast_options, "--steps", "2", "--out", out)
    ok("train", "--resume", "--steps", "3", "--out", out)
    starts = store.RunDirectory(out).read_config()["starts"]
    assert [str(out) in start["command"] for start in starts] == [True, True]
    assert str(out) in store.read_checkpoint(out).made_by["last_command"]
    for kind in ("png", "npz"):
        ok("sample", out, "-n", "2", "-o", f"{out}.{kind}")
    ok("interpolate", out, "--frames", "3", "-o", f"{out}.gif")
    assert json.loads(ok("inspect", out, "--json").out)["path"] == str(out / "ckpt.pt")
