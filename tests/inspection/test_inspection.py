"""ganctl.inspect: what the command shows, from Python."""

from __future__ import annotations

import dataclasses
import json

import pytest

import ganctl
from ganctl import checkpoint
from ganctl.errors import CheckpointError, UsageError


@pytest.fixture
def run(tiny_checkpoint, tmp_path):
    """A run directory in a folder of runs."""
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    (path / "ckpt.pt").write_bytes(checkpoint.encode(tiny_checkpoint))
    return path


def test_a_checkpoint(run, tiny_checkpoint, capfd):
    document = ganctl.inspect(run)
    assert document == ganctl.inspect(str(run / "ckpt.pt"))
    assert document["history"] == tiny_checkpoint.history
    assert "weights" not in document
    assert json.loads(json.dumps(document, allow_nan=False))["step"] == tiny_checkpoint.step
    assert capfd.readouterr() == ("", "")


def test_its_weights(run, tiny_checkpoint):
    rows = ganctl.inspect(run, weights=True)["weights"]
    names = [row["name"] for row in rows if row["part"] == "discriminator"]
    assert names == list(tiny_checkpoint.discriminator)


def test_two_checkpoints(run, tiny_checkpoint):
    other = run / "epoch-0001.pt"
    other.write_bytes(checkpoint.encode(dataclasses.replace(tiny_checkpoint, step=9)))
    document = ganctl.inspect(run, other)
    assert (document["a"]["step"], document["b"]["step"]) == (tiny_checkpoint.step, 9)
    assert (document["config"], document["tensors"]) == ({}, [])


def test_a_folder_of_runs(run):
    calls = []
    document = ganctl.inspect(run.parent, on_progress=lambda *call: calls.append(call))
    assert (document["sort"], [row["name"] for row in document["runs"]]) == ("quality", ["one"])
    assert [call[1:] for call in calls] == [(0, 1)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sort": "date"}, "sort is for a folder of runs"),
        ({"sort": "size"}, "unknown order 'size'"),
        ({"other": "x.pt", "weights": True}, "weights is not available for two checkpoints"),
    ],
)
def test_wrong_use_of_one_checkpoint(run, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        ganctl.inspect(run, **options)


def test_wrong_use_of_a_folder(run):
    with pytest.raises(UsageError, match="weights is not available for a folder of runs"):
        ganctl.inspect(run.parent, weights=True)


def test_weights_that_do_not_fit_are_refused_with_the_files_name(run, tiny_checkpoint):
    wrong = dataclasses.replace(tiny_checkpoint, generator={})
    (run / "ckpt.pt").write_bytes(checkpoint.encode(wrong))
    with pytest.raises(CheckpointError, match=r"ckpt\.pt does not fit its own configuration"):
        ganctl.inspect(run)
    assert ganctl.inspect(run.parent)["runs"][0]["state"] == "unreadable"
