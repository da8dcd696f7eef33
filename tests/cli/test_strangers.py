"""Files that somebody else made or can change: what commands never do, whatever is in them."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import shutil
import threading

import pytest

from ganctl import checkpoint, private_folders, store
from ganctl.config import schema
from ganctl.errors import PackageError, UsageError
from ganctl.evaluation import results
from ganctl.evaluation.evaluator import Metrics


@pytest.fixture
def planted(run, tmp_path):
    """A run as in a stranger's archive: every file that a run writes is a link to elsewhere."""
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
    """The address of a server on this machine, and the paths that were requested from it."""
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
    """Make a run directory, as a stranger can, that claims to be trained on the given images."""

    def make(data):
        folder = tmp_path / "sent"
        folder.mkdir(exist_ok=True)
        found = store.read_checkpoint(run)
        forged = dataclasses.replace(found, config=schema.override(found.config, {"data": data}))
        (folder / "ckpt.pt").write_bytes(checkpoint.encode(forged))
        return folder

    return make


@pytest.mark.parametrize("kind", ["address", "folder", "data set"])
def test_no_command_reads_the_images_that_a_checkpoint_names(
    cli, ok, naming, requests, photos, tmp_path, cache_folder, files, kind, monkeypatch
):
    def no_features(*_, **__):
        raise PackageError("an extra is missing")

    monkeypatch.setattr("ganctl.features.load", no_features)  # what is read is asked first
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
    assert "you never trained on these images on this machine" in said
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
    assert "12 images are too few to evaluate with" in evaluated().err  # these were read
    shutil.rmtree(private_folders.folder("trained"))
    assert "add --data" in evaluated().err
    assert "12 images are too few to evaluate with" in evaluated("--data", photos).err
    shutil.copytree(photos / "cat", tmp_path / "others")
    said = evaluated("--data", tmp_path / "others").err
    assert "others' are not those this run was trained on" in said
    assert "are not those this run was trained on" in evaluated("--data", "mnist").err
    refused = cli("train", "--resume", "--out", folder, "--steps", "2")
    assert "add --data" in refused.err
    ok("train", "--resume", "--out", folder, "--steps", "2", "--data", photos)
    ok("train", "--resume", "--out", folder, "--steps", "3")  # trained on here by now


EVIL = "\x1b]52;c;eA==\x07\x1b[31337m\x9b31m\u202e\u2066\r\nEVIL"
"""Text that writes to the clipboard, steers a terminal, reverses text and begins a new line."""


@pytest.fixture
def evil(run, tmp_path):
    """A run with EVIL in its name and every text in it, and one like it that can be resumed."""
    found = store.read_checkpoint(run)
    config = found.config
    for name, value in schema.settings(config).items():
        if isinstance(value, str):
            try:
                config = schema.override(config, {name: EVIL})
            except UsageError:
                assert name not in ("preset", "data")
    data = {**found.data, "name": EVIL, "classes": [f"{number}{EVIL}" for number in range(10)]}
    forged = dataclasses.replace(
        found,
        config=config,
        data={**data, "digest": EVIL},
        made_by={**dict.fromkeys(found.made_by, EVIL), EVIL: EVIL},
    )
    folder = tmp_path / "runs" / f"sent{EVIL}"
    shutil.copytree(run, folder)
    (folder / "ckpt.pt").write_bytes(checkpoint.encode(forged))
    start = {**dict.fromkeys(("date", "device", "command", "from_step"), EVIL), EVIL: EVIL}
    content = {"config": {"preset": EVIL}, "data": {"classes": [EVIL]}, "starts": [start]}
    (folder / "config.json").write_text(json.dumps(content))
    figures = {field.name: 1 for field in dataclasses.fields(Metrics)} | {"class_shares": []}
    texts = dict.fromkeys(("checkpoint", "digest", "data", "test_images", "features"), EVIL)
    found_last = {
        "step": 1,
        "ema": True,
        "num_test_images": 1,
        "num_patch_images": 1,
        "path_length": 1.5,
        "intra_class": None,
    }
    kept = {**texts, **found_last, "figures": figures, "floor": figures}
    (folder / "evaluation.json").write_text(json.dumps({"evaluations": [kept]}))
    assert results.load(store.RunDirectory(folder))
    (folder / "losses.csv").write_text(f"{EVIL},{EVIL}\n1,{EVIL}\n")
    other = shutil.copytree(folder, tmp_path / "runs" / f"resumed{EVIL}")
    preset = schema.override(found.config, {"preset": EVIL})
    going = dataclasses.replace(forged, config=preset, data=found.data)
    (other / "ckpt.pt").write_bytes(checkpoint.encode(going))
    return folder, other


@pytest.fixture
def evil_images(photos, tmp_path):
    """A folder of images, some of them damaged, whose names and classes are EVIL."""
    folder = tmp_path / f"images{EVIL}"
    shutil.copytree(photos, folder)
    (folder / "cat").rename(folder / f"cat{EVIL}")
    (folder / "dog" / f"bad{EVIL}.png").write_bytes(b"no image")
    return folder


def is_harmless(said):
    """Return whether only ganctl's own sequences in a program's output steer a terminal."""
    rest = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.replace("\x1b[31337m", "\0"))
    steering = {char for char in rest if not char.isprintable()} - {"\n", "\r"}
    return not steering and not re.search(r"^EVIL", rest, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="no such file names elsewhere")
@pytest.mark.parametrize("way", ["terminal", "pipe", "pipe, as JSON"])
def test_no_stored_text_steers_a_terminal(
    cli, on_terminal, evil, evil_images, tmp_path, monkeypatch, way
):
    monkeypatch.chdir(tmp_path)  # the commands' default place for output
    folder, other = evil
    calls = [
        ("inspect", folder),
        ("inspect", folder, "--weights"),
        ("inspect", folder, other),
        ("inspect", folder.parent),
        ("inspect", tmp_path / f"missing{EVIL}"),
        ("sample", folder, "-n", "1", "-o", tmp_path / f"a{EVIL}.png"),
        ("sample", folder, "--class", EVIL, "-o", tmp_path / "a.png"),
        ("sample", folder, "-n", "1", "-o", tmp_path / f"a{EVIL}"),
        ("interpolate", folder, "--frames", "2", "-o", tmp_path / f"b{EVIL}.png"),
        ("evaluate", folder, "-n", "20"),
        ("report", folder, "--compare", other, "--with-images", "-o", tmp_path / f"c{EVIL}.html"),
        ("train", "--resume", "--out", folder),
        ("train", "--data", evil_images, "--out", tmp_path / "new"),
        ("data", evil_images),
        ("data", "pack", evil_images, "-o", tmp_path / "shards" / "{000..}.tar"),
    ]
    if way != "pipe, as JSON":
        calls += [
            ("data", "pack", evil_images, "-o", f"{tmp_path}/s{EVIL}/{{000..}}.tar", "--skip-bad"),
            ("train", "--resume", "--out", other, "--epochs", "3"),
            ("train", "--resume", "--out", other, "--epochs", "3"),
            ("config", EVIL),
            ("config", "--set", f"{EVIL}=1"),
        ]
    for arguments in calls:
        given = (*arguments, "--json") if way == "pipe, as JSON" else arguments
        result = on_terminal(*given) if way == "terminal" else cli(*given)
        for said in (result.out, result.err):
            assert is_harmless(said), (arguments, said)
        assert "defect" not in result.out + result.err, (arguments, result)
