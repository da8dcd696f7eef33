"""ganctl runs, and ganctl inspect DIR: a table of runs."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ganctl import checkpoint, store
from ganctl.cli.options import RUN_SORTS
from ganctl.inspection.runs import SORTS


@pytest.fixture
def runs(run, tmp_path):
    """A folder of runs: four measured, two of them by patches, one not, and one damaged."""
    found = store.read_checkpoint(run)
    for name, distance, date, step in (
        ("worse", 3.0, "2026-01-03", 8), ("better", 1.0, "2026-01-01", 8),
        ("unmeasured", None, "2026-01-02", 4), ("patched", 0.2, "2026-01-04", 8),
        ("finer", 0.1, "2026-01-05", 8),
    ):  # fmt: skip
        names = {"patch_distance": distance, "frechet_distance": None}
        if name in ("worse", "better"):
            names = {"patch_distance": None, "frechet_distance": distance}
        history = [{**found.history[0], **names}]
        made = {**found.made_by, "last_date": date}
        changed = dataclasses.replace(found, history=history, made_by=made, step=step)
        (tmp_path / name).mkdir()
        (tmp_path / name / "ckpt.pt").write_bytes(checkpoint.encode(changed))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "ckpt.pt").write_bytes(b"no")
    (tmp_path / "not-a-run").mkdir()
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("quality", ["better", "worse", "finer", "patched", "damaged", "unmeasured"]),
        ("date", ["finer", "patched", "worse", "unmeasured", "better", "damaged"]),
        ("name", ["better", "damaged", "finer", "patched", "unmeasured", "worse"]),
    ],
)
def test_sorted(ok, runs, sort, names):
    report = json.loads(ok("runs", runs, "--sort", sort, "--json").out)
    assert [row["name"] for row in report["runs"]] == names
    assert json.loads(ok("inspect", runs, "--sort", sort, "--json").out) == report


def test_for_people(ok, runs):
    rows = [line.split() for line in ok("runs", runs).out.splitlines()]
    (head,) = (row for row in rows if row[:1] == ["run"])
    assert head[-6:] == ["best", "FD", "best", "patches", "size", "date"]
    states = {row[1]: row[0] for row in rows if len(row) > 1}
    assert states["better"] == "finished"
    assert states["unmeasured"] == "unfinished"
    assert states["damaged"] == "unreadable"
    assert "is not a ganctl checkpoint" in ok("runs", runs).out


def test_the_size_is_that_of_all_files(ok, runs):
    (runs / "damaged" / "samples").mkdir()
    (runs / "damaged" / "samples" / "epoch-0001.png").write_bytes(bytes(1500))
    rows = json.loads(ok("runs", runs, "--json").out)["runs"]
    sizes = {row["name"]: row["bytes"] for row in rows}
    assert sizes["damaged"] == 1502
    assert sizes["better"] == (runs / "better" / "ckpt.pt").stat().st_size


def test_an_empty_folder_has_no_runs(ok, tmp_path):
    result = ok("runs", tmp_path)
    assert result.out == f"{tmp_path}: no runs\n"
    assert "'ganctl train' writes" in result.err
    assert json.loads(ok("runs", tmp_path, "--json").out)["runs"] == []


def test_what_is_no_folder_of_runs(cli, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("runs")
    assert (result.code, result.out) == (1, "")
    assert "runs does not exist" in result.err
    assert cli("runs", run / "ckpt.pt").err.startswith(f"ganctl: {run / 'ckpt.pt'} is not a folder")
    result = cli("runs", run)
    assert result.code == 2
    assert "is itself a run" in result.err


def test_a_folder_without_runs(cli, tmp_path):
    result = cli("inspect", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "holds no ckpt.pt" in result.err


def test_options_that_do_not_fit(cli, run, runs):
    assert cli("inspect", runs, "--weights").code == 2
    assert cli("inspect", run, "--sort", "date").code == 2
    for command in ("inspect", "runs"):
        result = cli(command, runs, "--sort", "qualty")
        assert result.code == 2
        assert "quality" in result.err


def test_the_commands_offer_the_orders_that_there_are():
    assert RUN_SORTS == SORTS  # repeated there because its module loads torch
