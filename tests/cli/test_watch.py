"""What a person, a log file or a script sees of a training."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import progress as rich_progress

from ganctl import config as configs
from ganctl.cli import watch
from ganctl.cli.terminal import Terminal
from ganctl.cli.watch import show_summary, summary_epochs
from ganctl.training.loop import Progress

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


@pytest.mark.parametrize(
    ("loss", "words"), [("bce", "image for real"), ("relativistic", "the more real one of a pair")]
)
def test_the_summary_says_how_far_the_discriminator_is_from_being_fooled(capsys, loss, words):
    history = [
        {"epoch": n, "g_loss": 0.5, "d_loss": 1.25, "d_real": 0.75, "d_fake": 0.3,
         "images": 60_000 * n, "elapsed_seconds": 61.0 * n,
         "frechet_distance": abs(n - 30) + 0.5 if n > 20 else None}
        for n in range(1, 51)
    ]  # fmt: skip
    config = configs.override(configs.preset("fast"), {"loss": loss})
    show_summary(history, config, Terminal())
    out = capsys.readouterr().out
    assert words in out
    assert [int(row) for row in re.findall(r"^ *(\d+) +0\.500", out, re.M)] == [1, 20, 30, 40, 50]
    assert "probability 0.30" in out
    assert "0.20 away" in out
    assert "50 min 50 s" in out
    assert "3,000,000 images" in out
    assert "after epoch 30: Frechet distance 0.50 on 1,000 of them" in out


def test_a_pipe_gets_one_plain_line_an_epoch(training):
    _, result = training
    lines = result.err.splitlines()
    assert [bool(LINE.fullmatch(line)) for line in lines] == [False, True, True]
    assert "\x1b" not in result.err + result.out
    assert "\r" not in result.err + result.out


@pytest.mark.usefixtures("_no_plot")
def test_a_terminal_gets_bars_and_a_growing_table(on_terminal, fast_options, tmp_path):
    result = on_terminal("train", *fast_options, "--epochs", "2", "--out", tmp_path / "run")
    assert result.code == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.out)
    assert "\x1b[?25l" in result.out  # the cursor is hidden while bars move
    assert result.out.rindex("\x1b[?25h") > result.out.rindex("\x1b[?25l")
    assert "━" in shown
    assert "epoch 2/2" in shown
    assert "step 4/4" in shown
    assert "images/s" in shown
    assert re.search(r"epoch +G loss +D loss +D\(x\) +D\(G\(z\)\) +Frechet +seconds", shown)
    assert len(re.findall(r"[\r\n] +[12] +\d+\.\d{3} +\d+\.\d{3} ", shown)) == 2


@pytest.mark.usefixtures("_no_plot")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_plain_lines_on_a_terminal_where_that_is_asked_for(
    on_terminal, monkeypatch, fast_options, tmp_path, name, value
):
    monkeypatch.setenv(name, value)
    result = on_terminal("train", *fast_options, "--epochs", "2", "--out", tmp_path / "run")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert len(LINE.findall(result.out)) == 2


def test_the_step_bar_starts_anew_with_every_epoch(monkeypatch):
    monkeypatch.setattr(watch, "_REFRESH_SECONDS", 0.0)
    terminal = Terminal()
    bars = rich_progress.Progress(console=terminal.err, disable=True)
    live = watch.LiveObserver(terminal, bars)
    for step in range(1, 6):  # epochs of 3 steps, the second one under way
        epoch, index = divmod(step - 1, 3)
        live.on_step(Progress(step, 6, epoch + 1, 2, index + 1, 3, 1.0))
    run, epoch_bar = bars.tasks
    assert (run.completed, run.finished) == (5, False)
    assert (epoch_bar.completed, epoch_bar.finished) == (2, False)
