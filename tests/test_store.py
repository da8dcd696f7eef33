import csv
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganctl.checkpoint import encode
from ganctl.errors import CheckpointError, RunError
from ganctl.files import write_atomic
from ganctl.store import RunDirectory, newest_intact, read_checkpoint


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """An empty run directory."""
    run = RunDirectory(tmp_path / "run")
    run.prepare()
    return run


# Where a run may begin.


def test_a_run_may_begin_in_a_missing_or_empty_folder(tmp_path):
    RunDirectory(tmp_path / "not" / "there").require_new()
    RunDirectory(tmp_path).require_new()
    run = RunDirectory(tmp_path)
    with run.lock():
        run.require_new()


@pytest.mark.parametrize("file", ["ckpt.pt", "epoch-0005.pt"])
def test_a_run_does_not_begin_over_another(run, file):
    (run.path / file).write_bytes(b"precious")
    assert run.is_run()
    with pytest.raises(RunError, match="already holds a run") as caught:
        run.require_new()
    assert "resume=True" in str(caught.value.hint)
    assert str(run.path.with_name("run-2")) in str(caught.value.hint)


def test_a_run_does_not_begin_among_other_files(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert not RunDirectory(tmp_path).is_run()
    with pytest.raises(RunError, match="not empty and not a run"):
        RunDirectory(tmp_path).require_new()


def test_a_run_does_not_begin_in_a_file(tmp_path):
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(RunError, match="cannot be a run directory"):
        RunDirectory(tmp_path / "run").require_new()


def test_a_run_does_not_begin_where_no_folder_can_be_made(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))
    with pytest.raises(RunError, match=re.escape(f"no write permission in {tmp_path}")) as caught:
        RunDirectory(tmp_path / "not" / "there").require_new()
    assert asked == [tmp_path]
    assert "with out" in str(caught.value.hint)


def test_a_free_sibling_is_the_first_number_not_taken(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    assert run.free_sibling() == tmp_path / "run-2"
    for taken in ("run-2", "run-3", "run-5"):
        (tmp_path / taken).mkdir()
    assert run.free_sibling() == tmp_path / "run-4"
    monkeypatch.chdir(tmp_path)
    assert RunDirectory(Path("run")).free_sibling() == Path("run-4")


def test_preparing_removes_what_a_killed_run_left(run):
    leftovers = [run.path / ".ganctl-ckpt.pt.77.tmp", run.path / "samples" / ".ganctl-a.png.7.tmp"]
    kept = [run.path / "notes.tmp", run.path / ".ganctl-notes"]
    for path in leftovers + kept:
        path.write_bytes(b"")
    run.prepare()
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in kept)


# The lock.


def test_a_folder_is_locked_once_and_released_after(run):
    with run.lock(), pytest.raises(RunError, match="another training run is using"), run.lock():
        pass
    with pytest.raises(ValueError, match="within"), run.lock():
        raise ValueError("within")
    with run.lock():
        pass


def test_another_process_holds_the_lock_until_it_dies(run):
    code = (
        "import sys, pathlib; from ganctl.store import RunDirectory\n"
        "with RunDirectory(pathlib.Path(sys.argv[1])).lock():\n"
        "    print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline().strip() == b"locked"
            with pytest.raises(RunError, match="another training run is using"), run.lock():
                pass
        finally:
            process.kill()
            process.wait()
    with run.lock():
        pass


# Files of a run.


def test_files_have_the_documented_names(run):
    found = [run.latest, run.losses_plot, run.animation, run.sample(1), run.snapshot(50)]
    relative = [path.relative_to(run.path).as_posix() for path in found]
    assert relative == [
        "ckpt.pt",
        "losses.png",
        "training.gif",
        "samples/epoch-0001.png",
        "epoch-0050.pt",
    ]


def test_the_newest_snapshots_are_kept(run):
    (run.path / "epoch-best.pt").write_bytes(b"the user's own")
    for epoch in (8, 9, 10, 9_999, 10_000):
        run.write_snapshot(epoch, b"%d" % epoch, keep=3)
    kept = ["epoch-0010.pt", "epoch-9999.pt", "epoch-10000.pt"]
    assert [path.name for path in run.snapshots()] == kept
    assert run.snapshot(10_000).read_bytes() == b"10000"
    assert (run.path / "epoch-best.pt").exists()


def test_a_snapshot_is_never_pushed_out_by_later_ones(run):
    """Later snapshots exist if a run was resumed from an older checkpoint than its newest."""
    for epoch in (3, 6, 9):
        run.write_snapshot(epoch, b"damaged later", keep=3)
    run.write_snapshot(2, b"whole", keep=1)
    assert run.snapshots() == [run.snapshot(epoch) for epoch in (2, 3, 6, 9)]
    run.write_snapshot(6, b"whole", keep=1)
    assert run.snapshots() == [run.snapshot(6), run.snapshot(9)]


def test_a_run_has_another_version_once_a_checkpoint_was_written(run):
    assert run.version() == (None,)
    versions = set()
    for _ in range(3):
        write_atomic(run.latest, b"the same")
        versions.add(run.version())
    assert len(versions) == 3


def test_samples_are_in_the_order_of_their_epochs(run):
    for epoch in (10_000, 2, 9_999):
        run.sample(epoch).write_bytes(b"")
    assert run.samples() == [run.sample(2), run.sample(9_999), run.sample(10_000)]


def test_losses_csv_has_the_whole_history(run):
    history = [{"epoch": 1, "g_loss": 0.1}, {"epoch": 2, "g_loss": 1 / 3}]
    for rows in (history[:1], history):
        run.write_losses(rows)
    text = (run.path / "losses.csv").read_text()
    assert text == f"epoch,g_loss\n1,0.1\n2,{1 / 3}\n"
    assert [float(row["g_loss"]) for row in csv.DictReader(text.splitlines())] == [0.1, 1 / 3]
    run.write_losses([])
    assert (run.path / "losses.csv").read_text() == ""


DAMAGED = [
    b'{"starts": 5}', b'{"starts": "x"}', b'{"starts": {"a": 1}}', b'{"starts": [5, ["x"]]}',
    b'{"starts": [{"deep": ' + b"[" * 900 + b"]" * 900 + b"}]}", b"[" * 100_000,
    b'{"starts": "\xff"}', b'{"starts": 1' + b"0" * 10_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_config_has_no_starts(run, content):
    (run.path / "config.json").write_bytes(content)
    assert run.read_starts() == []
    with pytest.raises(RunError, match="not empty and not a run"):
        run.require_new()
    write_atomic(run.latest, b"precious")
    with pytest.raises(RunError, match="already holds a run"):
        run.require_new()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_file_does_not_block(run):
    os.mkfifo(run.path / "config.json")
    os.mkfifo(run.path / ".ganctl-x.1.tmp")
    assert run.read_starts() == []
    run.prepare()


def test_a_run_does_not_begin_in_a_folder_with_samples(tmp_path):
    mine = RunDirectory(tmp_path / "mine")
    mine.sample(1).parent.mkdir(parents=True)
    mine.require_new()
    mine.sample(1).write_bytes(b"mine")
    with pytest.raises(RunError, match="not empty"):
        mine.require_new()


def test_valid_starts_of_a_damaged_config_are_kept(run):
    run.write_config({"starts": [{"command": "ganctl train", "from_step": 0}, None, {"a": []}]})
    assert run.read_starts() == [{"command": "ganctl train", "from_step": 0}]


def test_a_command_line_that_is_not_utf_8_survives_a_round_trip(run):
    run.write_config({"starts": [{"command": "ganctl train --out \udcff"}]})
    assert run.read_starts() == [{"command": "ganctl train --out \udcff"}]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", {}), ("{", {}), ("[1]", {}), ('{"a": 1}', {"a": 1}), (None, {}), ("[" * 100_000, {})],
)
def test_a_config_that_cannot_be_read_counts_as_none(run, text, found):
    if text is not None:
        (run.path / "config.json").write_text(text)
    assert run.read_config() == found


def test_a_run_may_begin_among_the_remains_of_one_that_was_killed_at_once(run):
    run.write_config({"config": {}, "starts": [{"command": "ganctl train"}]})
    (run.path / "samples").mkdir(exist_ok=True)
    (run.path / ".ganctl-ckpt.pt.123.tmp").write_bytes(b"half")
    run.require_new()


def test_somebody_elses_config_is_left_alone(run):
    (run.path / "config.json").write_text('{"mine": true}')
    with pytest.raises(RunError, match="not empty and not a run"):
        run.require_new()


def test_a_config_survives_a_round_trip(run):
    run.write_config({"data": "ümlaut", "starts": [1, 2]})
    assert run.read_config() == {"data": "ümlaut", "starts": [1, 2]}


# Reading checkpoints.


def test_a_checkpoint_is_read_from_its_file_or_its_run(run, tiny_checkpoint):
    write_atomic(run.latest, encode(tiny_checkpoint))
    assert read_checkpoint(run.latest).step == tiny_checkpoint.step
    assert read_checkpoint(run.path).digest == read_checkpoint(run.latest).digest


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("none.pt", "no checkpoint at"), ("", "holds no ckpt.pt"), ("damaged.pt", "is not a ganctl")],
)
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, name, complaint):
    (tmp_path / "damaged.pt").write_bytes(b"what is this")
    path = tmp_path / name
    with pytest.raises(CheckpointError, match=complaint) as caught:
        read_checkpoint(path)
    assert str(path) in caught.value.message


def test_a_damaged_latest_falls_back_to_the_newest_intact_snapshot(run, tiny_checkpoint):
    content = encode(tiny_checkpoint)
    write_atomic(run.latest, content[:-100])
    write_atomic(run.snapshot(1), content)
    write_atomic(run.snapshot(2), content)
    write_atomic(run.snapshot(3), b"")
    found = newest_intact(run)
    assert (found.path, found.checkpoint.step) == (run.snapshot(2), tiny_checkpoint.step)
    assert found.version == run.version()
    first, second = map(str, found.problems)
    assert str(run.latest) in first
    assert str(run.snapshot(3)) in second


@pytest.mark.parametrize("content", [b"damaged", None])
@pytest.mark.parametrize(
    ("steps", "newest"),
    [
        ({"best.pt": 9, "epoch-0002.pt": 6}, "best.pt"),
        ({"best.pt": 3, "epoch-0002.pt": 6}, "epoch-0002.pt"),
        ({"best.pt": 6, "epoch-0002.pt": 6, "epoch-0001.pt": 3}, "epoch-0002.pt"),
        ({"epoch-0002.pt": 6, "epoch-0001.pt": 9}, "epoch-0001.pt"),  # renamed by someone
    ],
)
def test_the_newest_is_the_one_with_the_most_steps(run, tiny_checkpoint, content, steps, newest):
    for name, step in steps.items():
        write_atomic(run.path / name, encode(dataclasses.replace(tiny_checkpoint, step=step)))
    if content:
        run.latest.write_bytes(content)
    found = newest_intact(run)
    assert (found.path.name, found.checkpoint.step) == (newest, max(steps.values()))
    (problem,) = found.problems
    assert str(run.latest) in problem.message


def test_only_the_latest_is_read_if_it_is_intact(run, tiny_checkpoint):
    write_atomic(run.latest, encode(tiny_checkpoint))
    for path in (run.best, run.snapshot(1)):
        write_atomic(path, b"damaged")
    found = newest_intact(run)
    assert (found.path, found.problems) == (run.latest, [])


def test_without_an_intact_checkpoint_the_error_is_that_of_the_latest(run):
    run.latest.write_bytes(b"")
    run.snapshot(1).write_bytes(b"what is this")
    with pytest.raises(CheckpointError, match=r"ckpt\.pt is empty"):
        newest_intact(run)


@pytest.mark.skipif(os.name != "posix", reason="links need no rights on POSIX systems alone")
def test_no_samples_are_found_through_a_link(tmp_path):
    others = RunDirectory(tmp_path / "others")
    others.prepare()
    others.write(others.sample(1), b"a picture")
    assert others.samples() == [others.sample(1)]
    sent = RunDirectory(tmp_path / "sent")
    sent.path.mkdir()
    (sent.path / "samples").symlink_to(others.sample(1).parent)
    assert sent.samples() == []
