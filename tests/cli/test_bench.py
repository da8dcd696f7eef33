"""ganctl bench: the command, on tiny budgets."""

from __future__ import annotations

import json

import pytest
import torch

from ganctl import machine
from ganctl.bench import images, measure, quality, steps
from ganctl.bench.timing import Rate

TINY = measure.Budget(
    steps=0, sampling=0, decoding=0, quality=0.5, num_rounds=1, targets=(1e6, 1e-6), resolution=0.5
)


@pytest.fixture
def tiny(tiny_mnist, monkeypatch):
    """Bench one preset on one core, for next to no time."""
    monkeypatch.setattr(machine, "num_cores", lambda: 1)
    monkeypatch.setattr(measure, "QUICK", TINY)
    monkeypatch.setattr(steps, "CASES", (("fast", steps.SMALL),))
    monkeypatch.setattr(images, "CASES", steps.CASES)
    monkeypatch.setattr(images, "_NUM_SAMPLES", 8)
    monkeypatch.setattr(images, "_FILES_PER_TASK", 1)
    monkeypatch.setattr(steps, "_NUM_IMAGES", 64)
    monkeypatch.setattr(steps, "_PRECISIONS", ("fp32",))
    monkeypatch.setattr(quality, "_FIRST_MEASURED", 40)
    monkeypatch.setattr(quality, "_WARM_UP_STEPS", 1)
    monkeypatch.setattr(quality, "NUM_SAMPLES", 64)
    steps.images_of.cache_clear()
    plain = quality.resolved
    monkeypatch.setattr(
        quality, "resolved", lambda *given: quality.override(plain(*given), {"batch_size": 8})
    )
    yield
    steps.images_of.cache_clear()


@pytest.mark.usefixtures("tiny")
def test_the_figures_are_shown_and_written(ok, documented, tmp_path):
    before = torch.get_num_threads()
    out = tmp_path / "figures.json"
    shown = ok("bench", "--quick", "--device", "cpu", "-o", out)
    assert torch.get_num_threads() == before
    lines = shown.out.splitlines()
    head = lines.index("training steps") + 1
    assert lines[head].split() == [
        "preset", "images", "precision", "batch", "threads", "steps/s", "images/s",
    ]  # fmt: skip
    assert lines[head + 1].split()[:4] == ["fast", "28x28", "gray", "fp32"]
    assert any(line.startswith("time to quality on MNIST: preset fast") for line in lines)
    assert lines[-2].split()[0] == "1e+06"
    assert lines[-2].endswith("none yet")
    assert "not in " in lines[-1]
    document = json.loads(out.read_text("utf-8"))
    documented("bench", document)
    assert document["quick"] is True
    assert document["problems"] == []
    assert document["steps"][0]["steps_per_sec"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.usefixtures("tiny")
def test_what_fails_is_named_after_the_figures(cli, documented, monkeypatch):
    monkeypatch.setattr(measure.quality, "time_to", _fail)
    monkeypatch.setattr(steps, "time_steps", lambda ways, *_: [Rate(None, "no") for _ in ways])
    result = cli("bench", "--quick", "--device", "cpu", "--json")
    assert result.code == 1
    document = json.loads(result.out)
    documented("bench", document)
    assert document["quality"] is None
    assert document["problems"] == [
        "fast on 28x28x1, fp32, 1 thread: no",
        "time to quality: RuntimeError: out of luck",
    ]
    assert "2 measurements failed" in result.err
    assert "out of luck" in result.err
    assert "Traceback" not in result.err


def _fail(*_, **__):
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--device", "gpu"), 2, "unknown device 'gpu'"),
        (("-o", "figures.txt"), 2, "cannot write '.txt' files"),
        (("runs",), 2, "unexpected argument: runs"),
    ],
)
def test_wrong_input_is_explained(cli, arguments, code, words):
    result = cli("bench", *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_missing_gpu_is_refused(cli):
    result = cli("bench", "--device", "cuda", "--quick")
    assert (result.code, result.out) == (1, "")
    assert "there is no CUDA device here" in result.err


def test_a_missing_folder_is_refused_before_anything_is_measured(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "measure", None)
    result = cli("bench", "-o", tmp_path / "nowhere" / "figures.json")
    assert result.code == 2
    assert "there is no folder" in result.err
