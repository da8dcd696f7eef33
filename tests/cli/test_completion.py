"""Completion in a shell: current names, offered at once, without torch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ganctl.cli import completion, main
from ganctl.datasets import loading


def test_the_names_of_data_sets_are_those_of_the_program():
    assert set(completion.DATA_NAMES) == set(loading.NAMES)


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """Return what bash offers for a line that is being typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_GANCTL_COMPLETE", "complete_bash")

    def call(*words):
        monkeypatch.setenv("COMP_WORDS", " ".join(["ganctl", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
            main([])
        return out.getvalue().split()

    return call


def test_presets_settings_and_names(complete):
    assert complete("train", "--preset", "d") == ["dcgan"]
    assert "lr_g=" in complete("train", "--set", "lr_")
    assert complete("train", "--set", "r1_i") == ["r1_interval=", "r1_interval=8"]
    assert complete("train", "--data", "fas") == ["fashion-mnist"]
    assert complete("inspect", "--sort", "q") == ["quality"]
    assert "--resume" in complete("train", "--res")


def test_checkpoints_are_folders_and_pt_files(complete, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "a.pt").touch()
    (tmp_path / "runs" / "a.txt").touch()
    (tmp_path / "runs" / ".hidden").mkdir()
    (tmp_path / "runs" / "a\nb.pt").touch()
    assert complete("sample", "ru") == ["runs/", "runs/a.pt", "runs/one/"]
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


HOSTILE = (
    "x\\$(touch P)", "$(touch P)", "`touch P`", "x;touch P", "x\ntouch P", "x|touch P", "a b",
    'x"$(touch P)"', "x'$(touch P)'", "x&", "x>P", "<x", "(x)", "*", "?", "[x]", "{x,y}", "!x",
    "#x", "^x", "%x", "x\\", "x~", "x\u2028", "x\x1b[2J",
)  # fmt: skip
AT_FIRST = ("~", "~root", "=ls", "-o")
"""Hostile only at the beginning of a word."""
FINE = ("a-b_1.2", "a=b,c", "Bär", "s3:x@y+z", "犬")


def test_names_that_a_shell_would_interpret_are_not_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (*HOSTILE, *AT_FIRST, *FINE):
        (tmp_path / name).mkdir()
    assert completion.checkpoints("") == sorted(f"{name}/" for name in FINE)
    assert completion.data("~") == []
    for name in HOSTILE:
        (tmp_path / "one" / name).mkdir(parents=True)
    assert completion.checkpoints("one/") == []
    config = {"data": {"classes": [*HOSTILE, *AT_FIRST, "cat"]}}
    (tmp_path / "one" / "config.json").write_text(json.dumps(config))
    context = SimpleNamespace(params={"ckpt": "one"}, args=[])
    assert completion.classes(context, "") == ["cat"]
    assert completion.classes(context, "cat,") == ["cat,=ls", "cat,-o", "cat,cat"]


def test_a_typed_tilde_is_completed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "runs").mkdir()
    assert completion.checkpoints("~/r") == ["~/runs/"]
    assert completion.checkpoints("~nobody-has-this-name/") == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data": {"classes": [1]}}', '{"data": 3}'])
def test_a_malformed_config_offers_no_classes(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert completion._classes(tmp_path) == ()


def test_completion_loads_neither_torch_nor_numpy(python):
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


@pytest.fixture
def as_installed(command, tmp_path, monkeypatch):
    """A folder with a run of three classes, where shells find `ganctl`."""
    program = tmp_path / "bin" / "ganctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "runs" / "pets").mkdir(parents=True)
    known = {"data": {"classes": ["cat", "cow", "dog"]}}
    (tmp_path / "runs" / "pets" / "config.json").write_text(json.dumps(known))
    (tmp_path / "runs" / "pets" / "ckpt.pt").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


TYPED = {
    "ganctl train --preset d": "dcgan",
    "ganctl sample run": "runs/",
    "ganctl sample runs/pets/c": "runs/pets/ckpt.pt",
    "ganctl sample runs/pets --class d": "dog",
    "ganctl sample runs/pets --seeds 0-1": "0-15",
}


@pytest.fixture
def among_strangers(as_installed):
    """The folder of `as_installed`, with folders and a run whose names and classes are code."""
    for name in ("x\\$(touch P)", "x;touch P", "x`touch P`", "xyz"):
        (as_installed / "theirs" / name).mkdir(parents=True)
    (as_installed / "other" / "$(touch P)").mkdir(parents=True)
    known = {"data": {"classes": ["cat", "c\\$(touch P)", "c`touch P`"]}}
    (as_installed / "theirs" / "config.json").write_text(json.dumps(known))
    return as_installed


STRANGE = {
    "ganctl sample theirs/x": "theirs/xyz",
    "ganctl sample theirs --class c": "--class cat",
    # Nothing to offer: whatever the shell itself makes of it, it quotes.
    "ganctl sample other/": "other/",
}


def script_of(command, shell):
    environment = {**os.environ, "_GANCTL_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish_offers_completions(command, as_installed):
    (as_installed / "ganctl.fish").write_text(script_of(command, "fish"))
    asked = "; ".join(f"echo (complete -C '{line}')" for line in TYPED)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source ganctl.fish; {asked}"],
        capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(as_installed)},
    )  # fmt: skip
    offered = done.stdout.splitlines()
    assert [line.split()[0] for line in offered] == list(TYPED.values())


posix = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals here")
in_shells = pytest.mark.parametrize(
    ("shell", "begin"),
    [
        (["bash", "--norc", "--noprofile", "-i"], "source ganctl.bash"),
        (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u; source ganctl.zsh"),
    ],
    ids=["bash", "zsh"],
)


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish_offers_no_code(command, among_strangers):
    (among_strangers / "ganctl.fish").write_text(script_of(command, "fish"))
    asked = "; ".join(f"complete -C '{line}'" for line in list(STRANGE)[:2])
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source ganctl.fish; {asked}"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "HOME": str(among_strangers)},
    )  # fmt: skip
    assert done.stdout.split() == ["theirs/xyz/", "cat"]
    assert not (among_strangers / "P").exists()


@posix
@in_shells
def test_a_tab_runs_and_types_no_code(command, among_strangers, shell, begin):
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]} here")
    from emulator import Emulator

    (among_strangers / f"ganctl.{shell[0]}").write_text(script_of(command, shell[0]))
    with Emulator(shell, 100, 30, {"HOME": str(among_strangers)}) as terminal:
        terminal.type(f"PS1='> '; {begin}\n")
        terminal.run(lambda text: "\n>" in text)
        for number, (line, typed) in enumerate(STRANGE.items()):
            # Whatever a Tab has typed runs with the line.
            terminal.type(f"{line}\t --help > /dev/null; : {number} done\n")
            terminal.run(lambda text, typed=typed: typed in text, seconds=20)
            terminal.type(f"echo $((100 + {number}))\n")
            terminal.run(lambda text, number=number: f"\n{100 + number}\n" in text, seconds=20)
    assert not (among_strangers / "P").exists()


@posix
@in_shells
def test_a_tab_completes_the_word(command, as_installed, shell, begin):
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]} here")
    from emulator import Emulator

    (as_installed / f"ganctl.{shell[0]}").write_text(script_of(command, shell[0]))
    with Emulator(shell, 100, 30, {"HOME": str(as_installed)}) as terminal:
        terminal.type(f"PS1='> '; {begin}\n")
        terminal.run(lambda text: "\n>" in text)
        for number, (line, rest) in enumerate(TYPED.items()):
            terminal.type(f"{line}\t")
            typed = f"{line.rpartition(' ')[0]} {rest}"
            terminal.run(lambda text, typed=typed: typed in text, seconds=20)
            terminal.type(f"\x15: {number} done\n")  # Ctrl-U: the line is taken back
            terminal.run(lambda text, number=number: f"\n> : {number} done\n" in text)
