"""ganctl inspect A B: settings, weights and losses that differ."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from ganctl import checkpoint, store


@pytest.fixture
def other(run, tmp_path):
    """`run`'s checkpoint with a seed, a loss and two weights changed."""
    found = store.read_checkpoint(run)
    weights = {name: tensor.clone() for name, tensor in found.generator.items()}
    first, second = list(weights)[:2]
    weights[first] *= 1.5
    weights[second][0] = float("nan")
    history = [*found.history[:-1], {**found.history[-1], "g_loss": 9.5, "seconds": 1e6}]
    changed = dataclasses.replace(
        found, generator=weights, history=history,
        config=dataclasses.replace(found.config, seed=77),
    )  # fmt: skip
    path = tmp_path / "other.pt"
    path.write_bytes(checkpoint.encode(changed))
    return path, first, second


def test_only_differences_are_listed(ok, run, other):
    path, first, second = other
    report = json.loads(ok("inspect", run, path, "--json").out)
    assert report["config"] == {"seed": [0, 77]}
    assert report["data"] == {}
    assert [(row["part"], row["name"], row["difference"]) for row in report["tensors"]] == [
        ("generator", first, "values"),
        ("generator", second, "not a number"),
    ]
    assert report["tensors"][0]["relative"] == pytest.approx(0.5)
    assert report["losses_equal_epochs"] == 1


def test_for_people(ok, run, other):
    shown = ok("inspect", run, other[0]).out
    assert "They differ in 1 setting, 2 of " in shown
    assert f"generator {other[1]}" in shown
    assert "0.5\n" in shown
    assert "9.500" in shown


def test_a_checkpoint_and_itself(ok, run):
    shown = ok("inspect", run, run / "ckpt.pt").out
    assert shown.startswith("The same settings and weights.\n")
    assert "tensors differ" not in shown


def test_networks_of_other_shapes(ok, run, dcgan_run):
    report = json.loads(ok("inspect", run, dcgan_run, "--json").out)
    ways = {row["difference"].split()[0] for row in report["tensors"]}
    assert {"only", "shape"} <= ways
    assert any(row["difference"] == "only in A" for row in report["tensors"])
    assert all(
        row["relative"] is None for row in report["tensors"] if row["difference"] != "values"
    )


def test_a_file_that_is_not_a_checkpoint(cli, run, tmp_path):
    (tmp_path / "no.pt").write_bytes(b"no")
    result = cli("inspect", run, tmp_path / "no.pt")
    assert (result.code, result.out) == (1, "")
    assert "no.pt" in result.err


@pytest.mark.parametrize("option", ["--weights", "--samples"])
def test_options_for_a_single_checkpoint(cli, run, option):
    assert cli("inspect", run, run, option).code == 2


def test_three_are_too_many(cli, run):
    assert cli("inspect", run, run, run).code == 2


def test_zero_weights_have_no_relative_difference(ok, run, tmp_path):
    found = store.read_checkpoint(run)
    name = next(iter(found.generator))
    zero = {**found.generator, name: torch.zeros_like(found.generator[name])}
    path = tmp_path / "zero.pt"
    path.write_bytes(checkpoint.encode(dataclasses.replace(found, generator=zero)))
    (row,) = json.loads(ok("inspect", path, run, "--json").out)["tensors"]
    assert row["relative"] is None
