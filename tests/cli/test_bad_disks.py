"""Disks that are full, limited, read-only or removed, and a clock that is wrong."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time

import pytest

from ganctl import files, store
from ganctl.cli import displays

pytestmark = pytest.mark.usefixtures("_no_plot")


@contextlib.contextmanager
def file_size_limit(num_bytes):
    """Limit the size of the files that this process writes to `num_bytes` within this context."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path):
    """A real file system that can be given another size, or made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return shutil.which("mount") and subprocess.run(
            command, capture_output=True, check=False
        ).returncode == 0  # fmt: skip

    if not sys.platform.startswith("linux") or not mount("size=32m"):
        pytest.skip("may not mount a file system here")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(folder)], check=True)


def assert_refused(result, *words):
    assert result.code == 1
    assert re.search("|".join(words), result.err), result.err
    assert "Traceback" not in result.err


def assert_whole(folder):
    assert not any(map(files.is_temporary, folder.rglob("*")))
    for path in folder.rglob("*.pt"):
        store.read_checkpoint(path)


def go_on(ok, options, out):
    """Continue as a user would: resume, or start again if nothing was saved yet."""
    ok("train", *([] if store.RunDirectory(out).is_run() else options), "--out", out,
       *(["--resume"] if store.RunDirectory(out).is_run() else []))  # fmt: skip


def same_end(out, run):
    ended, expected = store.read_checkpoint(out), store.read_checkpoint(run)
    assert ended.step == expected.step
    assert all(ended.generator[name].equal(expected.generator[name]) for name in ended.generator)


def test_a_run_on_a_full_disk_stops_and_resumes_once_there_is_room(
    cli, ok, run, fast_options, small_disk
):
    disk, remount = small_disk
    options = [*fast_options, "--epochs", "2", "--snapshot-every", "1"]
    hit = set()
    checkpoint = 4 * -(-(run / "ckpt.pt").stat().st_size // 4096)  # in pages, as kilobytes
    for kilobytes in (4, 8, checkpoint + 12, checkpoint * 3 // 2, 2 * checkpoint + 84, 4000):
        remount(f"size={kilobytes}k")
        (disk / "in the way").write_bytes(b"a page")
        out = disk / "run"
        result = cli("train", *options, "--out", out)
        if result.code:
            assert_refused(result, "no space left on device")
            hit.add(re.search(r"([\w.-]+) cannot be written", result.err).group(1))
        assert_whole(out)
        remount("size=32m")
        go_on(ok, options, out)
        same_end(out, run)
        shutil.rmtree(out)
    assert {"config.json", "ckpt.pt", "epoch-0001.png"} < hit


@pytest.mark.parametrize("limit", [0, 900, 3000, 30_000])
def test_a_limit_on_file_sizes_stops_a_run(cli, ok, run, fast_options, tmp_path, limit):
    out, options = tmp_path / "run", [*fast_options, "--epochs", "2"]
    with file_size_limit(limit):
        result = cli("train", *options, "--out", out)
    assert_refused(result, "file too large")
    assert_whole(out)
    go_on(ok, options, out)
    same_end(out, run)


@pytest.mark.parametrize("name", ["grid.png", "folder/", "array.npz"])
def test_samples_on_a_full_disk_leave_what_was_there(cli, run, small_disk, name):
    disk, remount = small_disk
    (disk / "array.npz").write_bytes(b"old")
    (disk / "grid.png").write_bytes(b"old")
    remount("size=12k")
    result = cli("sample", run, "-n", "64", "-o", f"{disk}/{name}")
    assert_refused(result, "no space left on device", "are free there")
    assert (disk / "array.npz").read_bytes() == (disk / "grid.png").read_bytes() == b"old"
    assert not any(map(files.is_temporary, disk.rglob("*")))


def test_a_read_only_disk(cli, ok, run, fast_options, small_disk):
    disk, remount = small_disk
    out, options = disk / "run", [*fast_options, "--epochs", "2"]
    ok("train", *fast_options, "--steps", "4", "--out", out)
    remount("ro")
    resume = ["train", "--resume", "--epochs", "2", "--out", out]
    assert_refused(cli(*resume), "read-only file system")
    assert_refused(cli("train", *options, "--out", disk / "new"), "no write permission in")
    assert_refused(cli("sample", run, "-o", disk / "grid.png"), "read-only file system")
    remount("rw")
    ok(*resume)
    same_end(out, run)


def test_a_folder_that_is_removed_during_training(cli, fast_options, tmp_path, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(
        displays.PlainLines, "on_step", lambda _, p: p.step == 5 and shutil.rmtree(out)
    )
    result = cli("train", *fast_options, "--epochs", "2", "--out", out)
    assert_refused(result, "was removed or replaced during training")
    assert not out.exists()


@pytest.mark.parametrize("save_every", ["1e-9", "120"], ids=["to a save", "to an epoch's end"])
@pytest.mark.parametrize("running", [False, True])
def test_a_run_leaves_alone_another_run_that_started_in_its_folder(
    cli, ok, fast_options, tmp_path, monkeypatch, request, save_every, running
):
    out, begun, contents = tmp_path / "run", {}, request.getfixturevalue("files")

    def begin_anew(_, progress):
        if progress.step == 5:
            shutil.rmtree(out)
            ok("train", *fast_options, "--steps", "1", "--seed", "7", "--out", out)
            begun.update(contents(out))
            if running:
                stack.enter_context(store.RunDirectory(out).lock())

    monkeypatch.setattr(displays.PlainLines, "on_step", begin_anew)
    with contextlib.ExitStack() as stack:
        result = cli(
            "train", *fast_options, "--epochs", "2", "--save-every", save_every, "--out", out
        )
    assert_refused(result, "was removed or replaced during training")
    assert begun
    assert contents(out) == begun


@pytest.mark.parametrize("now", [0.0, 1e8, 4e9])
def test_a_clock_that_is_wrong_changes_nothing(cli, ok, run, fast_options, tmp_path, monkeypatch,
                                               now):  # fmt: skip
    """The clock is set back by decades, since durations come from another clock."""
    out = tmp_path / "run"
    ok("train", *fast_options, "--steps", "4", "--out", out)
    monkeypatch.setattr(time, "time", lambda: now)
    ok("train", "--resume", "--epochs", "2", "--out", out)
    same_end(out, run)
    assert all(row["seconds"] >= 0 for row in store.read_checkpoint(out).history)
    ok("sample", out, "-n", "4", "-o", tmp_path / "x.npz")
