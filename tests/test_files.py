"""Files are complete or absent, whichever system call fails."""

import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from faults import POINTS, FaultyDisk

from ganctl import files
from ganctl.errors import RunError
from ganctl.files import (
    Disk,
    atomic_writer,
    clear_abandoned,
    exclusive,
    make_folder,
    real_folder,
    write_atomic,
)
from ganctl.store import RunDirectory


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(number):
    def fail():
        raise OSError(number, os.strerror(number))

    return fail


def interrupted():
    raise KeyboardInterrupt


def test_a_file_is_written_over_the_old_one(tmp_path):
    path = tmp_path / "file"
    for content in (b"old and longer", b"new"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half():
        with atomic_writer(path) as file:
            file.write(b"half of the new")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_new_file_does_not_exist_before_it_is_complete(tmp_path):
    path = tmp_path / "file"
    with atomic_writer(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_a_failed_rename_is_a_run_error_and_leaves_no_temporary_file(tmp_path):
    (tmp_path / "file" / "in the way").mkdir(parents=True)
    with pytest.raises(RunError, match="cannot be written"):
        write_atomic(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_a_run_error_with_a_hint(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "disk", FaultyDisk(failing(errno.ENOSPC), 2))
    with pytest.raises(RunError, match="no space left") as caught:
        write_atomic(tmp_path / "file", b"new")
    assert "resume=True" in str(caught.value.hint)
    assert names(tmp_path) == []


def test_a_new_folder_is_durable(tmp_path, monkeypatch):
    """A power cut takes what was not synced: each new folder's name, in the folder above it."""
    disk = FaultyDisk(interrupted)
    monkeypatch.setattr(files, "disk", disk)
    make_folder(tmp_path / "a" / "b" / "c")
    above = [("sync_folder", name) for name in (tmp_path.name, "a", "b")]
    assert disk.calls == above
    make_folder(tmp_path / "a" / "d")
    make_folder(tmp_path / "a" / "b")
    assert disk.calls == [*above, ("sync_folder", "a")]
    monkeypatch.chdir(tmp_path)
    make_folder(Path("e"))
    assert disk.calls[-1] == ("sync_folder", Path().name)


def test_a_new_folder_that_cannot_be_synced_is_a_run_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "disk", FaultyDisk(failing(errno.EIO), 1))
    with pytest.raises(RunError, match="cannot be written"):
        make_folder(tmp_path / "a")


# A fault at each system call in turn.


def test_a_write_makes_all_system_calls_in_order(tmp_path, monkeypatch):
    disk = FaultyDisk(interrupted)
    monkeypatch.setattr(files, "disk", disk)
    write_atomic(tmp_path / "file", b"content")
    assert tuple(point for point, _ in disk.calls) == POINTS


@pytest.mark.parametrize("after", [False, True], ids=["in its place", "after it"])
@pytest.mark.parametrize("at", range(1, len(POINTS) + 1), ids=POINTS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [(failing(errno.EIO), RunError), (interrupted, KeyboardInterrupt)],
    ids=["error", "interrupt"],
)
def test_a_fault_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch, fault, error, at, after):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "disk", FaultyDisk(fault, at, after=after))
    with pytest.raises(error):
        write_atomic(path, b"the new content")
    renamed = at > POINTS.index("rename") + (0 if after else 1)
    assert path.read_bytes() == (b"the new content" if renamed else b"old")
    assert names(tmp_path) == ["file"]


def test_windows_renames_again_while_another_program_has_the_file_open(tmp_path, monkeypatch):
    refusals = [PermissionError(), PermissionError()]
    replace = os.replace

    def refuse(old, new, **folders):
        if refusals:
            raise refusals.pop()
        return replace(old, new, **folders)

    (tmp_path / "new").write_bytes(b"new")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    with monkeypatch.context() as windows:
        windows.setattr(files.sys, "platform", "win32")
        Disk().rename(tmp_path / "new", tmp_path / "file")
    assert names(tmp_path) == ["file"]
    refusals.append(PermissionError())
    with pytest.raises(PermissionError):
        Disk().rename(tmp_path / "file", tmp_path / "elsewhere")


def test_macos_flushes_the_cache_of_the_drive(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    asked, synced = [], []
    monkeypatch.setattr(files.sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, what: asked.append(what))
    monkeypatch.setattr(os, "fsync", synced.append)
    with (tmp_path / "file").open("wb") as file:
        Disk().sync(file)
        assert (asked, synced) == ([51], [])
        monkeypatch.setattr(fcntl, "fcntl", lambda *_: failing(errno.ENOTSUP)())
        Disk().sync(file)
        assert synced == [file.fileno()]


def test_windows_locks_with_its_own_call(tmp_path, monkeypatch):
    calls = []
    windows = SimpleNamespace(LK_NBLCK=2, locking=lambda *arguments: calls.append(arguments[1:]))
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(files.sys, "platform", "win32")
    with exclusive(tmp_path / ".lock") as alone:
        assert alone
    assert calls == [(2, 1)]
    windows.locking = lambda *_: failing(errno.EACCES)()
    with exclusive(tmp_path / ".lock") as alone:
        assert not alone
    write_atomic(tmp_path / "file", b"without a lock, which Windows needs not")
    (tmp_path / ".ganctl-file.77.tmp").write_bytes(b"")
    clear_abandoned(tmp_path)
    assert names(tmp_path) == [".lock", "file"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "")

    monkeypatch.setattr(os, "open", refuse)
    Disk().sync_folder(tmp_path)


# Files that a killed program leaves behind.


def test_abandoned_files_are_removed_and_no_others(tmp_path):
    kept = ["notes.tmp", ".ganctl-notes", "file"]
    for name in [".ganctl-file.77.tmp", ".ganctl-another.png.78.tmp", *kept]:
        (tmp_path / name).write_bytes(b"")
    clear_abandoned(tmp_path)
    assert names(tmp_path) == sorted(kept)
    clear_abandoned(tmp_path / "missing")


def test_a_file_that_is_being_written_is_not_abandoned(tmp_path):
    with atomic_writer(tmp_path / "file") as file:
        file.write(b"whole")
        clear_abandoned(tmp_path)
    assert names(tmp_path) == ["file"]


def test_a_killed_writers_file_is_abandoned(tmp_path):
    code = (
        "import os, pathlib, signal, sys; from ganctl.files import atomic_writer\n"
        "with atomic_writer(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=False)
    assert len(names(tmp_path)) == 1
    clear_abandoned(tmp_path)
    assert names(tmp_path) == []


class HastyDisk(Disk):
    """A disk where another program clears a new file before its writer has locked it."""

    def __init__(self, times):
        self.times = times

    def open(self, path, dir_fd=None):
        file = super().open(path, dir_fd)
        if self.times:
            self.times -= 1
            clear_abandoned(path.parent)
        return file


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_is_removed_before_it_is_locked_is_created_again(tmp_path, monkeypatch, times):
    monkeypatch.setattr(files, "disk", HastyDisk(times))
    write_atomic(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert names(tmp_path) == ["file"]


def test_a_writer_waits_for_a_program_that_is_about_to_remove_its_file(tmp_path, monkeypatch):
    """The writer then creates the file again: a lock on a removed file protects nothing."""
    fcntl = pytest.importorskip("fcntl")
    removers = []

    class SlowDisk(Disk):
        def sync(self, file):
            removers[0].join()
            super().sync(file)

        def open(self, path, dir_fd=None):
            file = super().open(path, dir_fd)
            if not removers:
                other = path.open("rb")
                fcntl.flock(other, fcntl.LOCK_EX)

                def remove():
                    files.time.sleep(0.1)
                    path.unlink()
                    other.close()

                removers.append(threading.Thread(target=remove))
                removers[0].start()
            return file

    monkeypatch.setattr(files, "disk", SlowDisk())
    write_atomic(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_the_next_file_of_an_abandoned_ones_name_is_not_removed(tmp_path, monkeypatch):
    path, lock = tmp_path / ".ganctl-file.77.tmp", files._lock
    path.write_bytes(b"abandoned")

    def late(file):
        path.rename(tmp_path / "file")  # finished, and started again
        path.write_bytes(b"the next one")
        lock(file)

    monkeypatch.setattr(files, "_lock", late)
    clear_abandoned(tmp_path)
    assert path.read_bytes() == b"the next one"


def test_files_are_written_even_if_inode_numbers_mean_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    write_atomic(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    with exclusive(tmp_path / ".lock") as first, exclusive(tmp_path / ".lock") as second:
        assert (bool(first), bool(second)) == (True, False)
        assert first()


# The lock.


def test_only_one_holds_a_lock(tmp_path):
    path = tmp_path / ".lock"
    with exclusive(path) as first, exclusive(path) as second:
        assert (bool(first), bool(second)) == (True, False)
    with exclusive(path) as alone:
        assert alone


def test_the_lock_is_on_the_file_that_others_would_open(tmp_path, monkeypatch):
    path, lock = tmp_path / ".lock", files._lock
    replaced = []

    def late(file):
        if not replaced:
            path.unlink()
            path.write_bytes(b"")
            replaced.append(path)
        lock(file)

    monkeypatch.setattr(files, "_lock", late)
    with exclusive(path) as first, exclusive(path) as second:
        assert replaced
        assert (bool(first), bool(second)) == (True, False)
        assert first()
        path.unlink()
        assert not first()
        path.write_bytes(b"")
        assert not first()
        with exclusive(path) as another:
            assert another()


def test_a_lock_that_cannot_be_checked_counts_as_in_place(tmp_path, monkeypatch):
    with monkeypatch.context() as odd, exclusive(tmp_path / ".lock") as held:
        odd.setattr(os, "fstat", lambda _: failing(errno.EIO)())
        assert held()
        (tmp_path / ".lock").unlink()
        odd.setattr(files.sys, "platform", "win32")
        assert held()
    assert not (tmp_path / ".lock").exists()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_lock", lambda *_, **__: failing(errno.ENOLCK)())
    with exclusive(tmp_path / ".lock") as alone:
        assert alone
    (tmp_path / ".ganctl-file.77.tmp").write_bytes(b"")
    clear_abandoned(tmp_path)
    assert ".ganctl-file.77.tmp" in names(tmp_path)


# Places that cannot be written.


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_atomic(path / "file", b""),
        make_folder,
        lambda path: RunDirectory(path).prepare(),
        lambda path: RunDirectory(path).lock().__enter__(),
        lambda path: RunDirectory(path).write_config({}),
    ],
)
def test_a_place_below_a_file_cannot_be_written(tmp_path, write):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match=re.escape(str(tmp_path / "file"))):
        write(tmp_path / "file" / "below")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind root"
)
def test_a_read_only_folder_is_a_run_error_with_a_hint(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="permission denied") as caught:
        write_atomic(tmp_path / "file", b"")
    assert "writable" in str(caught.value.hint)


def test_the_hint_names_a_missing_folder(tmp_path):
    with pytest.raises(RunError, match="no such file") as caught:
        write_atomic(tmp_path / "missing" / "file", b"")
    assert str(tmp_path / "missing") + " " in str(caught.value.hint)


# Planted links.


@pytest.fixture
def links(tmp_path):
    """Make a link; skip the test on a system without links."""

    def link(path, target):
        try:
            path.symlink_to(target)
        except OSError:
            pytest.skip("no links here")

    return link


def test_nobody_can_guess_the_name_of_a_temporary_file(tmp_path, links):
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    folder = tmp_path / "shared"
    folder.mkdir()
    links(folder / f".ganctl-file.{os.getpid()}.tmp", victim)
    with atomic_writer(folder / "file") as file:
        file.write(b"ours")
        (first,) = (name for name in names(folder) if str(os.getpid()) not in name)
    with atomic_writer(folder / "file") as file:
        assert first not in names(folder)
    assert victim.read_bytes() == b"theirs"


def test_a_link_in_the_place_of_a_new_file_is_not_followed(tmp_path, links):
    links(tmp_path / "new", tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        Disk().open(tmp_path / "new")
    assert names(tmp_path) == ["new"]


def test_a_file_replaces_a_link(tmp_path, links):
    (tmp_path / "victim").write_bytes(b"theirs")
    links(tmp_path / "file", tmp_path / "victim")
    write_atomic(tmp_path / "file", b"ours")
    assert (tmp_path / "victim").read_bytes() == b"theirs"
    assert not (tmp_path / "file").is_symlink()


def test_a_link_that_replaces_a_folder_right_after_it_was_made_is_not_followed(
    tmp_path, links, monkeypatch
):
    (tmp_path / "victim").mkdir()
    folder = tmp_path / "samples"
    links(folder, tmp_path / "victim")

    def late(path):
        assert not path.is_symlink()
        links(path, tmp_path / "victim")

    monkeypatch.setattr(files, "make_folder", late)
    with pytest.raises(RunError, match="samples cannot be written"), real_folder(folder):
        pass
    assert names(tmp_path / "victim") == []


def test_a_link_that_replaces_a_folder_before_a_write_is_not_followed(tmp_path, links):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_bytes(b"theirs")
    folder = tmp_path / "samples"
    with real_folder(folder) as dir_fd:
        write_atomic(folder / "file", b"first", dir_fd)
        assert (folder / "file").read_bytes() == b"first"
        folder.rename(tmp_path / "moved")
        links(folder, tmp_path / "victim")
        write_atomic(folder / "file", b"second", dir_fd)
    assert (tmp_path / "victim" / "file").read_bytes() == b"theirs"
    assert names(tmp_path / "moved") == ["file"]
    assert (tmp_path / "moved" / "file").read_bytes() == b"second"


@pytest.mark.parametrize("target", ["victim", "missing"])
def test_a_link_in_the_place_of_a_lock_is_removed(tmp_path, links, target):
    (tmp_path / "victim").write_bytes(b"theirs")
    links(tmp_path / ".lock", tmp_path / target)
    with exclusive(tmp_path / ".lock") as first, exclusive(tmp_path / ".lock") as second:
        assert (bool(first), bool(second)) == (True, False)
        assert first()
    assert names(tmp_path) == [".lock", "victim"]
    assert not (tmp_path / ".lock").is_symlink()


def test_a_lock_that_was_replaced_by_a_link_is_lost(tmp_path, links):
    with exclusive(tmp_path / ".lock") as held:
        (tmp_path / ".lock").rename(tmp_path / "lock")
        links(tmp_path / ".lock", tmp_path / "lock")
        assert not held()


def test_clearing_removes_a_link_and_not_its_target(tmp_path, links, monkeypatch):
    (tmp_path / "victim").write_bytes(b"theirs")
    links(tmp_path / ".ganctl-file.7.tmp", tmp_path / "victim")
    monkeypatch.setattr(files, "_lock", lambda *_: pytest.fail("it is not ours to lock"))
    clear_abandoned(tmp_path)
    assert names(tmp_path) == ["victim"]
