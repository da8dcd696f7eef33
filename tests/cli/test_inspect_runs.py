"""ganctl inspect DIR: a table of runs."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ganctl import checkpoint, store
from ganctl.cli.inspect import _SORTS
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
    report = json.loads(ok("inspect", runs, "--sort", sort, "--json").out)
    assert [row["name"] for row in report["runs"]] == names


def test_for_people(ok, runs):
    rows = [line.split() for line in ok("inspect", runs).out.splitlines()]
    (head,) = (row for row in rows if row[:1] == ["run"])
    assert head[-5:] == ["best", "FD", "best", "patches", "date"]
    states = {row[1]: row[0] for row in rows if len(row) > 1}
    assert states["better"] == "finished"
    assert states["unmeasured"] == "unfinished"
    assert states["damaged"] == "unreadable"
    assert "is not a ganctl checkpoint" in ok("inspect", runs).out


def test_a_folder_without_runs(cli, tmp_path):
    result = cli("inspect", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "holds no ckpt.pt" in result.err


def test_options_that_do_not_fit(cli, run, runs):
    assert cli("inspect", runs, "--weights").code == 2
    assert cli("inspect", run, "--sort", "date").code == 2
    result = cli("inspect", runs, "--sort", "qualty")
    assert result.code == 2
    assert "quality" in result.err


def test_the_command_offers_the_orders_that_there_are():
    assert _SORTS == SORTS  # repeated there because its module loads torch
