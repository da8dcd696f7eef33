"""ganctl inspect: what is in a checkpoint, and what is wrong with it."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import re

import pytest
import torch

import ganctl
from ganctl import checkpoint, store
from ganctl.config.schema import settings
from ganctl.datasets import loading
from ganctl.networks import first_layers


@pytest.fixture
def altered_from(tmp_path):
    """Write a run's checkpoint with changes and a digest that fits."""

    def write(run, **changes):
        content = checkpoint.encode(dataclasses.replace(store.read_checkpoint(run), **changes))
        path = tmp_path / "altered.pt"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def altered(run, altered_from):
    """Write the checkpoint of `run` with changes and a digest that fits."""
    return functools.partial(altered_from, run)


def test_for_people(ok, run):
    result = ok("inspect", run)
    found = store.read_checkpoint(run)
    assert result.err == ""
    for words in (
        f"ganctl {ganctl.__version__}", f"torch {torch.__version__}", found.made_by["date"],
        "ganctl train --limit 64", found.digest, found.data["digest"], "mnist: 64 images, 1x28x28",
        "step 8 of 8, epoch 2", "ok: all weights are finite", "Adam",
    ):  # fmt: skip
        assert words in result.out
    for name in ("preset", "command", "digest", "optimizers", "losses"):
        assert f"\n{name} " in result.out or f"\n{name}\n" in result.out
    for row in found.history:
        assert f"{row['g_loss']:.3f}" in result.out
        assert f"{row['d_loss']:.3f}" in result.out


def test_layers_with_their_parameter_counts(ok, run):
    """The last layers are counted by hand, the sums from the weights."""
    found = store.read_checkpoint(run)
    report = json.loads(ok("inspect", run, "--json").out)
    shown = ok("inspect", run).out
    for part in ("generator", "discriminator"):
        count = sum(tensor.numel() for tensor in getattr(found, part).values())
        assert report[part]["parameters"] == count
        assert f"{count:,} parameters" in shown
        for layer in report[part]["layers"]:
            prefix = f"{layer['name']}."
            held = [t for name, t in getattr(found, part).items() if name.startswith(prefix)]
            assert layer["parameters"] == sum(tensor.numel() for tensor in held)
    last = report["discriminator"]["layers"][-1]
    assert (last["kind"], last["output_shape"]) == ("Logit", [1])
    assert report["generator"]["layers"][-1]["output_shape"] == [1, 28, 28]


def test_running_statistics_are_counted_separately(ok, dcgan_run):
    generator = json.loads(ok("inspect", dcgan_run, "--json").out)["generator"]
    assert 0 < generator["trained"] < generator["parameters"]


def test_frozen_parameters_are_counted_separately(ok, run, altered_from):
    found = store.read_checkpoint(run)
    altered = altered_from(run, config=dataclasses.replace(found.config, freeze_d=1))
    documents = [json.loads(ok("inspect", path, "--json").out) for path in (run, altered)]
    whole, part = (document["discriminator"] for document in documents)
    held = first_layers(found.config.network, 1)
    frozen = sum(found.discriminator[name].numel() for name in held)
    assert (whole["frozen"], part["frozen"]) == (0, frozen)
    assert part["trained"] == whole["trained"] - frozen
    assert part["parameters"] == whole["parameters"]
    assert documents[0]["generator"] == documents[1]["generator"]
    assert f"{frozen:,} of them frozen" in ok("inspect", altered).out


def test_as_json(ok, run):
    result = ok("inspect", run / "ckpt.pt", "--json")
    found = store.read_checkpoint(run)
    report = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert result.err == ""
    expected = {
        "path": str(run / "ckpt.pt"), "bytes": (run / "ckpt.pt").stat().st_size,
        "schema": checkpoint.VERSION,
        "digest": found.digest, "made_by": found.made_by, "data": found.data,
        "config": settings(found.config), "step": 8, "total_steps": 8, "epoch": 2.0, "ema": True,
        "steps_per_epoch": 4, "history": found.history, "unfinished": None, "problems": [],
        "conditional": True, "classes": [str(digit) for digit in range(10)],
    }  # fmt: skip
    assert {name: report[name] for name in expected} == expected
    assert report["optimizers"]["generator"]["rate"] == found.config.lr_g


def test_the_schema_is_the_files_own(ok, run, monkeypatch):
    version = checkpoint.VERSION
    assert f"schema {version}\n" in re.sub(" +\n", "\n", ok("inspect", run).out)
    monkeypatch.setattr(checkpoint, "VERSION", version + 1)
    monkeypatch.setitem(checkpoint.UPGRADES, version, lambda content: content)
    assert json.loads(ok("inspect", run, "--json").out)["schema"] == version
    assert f"schema {version}, upgraded when it is read" in ok("inspect", run).out


def test_it_needs_no_data(ok, run, monkeypatch):
    def raises(*_, **__):
        raise AssertionError("inspect asked for the images")

    monkeypatch.setattr(loading, "load", raises)
    assert json.loads(ok("inspect", run, "--json").out)["data"]["name"] == "mnist"


@pytest.mark.parametrize("part", ["generator", "generator_ema", "discriminator"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named(ok, run, altered, part, value):
    weights = dict(getattr(store.read_checkpoint(run), part))
    name = next(reversed(weights))
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] = value
    path = altered(**{part: weights})
    (problem,) = json.loads(ok("inspect", path, "--json").out)["problems"]
    assert problem.startswith(f"{part} {name}: ")
    shown = ok("inspect", path).out
    assert problem in shown
    assert "all weights are finite" not in shown


def test_a_dead_layer_is_named(ok, run, altered):
    weights = dict(store.read_checkpoint(run).generator)
    name = next(name for name in weights if name.endswith("weight"))
    path = altered(generator={**weights, name: torch.zeros_like(weights[name])})
    assert f"generator {name}: dead" in ok("inspect", path).out


def test_a_run_before_its_first_epoch(ok, altered):
    shown = ok("inspect", altered(step=0, history=[])).out
    assert "no step is done yet" in shown
    assert "step 0 of 8" in shown


def test_a_checkpoint_inside_an_epoch_shows_its_progress(ok, fast_options, tmp_path):
    ok("train", *fast_options, "--steps", "6", "--out", tmp_path / "run")
    report = json.loads(ok("inspect", tmp_path / "run", "--json").out)
    shown = ok("inspect", tmp_path / "run").out
    with (tmp_path / "run" / "losses.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    losses = {name: float(last[name]) for name in ("g_loss", "d_loss", "d_real", "d_fake")}
    assert report["unfinished"] == {"epoch": 2, "steps": 2, **losses}
    assert "step 6 of 6, epoch 1, 2 of 4 steps into the next" in shown
    assert re.search(rf"^ *2 part +{losses['g_loss']:.3f} +{losses['d_loss']:.3f} ", shown, re.M)
    ok("train", *fast_options, "--steps", "2", "--out", tmp_path / "short")
    assert re.search(r"^ *1 part +\d", ok("inspect", tmp_path / "short").out, re.M)


def test_a_resume_is_shown_beside_the_first_start(ok, run, altered):
    assert "resumed" not in ok("inspect", run).out
    made = store.read_checkpoint(run).made_by
    last = {"last_date": "2031-01-02T03:04:05+00:00", "last_command": "ganctl train --resume"}
    shown = ok("inspect", altered(made_by={**made, **last})).out
    for row in (
        f"made on +{re.escape(made['date'])}",
        f"command +{re.escape(made['command'])}",
        r"last resumed +2031-01-02T03:04:05\+00:00",
        r"resumed by +ganctl train --resume",
    ):
        assert re.search(rf"^{row}", shown, re.M)
    first_alone = {name: made[name] for name in made if not name.startswith("last_")}
    assert "resumed" not in ok("inspect", altered(made_by=first_alone)).out


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_values_to_copy_are_not_folded(on_terminal, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    found = store.read_checkpoint(run)
    shown = on_terminal("inspect", run).out
    for text in (found.digest, found.data["digest"], found.made_by["command"]):
        assert text in shown


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("epochs", [3, 50, 1000])
def test_a_long_history_is_not_folded_on_a_terminal(
    on_terminal, run, altered, monkeypatch, columns, epochs
):
    monkeypatch.setenv("COLUMNS", str(columns))
    row = store.read_checkpoint(run).history[0]
    history = [{**row, "epoch": n, "g_loss": float(n == epochs)} for n in range(1, epochs + 1)]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("inspect", altered(history=history)).out)
    table = shown[shown.index("\nlosses") :].splitlines()[2:]
    assert max(map(len, table)) <= columns
    header = [cell.strip() for cell in table[1].strip("│").split("│")]
    assert header == ["epoch", "G loss", "D loss", "D(x)", "D(G(z))", "diversity"]
    first = [line.strip("│").split()[0] for line in table if line.startswith("│")]
    assert (first[1], first[-1]) == ("1", str(epochs))
    assert all(number.isdecimal() for number in first[1:])  # of no row a second line
    bars = dict(line.rsplit(maxsplit=1) for line in table if line[-1] in "▁▂▃▄▅▆▇█")
    assert list(bars) == ["G loss", "D loss", "D(x)", "D(G(z))"]
    assert {len(line) for line in bars.values()} == {min(epochs, columns - 9)}
    assert bars["G loss"].strip("▁") == "█"  # the last epoch's: drawn of the whole history


@pytest.mark.parametrize(("columns", "last"), [(60, "Frechet"), (80, "diversity│Frechet")])
def test_the_frechet_distance_is_shown_beside_the_losses(
    on_terminal, ok, run, altered, monkeypatch, columns, last
):
    monkeypatch.setenv("COLUMNS", str(columns))
    found = store.read_checkpoint(run)
    history = [{**row, "frechet_distance": 12.345} for row in found.history]
    config = dataclasses.replace(found.config, eval_samples=250)
    path = altered(history=history, config=config)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("inspect", path).out)
    table = shown[shown.index("\nlosses; Frechet distance of 250 samples") :].splitlines()[2:]
    assert max(map(len, table)) <= columns
    assert table[1].replace(" ", "").endswith(f"D(G(z))│{last}│")
    assert "│   12.35 │" in table[3]
    assert re.search(r"^ *1 .* 12\.35$", ok("inspect", path).out, re.M)


@pytest.mark.parametrize("epochs", [21, 50, 1000])
def test_a_long_history_is_thinned_out_and_keeps_both_ends(ok, run, altered, epochs):
    row = store.read_checkpoint(run).history[0]
    history = [{**row, "epoch": epoch, "g_loss": 0.75} for epoch in range(1, epochs + 1)]
    path = altered(history=history)
    rows = [line.split() for line in ok("inspect", path).out.splitlines() if " 0.750 " in line]
    shown = [int(row[0]) for row in rows]
    assert (shown[0], shown[-1]) == (1, epochs)
    assert len(shown) <= 21
    assert len(json.loads(ok("inspect", path, "--json").out)["history"]) == epochs


def test_weights_that_do_not_fit_the_configuration(cli, run, altered):
    config = store.read_checkpoint(run).config
    network = dataclasses.replace(config.network, base_channels=8)
    result = cli("inspect", altered(config=dataclasses.replace(config, network=network)))
    assert (result.code, result.out) == (1, "")
    assert "does not fit its own configuration" in result.err
    assert "Another version of ganctl wrote it, or it was changed." in result.err


def test_classes_by_name(ok, named_run):
    shown = ok("inspect", named_run).out
    assert re.search(r"^classes +10 classes \(conditional\): airplane, Cat, dog, ", shown, re.M)
    assert "\x1b" not in shown
    report = json.loads(ok("inspect", named_run, "--json").out)
    assert (report["conditional"], report["classes"][:2]) == (True, ["airplane", "Cat"])


def test_classes_that_are_not_used(ok, dcgan_run):
    shown = ok("inspect", dcgan_run).out
    assert re.search(r"^classes +10 classes \(not used: unconditional\): 0, 1, 2, ", shown, re.M)
    assert json.loads(ok("inspect", dcgan_run, "--json").out)["conditional"] is False


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "10 classes (conditional): 0, 1, 2, "),  # the number is the networks'
        (["cat"] * 9, "10 classes (conditional): 0, 1, 2, "),
    ],
)
def test_class_names_that_do_not_fit_the_networks_become_numbers(ok, run, altered, names, words):
    data = {**store.read_checkpoint(run).data, "classes": names}
    assert words in ok("inspect", altered(data=data)).out


def test_the_first_twenty_of_many_classes_are_shown(ok, dcgan_run, altered_from):
    data = {**store.read_checkpoint(dcgan_run).data, "classes": [f"kind {n}" for n in range(1000)]}
    shown = ok("inspect", altered_from(dcgan_run, data=data)).out
    assert re.search(r"^classes +1,000 classes \(not used: .*, kind 19 and 980 more$", shown, re.M)


def test_images_without_classes(ok, dcgan_run, altered_from):
    data = {**store.read_checkpoint(dcgan_run).data, "classes": []}
    assert re.search(
        r"^classes +none$", ok("inspect", altered_from(dcgan_run, data=data)).out, re.M
    )
