"""Data sets that torchvision downloads, checks and caches. No code in their files is run."""

from __future__ import annotations

import pickle
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
_MIRRORS = {
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    "kmnist": "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}
"""Instead of torchvision's own, which are asked without encryption."""
_OF_ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
"""What a pickle of plain values and NumPy's arrays calls."""


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
    if name in _MIRRORS:
        dataset_class = type(class_name, (dataset_class,), {"mirrors": [_MIRRORS[name]]})
    root = cache_dir()
    try:
        if name == "cifar10":
            return _cifar(dataset_class, root, train=train)
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


def _cifar(dataset_class: Any, root: Path, *, train: bool) -> Named:
    """Return what torchvision would, whose own reader runs any code that its pickles hold."""
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
    """Reads pickles of plain values and NumPy's arrays. Raises UnpicklingError for all others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _OF_ARRAYS:
            raise pickle.UnpicklingError(f"it holds code: {module}.{name}")
        return super().find_class(module, name)


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
