"""The app itself: help, version, and the boundary where exceptions become messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ganctl
from ganctl import store
from ganctl.cli import main
from ganctl.cli import terminal as terminals
from ganctl.errors import CheckpointError

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = ("train", "sample", "interpolate", "export", "explore", "inspect", "evaluate", "data",
            "config", "report", "bench")  # fmt: skip

_CALL_ALL = """
import contextlib, io, json, sys
from ganctl.cli import main
from ganctl.cli import terminal as terminals
codes = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        codes.append(main(arguments))
heavy = [name for name in ("torch", "torchvision", "numpy", "matplotlib") if name in sys.modules]
print(json.dumps([codes, heavy]))
"""


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_names_every_command(ok, option):
    result = ok(option)
    assert result.err == ""
    assert all(name in result.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(ok, command):
    result = ok(command, "--help")
    assert result.err == ""
    assert "Usage: ganctl " + command in result.out
    assert "Example" in result.out


def test_help_and_version_and_wrong_options_do_not_import_torch(python):
    helps = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    wrong = [["train", "--preset", "no"], ["sample", "x", "-o", "x.no"], ["tain"]]
    done = python(_CALL_ALL, json.dumps(helps + wrong))
    codes, heavy = json.loads(done.stdout)
    assert codes == [0] * len(helps) + [2] * len(wrong)
    assert heavy == []


def test_the_version(ok):
    assert ok("--version").out == f"ganctl {ganctl.__version__}\n"


def test_python_m_ganctl_is_the_same_command(command):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"ganctl {ganctl.__version__}\n", "")


def test_without_arguments_it_shows_its_help(cli):
    result = cli()
    assert result.code == 2
    assert "Usage: ganctl" in result.out + result.err
    assert "ganctl: " not in result.err


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["tain"], "train"),
        (["train", "--epoch", "1"], "--epochs"),
        (["inspect", "x", "--jsn"], "--json"),
        (["sample", "x", "--upscal", "2"], "--upscale"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_known_word(cli, arguments, nearest):
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert nearest in result.err
    assert len(result.err.splitlines()) <= 2


def test_train_says_how_to_give_images_and_a_folder(cli):
    result = cli("train", "--resume", "runs/mnist-fast")
    assert (result.code, result.out) == (2, "")
    assert "unexpected argument: runs/mnist-fast" in result.err
    assert "Images are given with --data, the run's folder with --out." in result.err


def test_the_process_ends_with_the_exit_code(command):
    done = subprocess.run([*command, "sample"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ganctl: ")


class _UnforeseenError(Exception):
    pass


@pytest.fixture
def _broken(monkeypatch, request):
    """Make the store raise the exception that the test is parametrized with."""

    def raises(_):
        raise request.param

    monkeypatch.setattr(store, "read_checkpoint", raises)


@pytest.mark.parametrize(
    ("_broken", "words"),
    [
        (_UnforeseenError("first line\nsecond line"), "_UnforeseenError: first line"),
        (_UnforeseenError(), "_UnforeseenError"),
        (AssertionError(), "AssertionError"),
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory"),
    ],
    indirect=["_broken"],
)
@pytest.mark.usefixtures("_broken")
def test_an_unexpected_exception_becomes_two_lines(cli, run, words):
    result = cli("inspect", run)
    assert (result.code, result.out) == (1, "")
    assert words in result.err
    assert result.err.startswith("ganctl: ")
    assert len(result.err.splitlines()) == 2
    assert "second line" not in result.err


@pytest.mark.parametrize("_broken", [KeyboardInterrupt()], indirect=True)
@pytest.mark.usefixtures("_broken")
def test_ctrl_c_outside_training_prints_one_line(cli, run):
    result = cli("inspect", run)
    assert (result.code, result.out) == (130, "")
    assert result.err.strip() == "ganctl: stopped"


def test_ganctl_debug_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("GANCTL_DEBUG", "1")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        main(["inspect", str(tmp_path / "missing.pt")])


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_a_closed_pipe_is_not_reported(command):
    process = subprocess.Popen(
        [*command, "config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    process.stdout.close()
    assert process.stderr.read().decode() == ""
    process.stderr.close()
    assert process.wait(60) in (0, 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_in_a_pipe_is_plain_and_lists_exit_codes(ok, command):
    result = ok(command, "--help")
    assert "\u2500" not in result.out, "box art is read aloud line by line"
    assert "Exit codes: 0 done; 1 failed; 2 wrong usage" in result.out


def test_help_on_a_terminal_has_boxes(on_terminal, monkeypatch):
    assert "\u2500" in on_terminal("config", "--help").out
    monkeypatch.setenv("TERM", "dumb")
    assert "\u2500" not in on_terminal("config", "--help").out


def test_a_paragraph_of_help_is_wrapped_only_by_the_terminal(ok):
    plain = " ".join(ok("config", "--help").out.split("\n\n")[2].split("\n  "))
    assert "options > GANCTL_* variables > --config file > preset. Values detected" in plain
    assert max(map(len, ok("config", "--help").out.split("\n\n")[2].splitlines()[:-1])) > 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "x", "--truncation", "y"], "--truncation must be a number, not 'y'"),
        (["sample", "x", "--upscale", "3.5"], "--upscale must be a whole number, not '3.5'"),
        (["sample", "x", "-n", "q"], "-n must be a whole number, not 'q'"),
        (["inspect"], "missing argument 'CKPT [OTHER]'"),
        (["sample", "--out"], "option '--out' requires an argument"),
    ],
)
def test_errors_of_the_parser_are_worded_like_others(cli, words, message):
    result = cli(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"ganctl: {message}\n  Try 'ganctl {words[0]} --help'.\n"


def test_a_setting_that_is_refused_is_named_as_its_option(cli):
    result = cli("train", "--epochs", "3.5")
    assert (result.code, result.out) == (2, "")
    assert result.err == "ganctl: --epochs must be a whole number, not '3.5'\n"


GROUPS = ["Images", "Run", "Recipe and networks", "Machine", "Saving", "Output"]


def test_options_of_train_are_grouped_in_every_kind_of_help(ok, monkeypatch):
    """Plain help, boxes and docs/cli.md all have the most important groups first."""
    plain = ok("train", "--help").out
    assert re.findall(r"^(\w[\w ]+):$", plain, re.M)[-6:] == GROUPS
    monkeypatch.setattr(terminals, "_is_rich", lambda _: True)
    boxes = ok("train", "--help").out
    assert re.findall(r"╭─ ([\w ]+?) ─", boxes) == GROUPS
    page = (DOCS / "cli.md").read_text("utf-8")
    of_train = page.partition("## `ganctl train`")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*(\w[\w ]+)\*\*:$", of_train, re.M) == ["Usage", *GROUPS]


def test_help_of_data_mentions_pack_and_index(ok):
    text = " ".join(ok("data", "--help").out.split())
    assert "'ganctl data pack' writes" in text
    assert "'ganctl data index' indexes" in text


@pytest.mark.parametrize(
    ("words", "long", "short"),
    [
        ([], "--version", "-V"), ([], "--help", "-h"),
        *((name.split(), "--out", "-o") for name in
          ("train", "sample", "interpolate", "data", "data pack", "report")),
        *((name.split(), "--quiet", "-q") for name in
          ("train", "sample", "interpolate", "inspect", "evaluate", "data", "data pack",
           "data index", "report")),
    ],
)  # fmt: skip
def test_an_option_has_the_same_short_name_everywhere(ok, words, long, short):
    assert f"{short}, {long}" in ok(*words, "--help").out
