"""A training run as a log file and a script see it."""

from __future__ import annotations

import json
import re

import pytest

from ganctl.cli.displays import Warnings
from ganctl.cli.terminal import Terminal

LINE = re.compile(
    r"epoch \d+: generator loss \d+\.\d+, discriminator loss \d+\.\d+, D\(x\) [01]\.\d+, "
    r"D\(G\(z\)\) [01]\.\d+, \d+\.\d s, \d+ images/s"
)


@pytest.mark.usefixtures("_no_plot")
@pytest.mark.parametrize("steps", [3, 6])
def test_an_unfinished_epoch_is_shown_and_marked(ok, fast_options, tmp_path, steps):
    out = tmp_path / "run"
    options = [option.replace("eval_samples=0", "eval_samples=10") for option in fast_options]
    arguments = ["train", *options, "--steps", steps, "--out"]
    events = [json.loads(line) for line in ok(*arguments, out, "--json").out.splitlines()]
    whole, (last, end) = events[:-2], events[-2:]
    assert [event["complete"] for event in whole] == [True] * (steps // 4)
    assert (last["event"], last["epoch"], last["complete"]) == ("epoch", steps // 4 + 1, False)
    assert end["last"] == {name: last[name] for name in last if name != "event"}
    result = ok(*arguments, tmp_path / "again")
    expected = f"epoch {steps // 4 + 1} (unfinished, {steps % 4} of 4 steps): generator loss"
    assert expected in result.err
    assert ("Best epoch: 1 (" in result.out) == bool(whole)
    assert (out / "best.pt").exists() == bool(whole)


def test_a_pipe_gets_one_plain_line_per_epoch(training):
    _, result = training
    lines = result.err.splitlines()
    assert [bool(LINE.fullmatch(line)) for line in lines] == [False, True, True]
    assert "\x1b" not in result.err + result.out
    assert "\r" not in result.err + result.out


@pytest.mark.usefixtures("_no_plot")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_plain_lines_on_a_terminal_on_request(
    on_terminal, monkeypatch, fast_options, tmp_path, name, value
):
    monkeypatch.setenv(name, value)
    result = on_terminal("train", *fast_options, "--epochs", "2", "--out", tmp_path / "run")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert len(LINE.findall(result.out)) == 2


def test_a_quiet_run_prints_only_its_results(ok, cli, fast_options, tmp_path):
    out = tmp_path / "run"
    result = ok("train", *fast_options, "--epochs", "1", "--out", out, "--quiet")
    assert result.err == ""
    assert result.out.startswith("\nlosses\n")
    assert "ganctl sample" in result.out
    assert cli("train", "--out", out, "--quiet").err.startswith("ganctl: ")  # there is a run


@pytest.mark.usefixtures("_no_plot")
def test_a_quiet_run_on_a_terminal_prints_only_its_results(on_terminal, fast_options, tmp_path):
    result = on_terminal(
        "train", *fast_options, "--epochs", "1", "--out", tmp_path / "run", "--quiet"
    )
    assert "\x1b[?" not in result.out
    assert re.sub(r"\x1b\[[0-9;]*m", "", result.out).lstrip().startswith("losses")


def test_a_quiet_run_warns_of_problems(capsys):
    quiet = Warnings(Terminal(quiet=True))
    quiet.on_epoch({"epoch": 1}, None)
    quiet.on_warning("the plot could not be drawn", "Training continues without it.")
    assert capsys.readouterr().err == (
        "ganctl: warning: the plot could not be drawn\n  Training continues without it.\n"
    )
