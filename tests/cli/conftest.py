"""A tiny trained run that every command's tests read, and ways to call the command line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
import torch

from ganctl import checkpoint, plots, store
from ganctl.cli import main
from ganctl.datasets import mnist

TINY = ("--limit", "64", "--batch-size", "16", "--device", "cpu", "--precision", "fp32",
        "--set", "eval_samples=0")  # fmt: skip
DCGAN = (*TINY, "--preset", "dcgan", "--set", "base_channels=2")
DOCS = Path(__file__).parents[2] / "docs"
FAST = (*TINY, "--preset", "fast", "--set", "base_channels=4", "--latent-dim", "100")


@dataclass(frozen=True)
class Result:
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def cli():
    """Call `ganctl` in this process, with both streams as pipes."""

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return Result(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def ok(cli):
    """Call `ganctl` and require success."""

    def call(*arguments):
        result = cli(*arguments)
        assert result.code == 0, result.err
        return result

    return call


@pytest.fixture
def on_terminal(monkeypatch):
    """Call `ganctl` in this process with both streams on a pseudo-terminal; its screen as `out`."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments):
        ours, theirs = pty.openpty()
        shown = []

        def read():
            with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
                while chunk := os.read(ours, 65536):
                    shown.append(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        with (
            open(theirs, "w", encoding="utf-8") as screen,  # noqa: PTH123
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            code = main([str(argument) for argument in arguments])
        reader.join()
        os.close(ours)
        return Result(code, b"".join(shown).decode(), "")

    return call


@pytest.fixture(scope="session")
def documented():
    """Validate a document against docs/ganctl.schema.json and its own definition there."""
    schema = json.loads((DOCS / "ganctl.schema.json").read_text("utf-8"))
    known = schema["$defs"]

    def check(name, document):
        jsonschema.validate(document, known[name] | {"$defs": known})  # which says what is wrong
        jsonschema.validate(document, schema)

    return check


@pytest.fixture(scope="session")
def command():
    """The command that starts `ganctl` as a process of its own."""
    return [sys.executable, "-m", "ganctl"]


@pytest.fixture(scope="session")
def python():
    """Run Python source in a process of its own."""

    def call(source, *arguments, **options):
        return subprocess.run(
            [sys.executable, "-c", source, *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False, **options,
        )  # fmt: skip

    return call


@pytest.fixture(scope="session")
def files():
    """Read everything below a folder: bytes by relative path, None for folders."""

    def read(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(Path(folder).rglob("*"))
        }

    return read


@pytest.fixture(scope="session", autouse=True)
def _one_quiet_process():
    """Use one thread, as the processes of these tests do, and unpack MNIST once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("GANCTL_DEBUG", raising=False)
        patch.setattr(mnist, "load_train", functools.cache(mnist.load_train))
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def _no_plot(monkeypatch):
    """Skip the plot, which takes longer than the training of these tests."""
    monkeypatch.setattr(plots, "losses_png", lambda *_: b"a plot")


@pytest.fixture(scope="session")
def fast_options():
    """Options of a quick run of preset `fast` with 4 steps per epoch."""
    return FAST


@pytest.fixture(scope="session")
def dcgan_options():
    """Options of a quick run of preset `dcgan` with 4 steps per epoch."""
    return DCGAN


@pytest.fixture(scope="session")
def training(cli, tmp_path_factory):
    """The folder of `run`, and the output of `ganctl train` that made it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["train", *FAST, "--epochs", "2", "--out", str(folder)]
    result = cli(*arguments)
    assert result.code == 0, result.err
    return folder, result


@pytest.fixture(scope="session")
def run(training, files):
    """A finished run of two epochs, for reading only: a changed byte fails the last test."""
    folder, _ = training
    before = files(folder)
    yield folder
    assert files(folder) == before


NAMES = ("airplane", "Cat", "dog", "frog", "lion", "mouse", "otter", "pig", "yak", "a, b\x1b[2J")


@pytest.fixture(scope="session")
def named_run(run, tmp_path_factory):
    """The checkpoint of `run` with NAMES as names of its classes, for reading only."""
    found = store.read_checkpoint(run)
    path = tmp_path_factory.mktemp("named") / "ckpt.pt"
    data = {**found.data, "classes": list(NAMES)}
    path.write_bytes(checkpoint.encode(dataclasses.replace(found, data=data)))
    return path


@pytest.fixture(scope="session")
def dcgan_run(cli, tmp_path_factory):
    """A finished run of preset `dcgan`, which keeps no moving average, for reading only."""
    folder = tmp_path_factory.mktemp("runs") / "classic"
    result = cli("train", *DCGAN, "--steps", "2", "--out", folder)
    assert result.code == 0, result.err
    return folder
