"""Training as users do it: everything that is on by default is on, and only the data is small.

For speed, other tests train tiny networks without metrics, plots or a second thread. What fails
only with these is found here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import groups
import pytest
from PIL import Image

from ganctl import store
from ganctl.history import QUALITY_METRICS

LITTLE = ("--limit", "640")  # ten steps an epoch


@pytest.fixture(autouse=True)
def every_step_is_read():
    """Override the fixture of this name: metrics are read at intervals of time, as by default."""


@pytest.fixture(autouse=True)
def _any_number_of_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")


def check(folder, epochs, *, unknown=("patch_distance",), processes=1):
    """Check that a run of `epochs` has left every file that users are promised.

    `unknown` are the metrics of samples that are not measured.
    """
    run, found = store.RunDirectory(folder), store.read_checkpoint(folder)
    assert [row["epoch"] for row in found.history] == list(range(1, epochs + 1))
    for row in found.history:
        assert row["diversity"] > 0
        missing = [name for name in QUALITY_METRICS if row[name] is None]
        assert missing == list(unknown)
    assert len(run.losses_table.read_text().splitlines()) == 1 + epochs
    with Image.open(run.losses_plot) as plot:
        plot.load()
    with Image.open(run.animation) as animation:
        assert animation.n_frames == epochs
    assert len(run.samples()) == epochs
    assert run.best.exists()
    assert found.config.precision in ("fp32", "bf16")
    assert found.config.threads >= 1
    assert found.made_by["processes"] == processes
    return found


def test_on_a_terminal_killed_and_resumed(ok, command, tmp_path):
    emulator = pytest.importorskip("emulator", reason="no pseudo-terminals here")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    arguments = ["train", *LITTLE, "--epochs", "3", "--out"]
    with emulator.Emulator([*command, *arguments, str(killed)], 120, 40) as terminal:
        terminal.run(lambda shown: "samples at step" in shown and "epoch 2" in shown, seconds=120)
    assert "Traceback" not in terminal.text
    assert 10 <= groups.saved(killed).step < 30

    ok("train", "--resume", "--out", killed)
    found = check(killed, 3).config  # two settings are found by the clock, and they decide the bits
    ok(*arguments, undisturbed, "--threads", found.threads, "--precision", found.precision)
    assert groups.end_equal(killed, undisturbed)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_by_two_processes_killed_and_resumed_by_torchrun(command, tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [*command, "train", *LITTLE, "--epochs", "1000", "--num-processes", "2", "--out",
         str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        groups.begun(process, folder, step=10)
        os.kill(groups.members(process)[-1], signal.SIGKILL)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (1, "")
    assert said.count("ganctl: ") == 1
    assert "another process of this run has ended" in said

    epochs = groups.saved(folder).step // 10 + 1
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "ganctl", "train", "--resume", "--epochs", str(epochs), "--out", str(folder)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "may differ in rounding" not in done.stderr
    check(folder, epochs, processes=2)


@pytest.fixture
def images(tmp_path):
    """A folder of 64 images in two classes, of more than one size."""
    for number in range(64):
        path = tmp_path / "images" / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40 + number % 3, 32), number).convert("RGB").save(path)
    return tmp_path / "images"


def flat(ok, images):
    for path in images.rglob("*.jpg"):
        path.rename(images / path.name)
    return ["--data", images]


def streamed(ok, images):
    ok("data", "pack", images, "-o", images.parent / "shards/{000..}.tar", "--per-shard", "20")
    return ["--data", images.parent / "shards/index.json"]


USES = {
    "own images with classes": (lambda ok, images: ["--data", images], 2),
    "own images without": (flat, 0),
    "streamed": (streamed, 2),
    "mnist, augmented": (lambda *_: ["--limit", "64", "--augment", "color,cutout"], 10),
    "the classic recipe, conditional": (
        lambda *_: ["--preset", "dcgan", "--conditional", "--limit", "256"], 10,
    ),
}  # fmt: skip


NOT_OF_DIGITS = (
    "patch_distance", "classifier_score", "sure_share", "smallest_class", "largest_class",
)  # fmt: skip
"""Metrics that are not measured of other images where the network of ImageNet is installed."""


@pytest.mark.parametrize("use", USES)
def test_trained_resumed_and_drawn_from(ok, images, tmp_path, use):
    make, num_classes = USES[use]
    out = tmp_path / "run"
    given = make(ok, images)
    # As many samples as by default would go through the network of ImageNet for ten seconds.
    fewer = ("--set", "eval_samples=100") if "--data" in given else ()
    ok("train", *given, *fewer, "--epochs", "1", "--out", out)
    ok("train", "--resume", "--epochs", "2", "--out", out)
    unknown = NOT_OF_DIGITS if "--data" in given else ("patch_distance",)
    found = check(out, 2, unknown=unknown)
    assert found.config.network.num_classes == num_classes
    ok("sample", out, "-o", tmp_path / "grid.png")
    ok("inspect", out)
