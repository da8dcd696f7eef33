"""Data sets that torchvision downloads, checks and caches. No code in their files is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ganctl import private_folders
from ganctl.errors import DataError, Setting, Text

_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "fashion-mnist": ("FashionMNIST", {}),
    "kmnist": ("KMNIST", {}),
    "emnist": ("EMNIST", {"split": "balanced"}),
    "cifar10": ("CIFAR10", {}),
}
NAMES = tuple(_CLASSES)
_MIRRORS = {
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    "kmnist": "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}
"""Encrypted sources, in place of torchvision's, which are not."""
_SAFE_GLOBALS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
"""What a pickle of plain values and NumPy arrays refers to."""
Named = tuple[np.ndarray, np.ndarray, tuple[str, ...]]


def cache_dir() -> Path:
    """Return the folder in which downloads are kept."""
    return private_folders.folder("datasets")


def load(name: str, *, train: bool) -> Named:
    """Return images of `name`, uint8 (N, H, W) or (N, H, W, 3), labels, (N,), and class names.

    Raises DataError, whose hint says where files belong, if they cannot be downloaded.
    """
    import torchvision.datasets

    class_name, arguments = _CLASSES[name]
    dataset_class: Any = getattr(torchvision.datasets, class_name)
    if name in _MIRRORS:
        dataset_class = type(class_name, (dataset_class,), {"mirrors": [_MIRRORS[name]]})
    root = cache_dir()
    try:
        if name == "cifar10":
            return _cifar(dataset_class, root, train=train)
        dataset = dataset_class(root=str(root), train=train, download=True, **arguments)
    except Exception as error:  # the network, the file system, or a parser of damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120].rstrip(":")
        raise DataError(
            f"{name} is not complete in the cache and could not be downloaded ({reason})",
            Text(
                "Without a network, put its files under {} ({}) in place of what is there, or "
                "train on the embedded data: {}",
                *_place_and_files(dataset_class, root),
                Setting("data", "mnist"),
            ),
        ) from None
    images = np.asarray(dataset.data)
    if name == "emnist":
        images = images.transpose(0, 2, 1)  # EMNIST is stored with rows and columns swapped.
    return images, np.asarray(dataset.targets), tuple(dataset.classes)


def _cifar(dataset_class: Any, root: Path, *, train: bool) -> Named:
    """Return CIFAR's images as torchvision does, whose own reader runs any code in its pickles."""
    dataset = dataset_class.__new__(dataset_class)
    dataset.root = str(root)
    dataset.download()
    if not dataset._check_integrity():
        raise RuntimeError("its files are damaged")
    folder = root / dataset_class.base_folder
    names = [name for name, _ in (dataset_class.train_list if train else dataset_class.test_list)]
    batches = [_unpickled(folder / name) for name in names]
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch["labels"] for batch in batches])
    meta = _unpickled(folder / dataset_class.meta["filename"])
    return images.transpose(0, 2, 3, 1), labels, tuple(meta[dataset_class.meta["key"]])


def _unpickled(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content: dict[str, Any] = _PlainUnpickler(file, encoding="latin1").load()
    return content


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler of plain values and NumPy arrays. Raises UnpicklingError for all others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"it holds code: {module}.{name}")
        return super().find_class(module, name)


def _place_and_files(dataset_class: Any, root: Path) -> tuple[Path, str]:
    """Return torchvision's folder for the files of `dataset_class`, and their names."""
    if hasattr(dataset_class, "base_folder"):
        return root, str(dataset_class.filename)
    folder = root / dataset_class.__name__ / "raw"
    if hasattr(dataset_class, "url"):
        return folder, str(dataset_class.url).rsplit("/", 1)[-1]
    return folder, ", ".join(filename for filename, _ in dataset_class.resources)
