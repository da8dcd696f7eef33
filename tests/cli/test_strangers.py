"""Files that somebody else made, or can change: what no command does, whatever they hold."""

from __future__ import annotations

import os
import shutil

import pytest

from ganctl import store


@pytest.fixture
def planted(run, tmp_path):
    """A run as a stranger's archive may hold it: what is written there is a link out of it."""
    folder, home = tmp_path / "run", tmp_path / "home"
    shutil.copytree(run, folder)
    (home / "samples").mkdir(parents=True)
    (home / "samples" / "epoch-0003.png").write_bytes(b"precious")
    (home / "samples" / ".ganctl-paper.tmp").write_bytes(b"precious")
    for name in ("ckpt.pt", "config.json", "losses.csv", "losses.png", "training.gif"):
        (home / name).write_bytes(b"precious")
        (folder / f".ganctl-{name}.{os.getpid()}.tmp").symlink_to(home / name)
        if name != "ckpt.pt":
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(home / name)
    shutil.rmtree(folder / "samples")
    (folder / "samples").symlink_to(home / "samples")
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(home / "lock")
    return folder, home


@pytest.mark.skipif(os.name != "posix", reason="links need no rights on POSIX systems alone")
def test_a_resume_changes_nothing_outside_the_run(ok, planted, files):
    folder, home = planted
    before = files(home)
    ok("train", "--resume", "--out", folder, "--epochs", "3")
    assert files(home) == before
    assert store.read_checkpoint(folder).step == 12
    for path in (folder, folder / "samples", *folder.iterdir()):
        assert not path.is_symlink(), path
    assert (folder / "samples" / "epoch-0003.png").is_file()
    assert store.RunDirectory(folder).read_starts()
