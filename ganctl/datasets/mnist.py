"""The full MNIST, which is part of the package, so that nothing has to be downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganctl import files

PATH = Path(__file__).with_name("mnist.npz")
SHA256 = "0fd38504b882767b903ae85acf5b1b59d56ad06450dbce63e21684612ad660d9"
CLASSES = tuple("0123456789")

Arrays = tuple[np.ndarray, np.ndarray]


def load_train(path: Path = PATH) -> Arrays:
    """Return 60,000 images, uint8 (N, 28, 28), and their labels, uint8 (N,). Raises DataError."""
    return _load("train", path)


def load_test(path: Path = PATH) -> Arrays:
    """Return 10,000 images, uint8 (N, 28, 28), and their labels, uint8 (N,). Raises DataError."""
    return _load("test", path)


def _load(part: str, path: Path) -> Arrays:
    arrays = files.read_packaged(path, SHA256, "embedded MNIST")
    return arrays[f"x_{part}"], arrays[f"y_{part}"]
