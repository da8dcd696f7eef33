"""The full MNIST, which is part of the package, so that nothing has to be downloaded."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from ganctl.errors import DataError

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
    hint = "Reinstall ganctl: pip install --force-reinstall --no-deps ganctl"
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise DataError(f"the embedded MNIST is damaged: {path} has the wrong SHA-256", hint)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays[f"x_{part}"], arrays[f"y_{part}"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"the embedded MNIST cannot be read: {error}", hint) from None
