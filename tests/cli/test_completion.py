"""What a shell offers: the same as the program knows, at once, without torch."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from ganctl import datasets
from ganctl.cli import completion


def test_the_names_of_data_sets_are_those_of_the_program():
    assert set(completion.DATA_NAMES) == set(datasets.NAMES)


@pytest.fixture
def complete(command, tmp_path):
    """What bash is offered for a line that is being typed."""

    def call(*words):
        environment = {
            **os.environ,
            "COMP_WORDS": " ".join(["ganctl", *words]),
            "COMP_CWORD": str(len(words)),
            "_GANCTL_COMPLETE": "complete_bash",
        }
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        )  # fmt: skip
        return done.stdout.split()

    return call


def test_presets_settings_and_names(complete):
    assert complete("train", "--preset", "d") == ["dcgan"]
    assert "lr_g=" in complete("train", "--set", "lr_")
    assert complete("train", "--data", "fas") == ["fashion-mnist"]
    assert complete("inspect", "--sort", "q") == ["quality"]
    assert "--resume" in complete("train", "--res")


def test_checkpoints_are_folders_and_pt_files(complete, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "a.pt").touch()
    (tmp_path / "runs" / "a.txt").touch()
    (tmp_path / "runs" / ".hidden").mkdir()
    (tmp_path / "runs" / "a\nb.pt").touch()
    assert complete("sample", "ru") == ["runs/"]
    assert complete("sample", "runs/") == ["runs/a.pt", "runs/one/"]
    assert complete("inspect", "runs/a") == ["runs/a.pt"]
    assert complete("sample", "nowhere/") == []


def test_classes_of_the_given_run(complete, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert complete("sample", "run", "--class", "") == []
    (run / "config.json").write_text(json.dumps({"data": {"classes": ["cat", "cow", "dog"]}}))
    assert complete("sample", "run", "--class", "c") == ["cat", "cow"]
    assert complete("sample", "run/ckpt.pt", "--class", "d") == ["dog"]
    assert complete("interpolate", "run", "--class", "dog,ca") == ["dog,cat"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data": {"classes": [1]}}', '{"data": 3}'])
def test_a_config_of_any_kind_offers_nothing(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert completion._classes(tmp_path) == ()


def test_nothing_heavy_is_loaded(python):
    done = python(
        "import sys, ganctl.cli.app; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(command, shell):
    done = subprocess.run(
        command, capture_output=True, text=True, check=True,
        env={**os.environ, "_GANCTL_COMPLETE": f"source_{shell}"},
    )  # fmt: skip
    assert "ganctl" in done.stdout
    assert f"complete_{shell}" in done.stdout
