"""The summary at the end of a training run."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.cli.terminal import Terminal
from ganctl.cli.watch import show_summary, summary_epochs
from ganctl.config import presets, schema


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
    """Return rows of epochs of 100 steps, of which the 30th has the lowest Frechet distance."""
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
    """The last row is marked as incomplete, and is never the best epoch."""
    history = rows_of(32)
    history[-1] |= {"step": 3150, "frechet_distance": 0.01}
    out = summary(capsys, history)
    assert re.search(r"^ *32 part +0\.500", out, re.M)
    assert "Best epoch: 30 (Frechet distance 0.50" in out
