"""ganctl train: the run directory, what is shown, and resuming."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganctl
from ganctl import history, images, store
from ganctl.config.presets import DEFAULT_PRESET
from ganctl.config.schema import to_dict
from ganctl.datasets import mnist
from ganctl.training import loop

pytestmark = pytest.mark.usefixtures("_no_plot")


def weights(path):
    """Return every tensor of a checkpoint by name, and its step."""
    checkpoint = store.read_checkpoint(path)
    tables = {
        "generator": checkpoint.generator,
        "ema": checkpoint.generator_ema or {},
        "discriminator": checkpoint.discriminator,
        **{f"g {name}": table for name, table in checkpoint.optimizer_g.items()},
        **{f"d {name}": table for name, table in checkpoint.optimizer_d.items()},
    }
    named = {f"{part} {k}": v for part, table in tables.items() for k, v in table.items()}
    return checkpoint.step, named


def assert_same_weights(first, second):
    (step, tensors), (other_step, others) = weights(first), weights(second)
    assert step == other_step
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the finished run that a test may change."""
    return shutil.copytree(run, tmp_path / "copy")


# The run directory


def test_the_run_directory(run):
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.name != ".lock"}
    assert found == {
        "config.json", "losses.csv", "losses.png", "training.gif", "ckpt.pt", "samples",
        "samples/epoch-0001.png", "samples/epoch-0002.png",
    }  # fmt: skip


def test_config_json_describes_the_run(run, fast_options):
    content = json.loads((run / "config.json").read_text("utf-8"))
    checkpoint = store.read_checkpoint(run)
    assert content["config"] == to_dict(checkpoint.config)
    assert content["data"] == checkpoint.data
    assert content["data"]["num_images"] == 64
    (start,) = content["starts"]
    typed = ["train", *fast_options, "--epochs", "2", "--out", str(run)]
    assert shlex.split(start["command"]) == ["ganctl", *typed]
    assert start["ganctl"] == ganctl.__version__
    assert start["torch"] == torch.__version__


def test_losses_csv_has_a_row_per_epoch(run):
    with (run / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    named = {"epoch", "step", "images", "seconds", "g_loss", "d_loss", "d_real", "d_fake",
             "images_per_sec"}  # fmt: skip
    assert named <= rows[0].keys()
    counts = [[int(row[name]) for name in ("epoch", "step", "images")] for row in rows]
    assert counts == [[1, 4, 64], [2, 8, 128]]
    assert all(0 < float(row[name]) < 1 for row in rows for name in ("d_real", "d_fake"))
    history = store.read_checkpoint(run).history
    assert [float(row["g_loss"]) for row in rows] == [row["g_loss"] for row in history]


def test_the_pictures_open(run):
    pictures = [Image.open(run / "samples" / f"epoch-000{epoch}.png") for epoch in (1, 2)]
    first, second = (np.asarray(picture) for picture in pictures)
    assert first.shape == second.shape
    assert first.shape[0] == first.shape[1]
    assert first.shape[0] % (10 * 28) == 0
    assert (first != second).any()
    with Image.open(run / "losses.png") as plot:
        assert plot.format == "PNG"
        assert min(plot.size) >= 300
        assert len(np.unique(np.asarray(plot))) > 10
    with Image.open(run / "training.gif") as animation:
        assert (animation.format, animation.n_frames) == ("GIF", 2)
        assert animation.size == pictures[0].size
        for frame, picture in enumerate((first, second)):
            animation.seek(frame)
            assert np.array_equal(np.asarray(animation.convert("L")), picture)


def test_snapshots_are_kept_as_asked(ok, fast_options, tmp_path):
    out = tmp_path / "run"
    ok("train", *fast_options, "--epochs", 3, "--snapshot-every", 1, "--keep", 2, "--out", out)
    assert sorted(path.name for path in out.glob("epoch-*.pt")) == [
        "epoch-0002.pt",
        "epoch-0003.pt",
    ]
    assert weights(out / "epoch-0002.pt")[0] == 8
    assert_same_weights(out / "epoch-0003.pt", out)


def test_the_number_of_samples(ok, fast_options, tmp_path):
    ok("train", *fast_options, "--steps", "4", "--num-samples", "5", "--out", tmp_path / "run")
    with Image.open(tmp_path / "run" / "samples" / "epoch-0001.png") as picture:
        assert picture.width * 2 == picture.height * 3
        assert picture.width % (3 * 28) == 0


def test_the_default_folder_is_named_for_data_and_preset(ok, fast_options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok("train", "--limit", "16", "--batch-size", "16", "--steps", "1", "--set", "base_channels=4")
    ok("train", "--limit", "16", "--batch-size", "16", "--steps", "1", "--preset", "dcgan",
       "--set", "base_channels=1")  # fmt: skip
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {f"mnist-{DEFAULT_PRESET}", "mnist-dcgan"}
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]


def test_any_setting_can_be_set(ok, tmp_path, fast_options):
    out = tmp_path / "run"
    ok("train", *fast_options, "--steps", "1", "--set", "beta1=0.5", "--set", "lr-decay-steps=7",
       "--lr-g", "0.002", "--latent-dim", "9", "--seed", "3", "--out", out)  # fmt: skip
    config = store.read_checkpoint(out).config
    assert (config.beta1, config.lr_decay_steps, config.lr_g) == (0.5, 7, 0.002)
    assert (config.network.base_channels, config.network.latent_dim, config.seed) == (4, 9, 3)


@pytest.mark.parametrize(("seconds", "saves"), [("1e-9", (9, 11)), ("120", (3,))])
def test_save_every(ok, fast_options, tmp_path, monkeypatch, seconds, saves):
    """A run of 8 steps saves at the start, at the end of both epochs, and every `seconds`.

    If two of these fall on one step, it is saved twice, which does no harm.
    """
    written = []
    write = store.write_atomic

    def counted(path, content, *more):
        written.append(path.name)
        write(path, content, *more)

    monkeypatch.setattr(store, "write_atomic", counted)
    ok("train", *fast_options, "--epochs", "2", "--save-every", seconds, "--out", tmp_path / "run")
    assert written.count("ckpt.pt") in saves
    assert store.read_checkpoint(tmp_path / "run").step == 8


# What is shown


def test_the_summary_shows_losses_files_and_next_commands(training):
    folder, result = training
    rows = re.findall(
        r"^ *(\d+) +\d+\.\d{3} +\d+\.\d{3} +\d\.\d{3} +\d\.\d{3} *$", result.out, re.M
    )
    assert rows == ["1", "2"]
    assert "0.50" in result.out
    for path in ("samples", "training.gif", "losses.png", "ckpt.pt"):
        assert str(folder / path) in result.out
    for command in ("sample", "interpolate", "inspect"):
        assert f"\n  ganctl {command} {folder}" in result.out


def test_the_next_commands_quote_the_folder(ok, fast_options, tmp_path):
    result = ok("train", *fast_options, "--steps", "1", "--out", tmp_path / "a b")
    assert f"ganctl inspect '{tmp_path}/a b'\n" in result.out


def test_as_json(ok, fast_options, tmp_path):
    out = tmp_path / "run"
    result = ok("train", *fast_options, "--epochs", "2", "--out", out, "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["event"] for line in lines] == ["epoch", "epoch", "end"]
    assert [line["epoch"] for line in lines[:2]] == [1, 2]
    for name in ("step", "g_loss", "d_loss", "d_real", "d_fake", "images_per_sec"):
        assert isinstance(lines[0][name], int | float)
    end = lines[2]
    assert (end["finished"], end["step"], end["total_steps"], end["out"]) == (True, 8, 8, str(out))
    assert end["last"] == {key: value for key, value in lines[1].items() if key != "event"}


# Resuming


def test_a_run_is_a_function_of_its_settings(ok, run, fast_options, tmp_path):
    out = tmp_path / "run"
    ok("train", *fast_options, "--steps", "8", "--out", out)
    assert_same_weights(out, run)
    assert (out / "samples/epoch-0002.png").read_bytes() == (
        run / "samples/epoch-0002.png"
    ).read_bytes()


@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_resumed_run_ends_with_the_same_bits(ok, fast_options, dcgan_options, tmp_path, preset):
    """The run is stopped inside an epoch, and then after one."""
    options = fast_options if preset == "fast" else dcgan_options
    ok("train", *options, "--epochs", "3", "--out", tmp_path / "whole")
    parts = tmp_path / "parts"
    ok("train", *options, "--steps", "6", "--out", parts)
    ok("train", "--out", parts, "--resume", "--epochs", "2")
    ok("train", "--out", parts, "--resume", "--epochs", "3")
    assert_same_weights(parts, tmp_path / "whole")
    rows = [store.read_checkpoint(path).history for path in (parts, tmp_path / "whole")]
    timed = ("seconds", "elapsed_seconds", "images_per_sec")
    first, second = (
        [{k: v for k, v in r.items() if k not in timed} for r in part] for part in rows
    )
    assert first == second
    for name in ("samples/epoch-0002.png", "samples/epoch-0003.png", "training.gif"):
        assert (parts / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(json.loads((parts / "config.json").read_text("utf-8"))["starts"]) == 3


def test_a_complete_run_says_so_and_how_to_train_further(ok, copy, files):
    before = files(copy)
    result = ok("train", "--resume", "--out", copy)
    assert "complete" in result.err
    assert "--epochs" in result.err
    after = files(copy)
    assert after.pop("losses.png") == b"a plot"  # drawn again, here by a stand-in
    assert after == {name: content for name, content in before.items() if name != "losses.png"}


def test_a_run_killed_after_its_last_step_gets_its_pictures(ok, copy, files):
    before = files(copy)
    for name in ("losses.csv", "training.gif"):
        (copy / name).unlink()
    ok("train", "--resume", "--out", copy)
    after = files(copy)
    assert [after[name] == before[name] for name in ("losses.csv", "training.gif")] == [True] * 2


@pytest.mark.parametrize("damaged", [False, True], ids=["lost", "damaged"])
def test_a_complete_run_gets_its_latest_checkpoint_back(ok, fast_options, tmp_path, damaged):
    out = tmp_path / "run"
    ok("train", *fast_options, "--epochs", "2", "--snapshot-every", "1", "--out", out)
    latest = out / "ckpt.pt"
    digest = store.read_checkpoint(latest).digest
    latest.write_bytes(b"damaged") if damaged else latest.unlink()
    result = ok("train", "--resume", "--out", out)
    assert f"step 8: {out / 'epoch-0002.pt'}\n" in result.err
    assert store.read_checkpoint(latest).digest == digest
    ok("sample", out, "-o", tmp_path / "grid.png")


def test_a_complete_run_says_so_in_json(ok, copy):
    """The command prints one line, so that a script that reads the last line finds it."""
    result = ok("train", "--resume", "--out", copy, "--json")
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {
            "event": "end", "finished": True, "out": str(copy), "step": 8, "total_steps": 8,
            "last": {**store.read_checkpoint(copy).history[-1], "complete": True, "signs": []},
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch-size", "8"], "--batch-size (16 -> 8)"),
        (["--seed", "5"], "seed (0 -> 5)"),
        (["--preset", "dcgan"], "--preset (fast -> dcgan)"),
        (["--limit", "32"], "limit (64 -> 32)"),
        (["--set", "base_channels=8"], ": base_channels (4 -> 8)"),
        (["--lr-g", "0.5", "--latent-dim", "7"], "--latent-dim (100 -> 7)"),
    ],
)
def test_changed_settings_are_refused_by_name(cli, copy, files, options, words):
    before = files(copy)
    result = cli("train", "--resume", "--out", copy, "--epochs", "3", *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert files(copy) == before


def test_settings_given_again_unchanged_are_fine(ok, copy, fast_options):
    ok("train", "--resume", "--out", copy, "--epochs", "3", *fast_options)
    assert weights(copy)[0] == 12


def test_a_run_does_not_become_shorter(cli, copy, files):
    before = files(copy)
    result = cli("train", "--resume", "--out", copy, "--epochs", "1")
    assert (result.code, result.out) == (2, "")
    assert "already has 2 epochs; --epochs must be more than 2" in result.err
    assert files(copy) == before


def test_an_existing_run_is_never_overwritten(cli, copy, files, fast_options):
    before = files(copy)
    copy.with_name("copy-2").mkdir()
    result = cli("train", *fast_options, "--out", copy)
    assert (result.code, result.out) == (1, "")
    assert "--resume" in result.err
    assert f"--out {copy}-3" in result.err  # -2 is taken
    assert files(copy) == before


def test_a_folder_with_something_else_in_it_is_not_used(cli, fast_options, tmp_path, files):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("words")
    before = files(tmp_path)
    result = cli("train", *fast_options, "--out", tmp_path / "thesis")
    assert (result.code, result.out) == (1, "")
    assert "--out" in result.err
    assert files(tmp_path) == before


def test_a_damaged_latest_falls_back_to_the_newest_snapshot(ok, fast_options, tmp_path):
    out = tmp_path / "run"
    ok("train", *fast_options, "--epochs", "2", "--snapshot-every", "1", "--out", out)
    content = (out / "ckpt.pt").read_bytes()
    (out / "ckpt.pt").write_bytes(content[: len(content) // 2])
    (out / "epoch-0002.pt").unlink()
    result = ok("train", "--resume", "--out", out, "--quiet")  # which does not hide warnings
    assert f"{out / 'ckpt.pt'} is" in result.err
    assert "step 4" in result.err
    assert weights(out)[0] == 8


def test_other_images_under_the_same_name_are_refused(cli, copy, files, monkeypatch):
    before = files(copy)
    images, labels = mnist.load_train()
    monkeypatch.setattr(mnist, "load_train", lambda: (images[::-1], labels[::-1]))
    result = cli("train", "--resume", "--out", copy, "--epochs", "3")
    assert (result.code, result.out) == (1, "")
    assert "mnist" in result.err
    assert files(copy) == before


# What goes wrong on the way


def _nan_at(step):
    """Return a train_step whose loss is NaN from `step` on."""

    def broken(state, *arguments, **options):
        measured = step_of_old(state, *arguments, **options)
        bad = measured._replace(metrics=measured.metrics * float("nan"))
        return bad if state.step >= step else measured

    step_of_old = loop.train_step
    return broken


def test_a_loss_that_is_not_finite_ends_the_run(cli, fast_options, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "train_step", _nan_at(6))
    out = tmp_path / "run"
    result = cli("train", *fast_options, "--epochs", "2", "--out", out)
    assert (result.code, result.out) == (1, "")
    said = result.err[result.err.index("ganctl: ") :]
    assert len(said.splitlines()) == 2
    assert "at step 6" in said
    assert str(out / "ckpt.pt") in said
    assert weights(out)[0] == 4  # the first epoch's end
    assert not list(out.rglob("*.tmp"))


def test_exploding_weights_end_the_run(cli, fast_options, tmp_path):
    """The weights really explode: without its second average Adam takes steps of any size."""
    out = tmp_path / "run"
    result = cli("train", *fast_options, "--steps", "2000", "--lr-g", "1", "--lr-d", "1",
                 "--set", "beta1=0.99", "--set", "beta2=0", "--set", "r1_weight=1e6",
                 "--out", out)  # fmt: skip
    assert result.code == 1
    assert re.search(r"ganctl: .* at step \d+;", result.err)
    for tensor in weights(out)[1].values():
        assert bool(tensor.isfinite().all())


def test_two_runs_never_share_a_folder(cli, copy):
    with store.RunDirectory(copy).lock():
        result = cli("train", "--resume", "--out", copy, "--epochs", "3")
    assert result.code == 1
    assert "another training" in result.err
    assert weights(copy)[0] == 8


@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_collapse_is_warned_of_once(cli, fast_options, tmp_path, monkeypatch, json_wanted):
    monkeypatch.setattr(history, "_SETTLED", 8)
    monkeypatch.setattr(history, "_ALIKE", 1e9)
    out = tmp_path / "run"
    arguments = ["train", *fast_options, "--out", out, *(["--json"] if json_wanted else [])]
    result = cli(*arguments, "--epochs", "3")
    again = cli("train", "--resume", "--epochs", "4", "--out", out)
    assert (result.code, again.code) == (0, 0)
    (warning,) = [line for line in result.err.splitlines() if "warning" in line]
    assert warning.startswith("ganctl: warning: in epoch 2 the samples are almost identical")
    assert "--lr-g" in result.err
    assert "warning" not in again.err
    with (out / "losses.csv").open(newline="") as file:
        assert [row["signs"] for row in csv.DictReader(file)] == ["", *["samples alike"] * 3]
    if json_wanted:
        lines = [json.loads(line) for line in result.out.splitlines()]
        assert [line["signs"] for line in lines[:3]] == [[], ["samples alike"], ["samples alike"]]
    (problem,) = json.loads(cli("inspect", out, "--json").out)["problems"]
    assert problem.startswith("epochs 2 to 4 (3 of 4): the samples are almost identical")


# Checkpoints of earlier versions


@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_run_of_the_first_schema_can_be_resumed(ok, tmp_path, preset):
    """Every command reads the checkpoint; its samples are those of that version, up to rounding."""
    fixture = Path(__file__).parents[1] / "fixtures" / f"schema-1-{preset}"
    (tmp_path / "run").mkdir()
    shutil.copy(fixture.with_suffix(".pt"), tmp_path / "run" / "ckpt.pt")
    ok("sample", tmp_path / "run", "-n", "4", "--upscale", "3", "-o", tmp_path / "grid.png")
    then, now = (
        images.read_png(io.BytesIO(path.read_bytes()), (168, 168, 1)).astype(int)
        for path in (fixture.with_suffix(".png"), tmp_path / "grid.png")
    )
    assert abs(then - now).max() <= 2
    before = store.read_checkpoint(tmp_path / "run")
    assert json.loads(ok("inspect", tmp_path / "run", "--json").out)["problems"] == []
    ok("train", "--resume", "--epochs", "2", "--out", tmp_path / "run")
    found = store.read_checkpoint(tmp_path / "run")
    assert found.step == 8
    assert found.history[0] == before.history[0]
    assert found.history[1]["diversity"] > 0


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_notice_suggests_conditional(ok, fast_options, tmp_path, more):
    options = (*fast_options, "--steps", "1", "--out", tmp_path / "run", *more)
    told = "The images have 10 classes, which are not used; --conditional trains with them.\n"
    assert told in ok("train", *options, "--unconditional").err
    assert "not used" not in ok("train", *options, "--out", tmp_path / "other").err


@pytest.mark.parametrize("option", [["--conditional"], ["--set", "conditional=true"]])
def test_conditional_requires_classes(cli, fast_options, tmp_path, monkeypatch, option):
    monkeypatch.setattr(mnist, "CLASSES", ())
    out = tmp_path / "run"
    result = cli("train", *fast_options, *option, "--steps", "1", "--out", out)
    assert (result.code, result.out) == (2, "")
    assert "the images of 'mnist' have no classes" in result.err
    assert not out.exists()
    assert (
        cli("train", *fast_options, "--steps", "1", "--out", out).code == 0
    )  # the default is named


def test_large_images(ok, photos, tmp_path):
    run = tmp_path / "run"
    ok("train", "--data", photos, "--size", "256", "--steps", "1", "--batch-size", "2", "--device",
       "cpu", "--precision", "fp32", "--threads", "1", "--set", "base_channels=1",
       "--set", "num_samples=2", "--set", "eval_samples=0", "--out", run)  # fmt: skip
    network = store.read_checkpoint(run).config.network
    assert (network.image_shape, network.stages) == ((3, 256, 256), 6)
    with Image.open(run / "samples" / "epoch-0001.png") as picture:
        assert picture.size == (512, 256)


def test_transparent_images(ok, tmp_path):
    folder, run = tmp_path / "symbols", tmp_path / "run"
    folder.mkdir()
    for number in range(4):
        symbol = Image.new("RGBA", (32, 32))
        symbol.paste((10, 90 * number % 256, 0, 255), (8, 8, 20 + number, 24))
        symbol.save(folder / f"{number}.png")
    ok("train", "--data", folder, "--channels", "4", "--steps", "2", "--batch-size", "2",
       "--device", "cpu", "--precision", "fp32", "--threads", "1", "--set", "base_channels=2",
       "--set", "num_samples=4", "--out", run)  # fmt: skip
    config = store.read_checkpoint(run).config
    assert config.network.image_shape == (4, 32, 32)
    assert config.augment == "color,translation,cutout"
    with Image.open(run / "samples" / "epoch-0001.png") as picture:
        assert picture.mode == "RGBA"
    with Image.open(run / "training.gif") as animation:
        assert "transparency" not in animation.info
    ok("sample", run, "-n", "3", "-o", tmp_path / "samples.npz")
    assert np.load(tmp_path / "samples.npz")["arr_0"].shape == (3, 32, 32, 4)
    ok("sample", run, "-n", "2", "--label-seeds", "-o", tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.mode == "RGBA"
    ok("report", run, "-o", tmp_path / "report.html")


@pytest.mark.usefixtures("_no_plot")
def test_a_run_is_tracked_until_the_command_says_otherwise(cli, ok, fast_options, tmp_path):
    pytest.importorskip("tensorboard")
    out, resume = tmp_path / "run", ["train", "--resume", "--out", tmp_path / "run", "--steps"]

    def logs():
        return len(list(out.glob("tensorboard/events.*")))

    first = ok("train", *fast_options, "--steps", "1", "--out", out, "--track", "tensorboard")
    assert f"Tracked by tensorboard: tensorboard --logdir {out}\n" in first.err
    assert (ok(*resume, "2").err.count("Tracked"), logs()) == (1, 2)
    assert (ok(*resume, "3", "--track", "none").err.count("Tracked"), logs()) == (0, 2)
    wrong = cli(*resume, "4", "--track", "tensorbord")
    assert wrong.code == 2
    assert wrong.err == (
        "ganctl: there is no tracker 'tensorbord'\n"
        "  --track takes tensorboard, wandb, mlflow, none.\n"
    )
