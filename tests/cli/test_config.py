"""ganctl config, and train with settings from a file and the environment."""

from __future__ import annotations

import json

import pytest

from ganctl import store
from ganctl.config.schema import SETTINGS


def test_every_setting_and_its_source(ok, tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text("keep = 9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANCTL_LR_G", "0.5")
    arguments = ("config", "dcgan", "--config", "run.toml", "--set", "seed=4")
    report = json.loads(ok(*arguments, "--json").out)
    assert report["preset"] == "dcgan"
    assert set(report["settings"]) == set(SETTINGS)
    assert report["settings"]["keep"] == {"value": 9, "source": "run.toml"}
    assert report["settings"]["lr_g"] == {"value": 0.5, "source": "GANCTL_LR_G"}
    assert report["settings"]["seed"] == {"value": 4, "source": "option"}
    assert report["settings"]["epochs"] == {"value": 50, "source": "preset dcgan"}
    rows = [line.split() for line in ok(*arguments).out.splitlines()]
    assert ["lr_g", "0.5", "GANCTL_LR_G"] in rows
    assert ["mirror", "false", "preset", "dcgan"] in rows


@pytest.mark.parametrize("arguments", [["fats"], ["--set", "sede=3"], ["--set", "seed=-1"]])
def test_invalid_arguments_are_refused(cli, arguments):
    result = cli("config", *arguments)
    assert (result.code, result.out) == (2, "")


@pytest.mark.usefixtures("_no_plot")
def test_a_resumed_run_ignores_the_environment(ok, fast_options, tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text("keep = 9\nseed = 1\n")
    monkeypatch.setenv("GANCTL_SEED", "5")
    out = tmp_path / "run"
    ok("train", *fast_options, "--steps", "2", "--config", tmp_path / "run.toml", "--out", out)
    config = store.read_checkpoint(out).config
    assert (config.keep, config.seed, config.preset) == (9, 5, "fast")
    monkeypatch.setenv("GANCTL_SEED", "6")
    ok("train", "--resume", "--steps", "3", "--out", out)
    assert store.read_checkpoint(out).config.seed == 5


def test_resuming_with_another_setting_in_the_file_is_refused(cli, run, tmp_path):
    (tmp_path / "run.toml").write_text("seed = 99\n")
    result = cli("train", "--resume", "--out", run, "--config", tmp_path / "run.toml")
    assert result.code == 2
    assert "seed" in result.err


@pytest.mark.parametrize("arguments", [[], ["dcgan", "--set", "seed=3", "--set", "steps=10"]])
def test_the_toml_template_gives_the_same_settings(ok, cli, tmp_path, arguments):
    file = tmp_path / "run.toml"
    file.write_text(ok("config", *arguments, "--toml").out, "utf-8")
    values = [
        {name: each["value"] for name, each in json.loads(ok(*words).out)["settings"].items()}
        for words in (
            ["config", *arguments, "--json"], ["config", "--config", file, "--json"],
        )
    ]  # fmt: skip
    assert values[0] == values[1]
    assert cli("config", "--toml", "--json").code == 2
