"""ganctl train --dry-run."""

from __future__ import annotations

import json
import re

import pytest

from ganctl.config.presets import PRESETS
from ganctl.config.schema import settings
from ganctl.training import estimate
from ganctl.training.step import train_step


@pytest.mark.parametrize("preset", PRESETS)
def test_it_shows_everything_and_writes_nothing(ok, fast_options, tmp_path, preset, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = ok("train", *fast_options, "--preset", preset, "--epochs", "3", "--dry-run")
    assert list(tmp_path.iterdir()) == []
    for name in settings(PRESETS[preset]):
        assert f"\n{name} " in result.out
    # as 'ganctl config' shows it, and why
    assert re.search(r"^steps +none +option$", result.out, re.M)
    assert re.search(rf"^loss +bce +preset {preset}$", result.out, re.M)
    assert re.search(r"^image_size +28 +chosen from the images$", result.out, re.M)
    assert not re.search(r"\b(None|True|False)\b", result.out)
    for words in ("generator: ", "discriminator: ", "Conv2d", "1x28x28", "cpu, 1 thread"):
        assert words in result.out
    for row in ("device", "data", "steps", "time", "memory", "disk"):
        assert f"\n{row} " in result.out
    assert "12 (4 per epoch)" in result.out
    assert "nothing was written" in result.err


def test_as_json(ok, fast_options, tmp_path):
    folder = tmp_path / "run"
    result = ok("train", *fast_options, "--steps", "7", "--out", folder, "--dry-run", "--json")
    report = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert not folder.exists()
    assert report["out"] == str(folder)
    assert report["config"]["batch_size"] == 16
    assert report["config"]["base_channels"] == 4
    assert (report["steps"], report["steps_per_epoch"]) == (7, 4)
    assert report["data"] == {"name": "mnist", "num_images": 64, "num_held_out": 0}
    reasons = report["reasons"]
    assert (reasons["batch_size"], reasons["beta2"]) == ("option", "preset fast")
    assert (reasons["num_classes"], reasons["augment"]) == (
        "from the images",
        "fewer than 1,000 images",
    )
    for network in ("generator", "discriminator"):
        layers = report[network]["layers"]
        assert sum(layer["parameters"] for layer in layers) == report[network]["parameters"] > 0
    assert report["generator"]["layers"][-1]["output_shape"] == [1, 28, 28]
    estimate = report["estimate"]
    updates = 7 * 16 / estimate["images_per_sec"]
    assert updates < estimate["seconds"] < updates + 0.01  # no samples are measured
    assert estimate["checkpoint_bytes"] > 4 * 4 * report["generator"]["parameters"]


def test_the_time_includes_measuring_samples(ok, tmp_path):
    result = ok("train", "--limit", "64", "--batch-size", "16", "--set", "base_channels=4",
                "--steps", "7", "--set", "eval_samples=20", "--device", "cpu",
                "--out", tmp_path / "run", "--dry-run", "--json")  # fmt: skip
    estimate = json.loads(result.out)["estimate"]
    assert estimate["seconds"] > 7 * 16 / estimate["images_per_sec"] + 0.01


def test_the_estimated_size_of_a_checkpoint_is_right(ok, run, fast_options, tmp_path):
    result = ok("train", *fast_options, "--out", tmp_path / "run", "--dry-run", "--json")
    said = json.loads(result.out)["estimate"]["checkpoint_bytes"]
    assert said == pytest.approx((run / "ckpt.pt").stat().st_size, rel=0.02)


def test_a_resumed_run_shows_the_remaining_steps(ok, run, files):
    before = files(run)
    result = ok("train", "--out", run, "--resume", "--epochs", "5", "--dry-run", "--json")
    report = json.loads(result.out)
    assert report["steps"] == 12
    assert (report["reasons"]["epochs"], report["reasons"]["seed"]) == ("option", "checkpoint")
    assert files(run) == before


def test_it_takes_a_few_steps_whatever_the_settings_are(ok, fast_options, tmp_path, monkeypatch):
    """Even a penalty that is due only every thousandth step does not take more."""
    steps = []

    def counted(*arguments, **options):
        steps.append(1)
        assert len(steps) <= 100
        return train_step(*arguments, **options)

    monkeypatch.setattr(estimate, "train_step", counted)
    ok("train", *fast_options, "--set", "r1_interval=1000", "--out", tmp_path / "run", "--dry-run")
    assert steps
