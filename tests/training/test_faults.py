"""A training run whose disk fails at any call leaves an intact checkpoint to resume from."""

import csv
import errno
import itertools
import os

import pytest
import torch
from faults import FaultyDisk

from ganctl import files
from ganctl.errors import RunError
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import pictures, session

NETWORKS = ("generator", "generator_ema", "discriminator", "optimizer_g", "optimizer_d")


def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def bits(value):
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    return {name: bits(item) for name, item in value.items()}


def outcome(run, without_times):
    found = read_checkpoint(run.path)
    with run.losses_table.open(newline="") as file:
        table = without_times(csv.DictReader(file))
    pictures = {path.name: path.read_bytes() for path in run.samples()}
    snapshots = [path.name for path in run.snapshots()]
    networks = [bits(getattr(found, part)) for part in NETWORKS]
    best = run.best.exists() and read_checkpoint(run.best).step
    return found.step, networks, table, pictures, snapshots, best


def steps_saved(calls):
    """Return the step of each checkpoint after `calls`, in a run of 3 steps per epoch."""
    state, saved = 0, {}
    for point, name in calls:
        if point == "rename" and name.endswith(".pt"):
            saved[name] = state
            state += 3 * (name == "ckpt.pt")  # the last that a state is written to
    return saved


def steps_found(run):
    paths = itertools.chain([run.latest, run.best], run.snapshots())
    return {path.name: read_checkpoint(path).step for path in paths if path.exists()}


@pytest.mark.parametrize("after", [False, True], ids=["in a call's place", "after a call"])
def test_whatever_call_fails_the_resumed_run_has_the_same_end(
    tmp_path, tiny_config, train, without_times, monkeypatch, after
):
    config = tiny_config(epochs=2, snapshot_every=1, keep=1, base_channels=1, eval_samples=10)
    monkeypatch.setattr(
        pictures, "_DRAW_SHARE", 1e-9
    )  # drawn at the first epoch's end, and at the last
    whole, disk = RunDirectory(tmp_path / "whole"), FaultyDisk(full)
    monkeypatch.setattr(files, "disk", disk)
    train(session.new(config, whole.path, "cpu"))
    expected, calls = outcome(whole, without_times), disk.calls
    assert {name for point, name in calls if point == "rename"} == {
        "config.json", "ckpt.pt", "best.pt", "epoch-0001.pt", "epoch-0002.pt", "losses.csv",
        "losses.png", "epoch-0001.png", "epoch-0002.png", "training.gif",
    }  # fmt: skip
    for at in range(1, len(calls) + 1):
        run = RunDirectory(tmp_path / f"fault-{at}")
        disk = FaultyDisk(full, at, after=after)
        monkeypatch.setattr(files, "disk", disk)
        with pytest.raises(RunError, match="no space left on device") as caught:
            train(session.new(config, run.path, "cpu"))
        assert "resume=True" in str(caught.value.hint)
        saved, found = steps_saved(disk.calls[: at - (not after)]), steps_found(run)
        if "epoch-0002.pt" in saved:  # then the first may be gone: one is kept
            found.setdefault("epoch-0001.pt", 3)
        assert found == saved, calls[at - 1]
        assert not any(map(files.is_temporary, run.path.rglob("*")))
        monkeypatch.setattr(files, "disk", files.Disk())
        train(session.resume(run.path, {}, "cpu") if saved else
              session.new(config, run.path, "cpu"))  # fmt: skip
        assert run.read_starts()[-1]["from_step"] == saved.get("ckpt.pt", 0)
        assert outcome(run, without_times) == expected, calls[at - 1]


def test_a_slow_disk_changes_no_bit(tmp_path, tiny_config, train, without_times, monkeypatch):
    runs = [RunDirectory(tmp_path / name) for name in ("quick", "slow")]
    train(session.new(tiny_config(), runs[0].path, "cpu"))

    class SlowDisk(files.Disk):
        def sync(self, file):
            files.time.sleep(0.05)
            super().sync(file)

    monkeypatch.setattr(files, "disk", SlowDisk())
    train(session.new(tiny_config(), runs[1].path, "cpu"), save_every=0.01)
    assert outcome(runs[1], without_times) == outcome(runs[0], without_times)
