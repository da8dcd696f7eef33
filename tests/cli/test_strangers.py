"""Files that somebody else made, or can change: what no command does, whatever they hold."""

from __future__ import annotations

import dataclasses
import http.server
import os
import shutil
import threading

import pytest

from ganctl import checkpoint, places, store
from ganctl import config as configs


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


@pytest.fixture
def requests():
    """The address of a server on this machine, and what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.json", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def naming(run, tmp_path):
    """A run directory, as a stranger may make one, that was trained on images of any name."""

    def make(data):
        folder = tmp_path / "sent"
        folder.mkdir(exist_ok=True)
        found = store.read_checkpoint(run)
        forged = dataclasses.replace(found, config=configs.override(found.config, {"data": data}))
        (folder / "ckpt.pt").write_bytes(checkpoint.encode(forged))
        return folder

    return make


@pytest.mark.parametrize("kind", ["address", "folder", "data set"])
def test_no_command_reads_the_images_that_a_checkpoint_names(
    cli, ok, naming, requests, photos, tmp_path, cache_folder, files, kind
):
    address, asked = requests
    data = {"address": address, "folder": str(photos), "data set": "cifar10"}[kind]
    folder = naming(data)
    for arguments in (("evaluate", folder, "-n", "20"),
                      ("train", "--resume", "--out", folder, "--epochs", "9")):  # fmt: skip
        result = cli(*arguments)
        assert (result.code, "add --data" in result.err) == (2, True), result.err
        assert data in result.err
    ok("inspect", folder)
    ok("sample", folder, "-n", "1", "-o", tmp_path / "one.png")
    ok("interpolate", folder, "--frames", "2", "-o", tmp_path / "walk.png")
    said = ok("report", folder, "--with-images", "-o", tmp_path / "report.html").err
    assert "never trained on here, left out" in said
    assert asked == []
    kept = files(cache_folder.parent) if cache_folder.parent.exists() else {}
    assert not any(kept.values()), kept.keys()


def test_images_that_the_user_named_or_trained_on_are_read(
    ok, cli, fast_options, photos, tmp_path, monkeypatch
):
    folder = tmp_path / "own"

    def evaluated(*options):
        return cli("evaluate", folder, *options)

    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: None)  # an extra
    options = [*fast_options, "--size", "16", "--batch-size", "4", "--steps", "1"]
    ok("train", *options, "--data", photos, "--out", folder)
    assert "12 images are too few" in evaluated().err  # which it has looked at
    shutil.rmtree(places.folder("trained"))
    assert "add --data" in evaluated().err
    assert "12 images are too few" in evaluated("--data", photos).err
    shutil.copytree(photos / "cat", tmp_path / "others")
    said = evaluated("--data", tmp_path / "others").err
    assert "others' are not those this run was trained on" in said
    assert "are not those this run was trained on" in evaluated("--data", "mnist").err
    refused = cli("train", "--resume", "--out", folder, "--steps", "2")
    assert "add --data" in refused.err
    ok("train", "--resume", "--out", folder, "--steps", "2", "--data", photos)
    ok("train", "--resume", "--out", folder, "--steps", "3")  # trained on here by now
