"""ganctl inspect --weights and --samples."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from ganctl import checkpoint, store


def test_statistics_of_every_tensor(ok, run):
    found = store.read_checkpoint(run)
    rows = json.loads(ok("inspect", run, "--weights", "--json").out)["weights"]
    expected = [
        (part, name)
        for part in ("generator", "generator_ema", "discriminator")
        for name in getattr(found, part)
    ]
    assert [(row["part"], row["name"]) for row in rows] == expected
    for row in rows:
        tensor = getattr(found, row["part"])[row["name"]]
        assert row["mean"] == pytest.approx(float(tensor.mean()), abs=1e-6)
        assert row["norm"] == pytest.approx(float(tensor.norm()), rel=1e-5)
        assert (row["min"], row["max"]) == (float(tensor.min()), float(tensor.max()))
        assert sum(row["histogram"]) == tensor.numel()
        assert (row["spectral_norm"] is None) == (tensor.dim() < 2)


def test_for_people(ok, run):
    shown = ok("inspect", run, "--weights").out
    assert "spectral norm" in shown
    assert "moving average of the generator" in shown
    assert "█" in shown


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38, 0.0])
def test_numbers_of_any_kind(ok, run, tmp_path, value):
    found = store.read_checkpoint(run)
    weights = {name: torch.full_like(tensor, value) for name, tensor in found.generator.items()}
    path = tmp_path / "odd.pt"
    path.write_bytes(checkpoint.encode(dataclasses.replace(found, generator=weights)))
    rows = json.loads(ok("inspect", path, "--weights", "--json").out)["weights"]
    assert rows[0]["finite"] == (abs(value) < float("inf"))
    assert "histogram" in ok("inspect", path, "--weights").out


def test_samples_on_a_terminal(on_terminal, run, monkeypatch):
    monkeypatch.setenv("COLORTERM", "truecolor")
    shown = on_terminal("inspect", run, "--samples").out
    assert shown.count("▀") > 100
    assert "38;2;" in shown  # 24-bit color
    lines = shown[shown.index("seeds 0 to 3") :].splitlines()[1:]
    assert 10 <= len([line for line in lines if "▀" in line]) <= 60


def test_no_samples_without_color(on_terminal, run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "▀" not in on_terminal("inspect", run, "--samples").out


def test_samples_elsewhere(ok, cli, run):
    result = ok("inspect", run, "--samples")
    assert "No samples shown" in result.err
    assert "▀" not in result.out
    assert cli("inspect", run, "--samples", "--json").code == 2
