"""A training run as a terminal, a log file and a script see it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.cli.observers import QuietObserver
from ganctl.cli.terminal import Terminal
from ganctl.cli.watch import show_summary, summary_epochs
from ganctl.config import presets, schema

LINE = re.compile(
    r"epoch \d+: generator loss \d+\.\d+, discriminator loss \d+\.\d+, D\(x\) [01]\.\d+, "
    r"D\(G\(z\)\) [01]\.\d+, \d+\.\d s, \d+ images/s"
)


@pytest.mark.parametrize(
    ("count", "epochs"),
    [(50, [1, 20, 30, 40, 50]), (5, [1, 2, 3, 4, 5]), (1, [1]), (10, [1, 4, 6, 8, 10])],
)  # fmt: skip
def test_summary_epochs(count, epochs):
    assert summary_epochs(count) == epochs


@given(st.integers(1, 10_000))
def test_a_summary_goes_from_the_first_epoch_to_the_last(count):
    epochs = summary_epochs(count)
    assert (epochs[0], epochs[-1]) == (1, count)
    assert epochs == sorted(set(epochs))
    assert len(epochs) <= 5


def rows_of(count):
    """Rows of epochs of 100 steps; the 30th has the lowest Frechet distance."""
    return [
        {"epoch": n, "step": 100 * n, "g_loss": 0.5, "d_loss": 1.25, "d_real": 0.75, "d_fake": 0.3,
         "images": 60_000 * n, "seconds": 61.0, "elapsed_seconds": 61.0 * n,
         "frechet_distance": abs(n - 30) + 0.5 if n > 20 else None}
        for n in range(1, count + 1)
    ]  # fmt: skip


def summary(capsys, history, loss="relativistic", since_step=0):
    config = schema.override(presets.preset("fast"), {"loss": loss})
    show_summary(
        history, config, Terminal(), steps_per_epoch=100, seconds=3200.0, since_step=since_step
    )
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "words"), [("bce", "image for real"), ("relativistic", "the more real one of a pair")]
)
def test_the_summary_says_how_often_the_discriminator_is_fooled(capsys, loss, words):
    out = summary(capsys, rows_of(50), loss)
    assert words in out
    assert [int(row) for row in re.findall(r"^ *(\d+) +0\.500", out, re.M)] == [1, 20, 30, 40, 50]
    assert "Mean D(G(z)) in the last epoch: 0.30" in out
    assert "(0.50 = it cannot tell)" in out
    assert "Best epoch: 30 (Frechet distance 0.50, 1,000 samples)." in out
    assert "\nlosses; Frechet distance of 1,000 samples\n" in out
    distances = re.findall(r"^ *(\d+) +0\.500 .* (\S+)$", out, re.M)
    assert distances[1:] == [("20", "0.300"), ("30", "0.50"), ("40", "10.50"), ("50", "20.50")]


@pytest.mark.parametrize(
    ("since_step", "words"),
    [
        (0, "50 min 50 s of training, 3,000,000 images; 53 min 20 s in all.\n"),
        (70, "50 min 50 s of training over the whole run, 3,000,000 images; "
         "this session, from step 70 on, took 53 min 20 s.\n"),
    ],
)  # fmt: skip
def test_the_summary_distinguishes_training_time_from_all_of_it(capsys, since_step, words):
    assert words in summary(capsys, rows_of(50), since_step=since_step)


def test_the_summary_of_a_run_that_ended_inside_an_epoch(capsys):
    """Its last row is marked, and never the best epoch."""
    history = rows_of(32)
    history[-1] |= {"step": 3150, "frechet_distance": 0.01}
    out = summary(capsys, history)
    assert re.search(r"^ *32 part +0\.500", out, re.M)
    assert "Best epoch: 30 (Frechet distance 0.50" in out


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


def test_a_quiet_training_warns_of_what_is_wrong(capsys):
    quiet = QuietObserver(Terminal(quiet=True), 100)
    quiet.on_epoch(rows_of(1)[0])
    quiet.on_problem("the plot could not be drawn")
    assert capsys.readouterr().err == (
        "ganctl: warning: the plot could not be drawn\n  Training continues without it.\n"
    )
