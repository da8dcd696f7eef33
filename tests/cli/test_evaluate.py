"""ganctl evaluate: how near samples are to real images."""

from __future__ import annotations

import json
import re

import pytest

from ganctl import store
from ganctl.datasets import mnist, stacked


@pytest.fixture
def few_real_images(monkeypatch):
    """A few hundred digits in place of all of MNIST."""
    train, test = mnist.load_train(), mnist.load_test()
    monkeypatch.setattr(mnist, "load_train", lambda: tuple(array[:300] for array in train))
    monkeypatch.setattr(mnist, "load_test", lambda: tuple(array[:200] for array in test))


@pytest.mark.usefixtures("few_real_images")
def test_for_people(ok, run):
    result = ok("evaluate", run, "--num-samples", "50")
    assert result.err == (
        "Encoding real images, which takes the longest ...\nDrawing and measuring 50 samples ...\n"
    )
    assert "50 samples (moving average, step 8) against 200 test images of mnist" in result.out
    for name in ("Frechet distance", "kernel distance", "precision", "recall", "density",
                 "coverage", "classifier score", "classifier is sure", "nearest training image",
                 "classes", "real images"):  # fmt: skip
        assert f"\n{name} " in result.out or f" {name}" in result.out or f"\n{name}\n" in result.out


@pytest.mark.usefixtures("few_real_images")
def test_for_scripts(ok, run, documented):
    result = ok("evaluate", run, "-n", "50", "--json")
    report = json.loads(result.out)
    documented("evaluate", report)
    found = store.read_checkpoint(run)
    assert result.err == ""
    assert (report["digest"], report["step"], report["ema"]) == (found.digest, 8, True)
    assert (report["features"], report["data"]) == ("mnist-classifier", "mnist")
    assert report["figures"].keys() == report["floor"].keys()
    assert report["figures"]["num_samples"] == report["floor"]["num_samples"] == 50
    assert report["figures"]["frechet_distance"] > report["floor"]["frechet_distance"] > 0
    assert ok("evaluate", run, "-n", "50", "--json").out == result.out
    weights = json.loads(ok("evaluate", run, "-n", "50", "--no-ema", "--json").out)
    assert weights["ema"] is False
    assert weights["figures"] != report["figures"]


@pytest.mark.usefixtures("few_real_images")
def test_at_a_terminal(on_terminal, run):
    result = on_terminal("evaluate", run, "-n", "20")
    assert result.code == 0
    assert "Frechet distance" in result.out


def test_modes_are_counted(ok, fast_options, tmp_path, monkeypatch):
    monkeypatch.setattr(stacked, "NUM_TRAIN", 100)
    monkeypatch.setattr(stacked, "NUM_TEST", 60)
    run = tmp_path / "run"
    ok("train", *fast_options, "--data", "stacked-mnist", "--steps", "1", "--out", run)
    report = json.loads(ok("evaluate", run, "-n", "50", "--json").out)
    figures, floor = report["figures"], report["floor"]
    assert len(figures["class_shares"]) == 1000
    assert figures["classes_found"] < floor["classes_found"] <= 50
    assert figures["class_divergence"] > floor["class_divergence"] > 0
    assert report["num_test_images"] == 50
    shown = ok("evaluate", run, "-n", "50").out
    counts = f"{figures['classes_found']} {floor['classes_found']} higher"
    assert f"\nclasses found {counts}\n" in re.sub(" +", " ", shown)
    assert "\nclasses\n" not in shown, "a thousand columns are no table"


@pytest.mark.parametrize("number", ["-1", "0", "6", "60001", "x"])
def test_numbers_that_cannot_be(cli, run, number):
    result = cli("evaluate", run, "--num-samples", number)
    assert result.code == 2
    assert "num-samples" in result.err
    assert result.out == ""
