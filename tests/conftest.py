"""Small configurations, data and checkpoints, so that a test trains in milliseconds."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from ganctl import private_folders
from ganctl.checkpoint import Checkpoint
from ganctl.config import presets, schema
from ganctl.config.schema import TrainConfig
from ganctl.datasets import mnist
from ganctl.datasets.dataset import Dataset
from ganctl.history import QUALITY_METRICS
from ganctl.training.state import create

pytest_plugins = ["browsing"]
settings.register_profile("untimed", deadline=None)  # timing decides no test
settings.load_profile("untimed")
CPU = torch.device("cpu")
NUM_IMAGES = 40


def _tiny_arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_IMAGES, 28, 28), dtype=np.uint8)
    return images, np.arange(NUM_IMAGES, dtype=np.uint8) % 10


@pytest.fixture(scope="session", autouse=True)
def _signals_are_heard():
    """Let tests, and what they start, hear Ctrl-C as in a terminal, even if run by nohup."""
    default = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL,
               "SIGQUIT": signal.SIG_DFL}  # fmt: skip
    for name, handler in default.items():
        number = getattr(signal, name, None)  # Windows has SIGINT alone
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def tiny_config():
    """Return a preset with small networks; on the tiny data an epoch has 3 steps."""

    def make(preset: str = "fast", **changes) -> TrainConfig:
        small = {
            "base_channels": 4,
            "latent_dim": 8,
            "batch_size": 16,
            "num_samples": 4,
            "eval_samples": 0,
            "augment": "none",
            "precision": "fp32",
            "threads": 1,  # found by the clock otherwise, and it decides the bits
        }
        if not {"epochs", "steps"} & changes.keys():
            small["epochs"] = 2
        return schema.override(presets.preset(preset), small | changes)

    return make


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """The data set that `loading.load("mnist")` returns with `tiny_mnist`."""
    return Dataset.from_arrays("mnist", *_tiny_arrays())


@pytest.fixture
def tiny_mnist(monkeypatch):
    """Make `loading.load("mnist")` return a few dozen images of noise, at once."""
    monkeypatch.setattr(mnist, "load_train", _tiny_arrays)
    monkeypatch.setattr(mnist, "load_test", _tiny_arrays)


@pytest.fixture(scope="session")
def tiny_data(tiny_dataset):
    """A checkpoint's description of the tiny data."""
    return {
        "name": "mnist",
        "num_images": NUM_IMAGES,
        "image_shape": [1, 28, 28],
        "digest": tiny_dataset.digest,
        "num_held_out": 0,
        "held_out_digest": "",
        "classes": list(tiny_dataset.classes),
    }


@pytest.fixture
def tiny_checkpoint(tiny_config, tiny_data) -> Checkpoint:
    """A checkpoint of tiny networks as a training run writes it after its first epoch."""
    state = create(tiny_config(), CPU)
    row = {
        "epoch": 1, "step": 3, "images": 40, "seconds": 0.5, "elapsed_seconds": 0.5,
        "g_loss": 0.7, "d_loss": 0.6, "d_real": 0.5, "d_fake": 0.4, "diversity": 0.9,
        "images_per_sec": 80.0, **dict.fromkeys(QUALITY_METRICS),
    }  # fmt: skip
    return Checkpoint(
        config=state.config,
        step=3,
        history=[row],
        partial={"sums": [0.0] * 4, "steps": 0, "images": 0, "seconds": 0.0},
        data=dict(tiny_data),
        made_by={"ganctl": "0", "device": "cpu, 1 thread"},
        **state.weights(),
        **state.moments(),
    )


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    """The cache folder of this test, not the user's. It does not exist yet."""
    folder = tmp_path_factory.mktemp("cache") / "ganctl" / "images"
    monkeypatch.setattr(private_folders, "_platform_folder", lambda: folder.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent.parent))  # for other processes, on Linux
    return folder


def draw(path, size=(40, 30), mode="RGB", number=0):
    """Save an image at `path`, with different colors for each `number`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([number, *size])
    channels = len(mode)
    pixels = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
    image.resize(size).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes, 5 cats and 7 dogs, RGB PNGs of 40x30 pixels."""
    folder = tmp_path / "photos"
    for number in range(12):
        name = f"cat/{number}.png" if number < 5 else f"dog/{number - 5}.png"
        draw(folder / name, number=number)
    return folder


@pytest.fixture(autouse=True)
def every_step_is_read(monkeypatch):
    """Read metrics after every step, for tests that count them, instead of at time intervals."""
    monkeypatch.setattr("ganctl.training.readback._READ_SECONDS", 0.0)
