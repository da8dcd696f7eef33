"""Data sets that torchvision downloads, checks and caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ganctl import places
from ganctl.errors import DataError, Setting, Text

_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "fashion-mnist": ("FashionMNIST", {}),
    "kmnist": ("KMNIST", {}),
    "emnist": ("EMNIST", {"split": "balanced"}),
    "cifar10": ("CIFAR10", {}),
}
NAMES = tuple(_CLASSES)


def cache_dir() -> Path:
    """Return the folder in which downloads are kept."""
    return places.folder("datasets")


Named = tuple[np.ndarray, np.ndarray, tuple[str, ...]]


def load_train(name: str) -> Named:
    """The training images of `name`, uint8 (N, H, W) or (N, H, W, 3), labels (N,), classes' names.

    Raises DataError, with the place for the files, where they are neither cached nor to be had.
    """
    return _load(name, train=True)


def load_test(name: str) -> Named:
    """The test images of `name`, labels and names, as `load_train` gives those for training."""
    return _load(name, train=False)


def _load(name: str, *, train: bool) -> Named:
    import torchvision.datasets

    class_name, arguments = _CLASSES[name]
    dataset_class: Any = getattr(torchvision.datasets, class_name)
    root = cache_dir()
    try:
        dataset = dataset_class(root=str(root), train=train, download=True, **arguments)
    except Exception as error:  # of a network, a file system, or a parser of damaged files
        raise DataError(
            f"{name} is not whole in the cache and could not be downloaded ({_first_line(error)})",
            Text(
                "Without a network, put its files by hand under {} ({}) in place of "
                "what is there, or train on the embedded data: {}",
                _place(dataset_class, root),
                _files(dataset_class),
                Setting("data", "mnist"),
            ),
        ) from None
    images = np.asarray(dataset.data)
    if name == "emnist":
        images = images.transpose(0, 2, 1)  # EMNIST is stored with rows and columns swapped.
    return images, np.asarray(dataset.targets), tuple(dataset.classes)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120].rstrip(":")


def _place(dataset_class: Any, root: Path) -> Path:
    """torchvision's own folder for the files of `dataset_class`."""
    return root if hasattr(dataset_class, "base_folder") else root / dataset_class.__name__ / "raw"


def _files(dataset_class: Any) -> str:
    """The files torchvision looks for, by name."""
    if hasattr(dataset_class, "filename"):
        return str(dataset_class.filename)
    if hasattr(dataset_class, "url"):
        return str(dataset_class.url).rsplit("/", 1)[-1]
    return ", ".join(filename for filename, _ in dataset_class.resources)
