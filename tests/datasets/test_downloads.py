"""Data sets from torchvision. Only the use of its results and errors is tested."""

import gzip
import hashlib
import io
import pickle
import struct
from urllib.error import URLError

import numpy as np
import pytest

from ganctl import private_folders
from ganctl.datasets import downloads, loading
from ganctl.errors import DataError

FILES = {
    "fashion-mnist": ("FashionMNIST/raw", "train-images-idx3-ubyte.gz"),
    "kmnist": ("KMNIST/raw", "train-labels-idx1-ubyte.gz"),
    "emnist": ("EMNIST/raw", "gzip.zip"),
    "cifar10": ("", "cifar-10-python.tar.gz"),
}
CLASSES = {
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "emnist": "EMNIST",
    "cifar10": "CIFAR10",
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A separate cache for each test."""
    monkeypatch.setattr(private_folders, "_platform_folder", lambda: tmp_path)
    return downloads.cache_dir()


@pytest.fixture
def replace_class(monkeypatch):
    """Replace torchvision's class for a name by a subclass with other attributes."""
    import torchvision.datasets

    def replace(name: str, **attributes) -> None:
        original = getattr(torchvision.datasets, CLASSES[name])
        changed = type(CLASSES[name], (original,), attributes)
        monkeypatch.setattr(torchvision.datasets, CLASSES[name], changed)

    return replace


def giving(images, targets, classes=("one", "other")):
    def init(self, root, train, download, **kwargs):
        assert train
        assert download
        self.data, self.targets, self.classes = images, targets, list(classes)

    return init


def raising(error):
    def init(self, *args, **kwargs):
        raise error

    return init


def test_every_name_is_tested():
    assert set(FILES) == set(downloads.NAMES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "error",
    [URLError("no route\nto host"), RuntimeError("no route"), OSError("no route")],
    ids=lambda error: type(error).__name__,
)
def test_without_a_network_the_hint_says_which_file_goes_where(name, error, replace_class, cache):
    replace_class(name, __init__=raising(error), download=raising(error))
    with pytest.raises(DataError, match="no route") as caught:
        downloads.load(name, train=True)
    folder, file = FILES[name]
    assert name in caught.value.message
    assert "\n" not in caught.value.message
    assert f"under {cache / folder} (" in str(caught.value.hint)
    assert file in str(caught.value.hint)
    assert "data='mnist'" in str(caught.value.hint)


def test_an_unwritable_cache_is_a_data_error(cache):
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError):
        downloads.load("kmnist", train=True)


def test_images_and_labels_come_as_arrays(replace_class):
    color = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    replace_class("kmnist", __init__=giving(color, [3, 1]))
    images, labels, classes = downloads.load("kmnist", train=True)
    assert np.array_equal(images, color)
    assert labels.tolist() == [3, 1]
    assert classes == ("one", "other")


def test_emnist_images_are_upright(replace_class):
    import torch

    stored = torch.arange(2 * 4 * 4, dtype=torch.uint8).reshape(2, 4, 4)
    replace_class("emnist", __init__=giving(stored, torch.tensor([0, 1])))
    images, _, _ = downloads.load("emnist", train=True)
    assert np.array_equal(images, stored.mT.numpy())


def idx(values: np.ndarray) -> bytes:
    """Return an array in the format that MNIST and similar data sets come in."""
    return (
        struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape) + values.tobytes()
    )


@pytest.fixture
def files_by_hand(replace_class, cache):
    """Write tiny files to the folder in the hint, with checksums that the class knows."""
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    contents = {
        "train-images-idx3-ubyte.gz": images,
        "train-labels-idx1-ubyte.gz": np.arange(5, dtype=np.uint8),
        "t10k-images-idx3-ubyte.gz": images[:1],
        "t10k-labels-idx1-ubyte.gz": np.zeros(1, np.uint8),
    }
    folder = cache / FILES["fashion-mnist"][0]
    folder.mkdir(parents=True)
    resources = []
    for name, values in contents.items():
        packed = gzip.compress(idx(values))
        (folder / name).write_bytes(packed)
        resources.append((name, hashlib.md5(packed).hexdigest()))
    replace_class("fashion-mnist", resources=resources, mirrors=["http://127.0.0.1:9/"])
    return images, folder


def test_files_put_where_the_hint_says_are_found_without_a_network(files_by_hand):
    images, labels, classes = downloads.load("fashion-mnist", train=True)
    assert np.array_equal(images, files_by_hand[0])
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert (len(classes), classes[0], classes[9]) == (10, "T-shirt/top", "Ankle boot")
    images, labels, _ = downloads.load("fashion-mnist", train=False)
    assert np.array_equal(images, files_by_hand[0][:1])
    assert labels.tolist() == [0]


def test_a_truncated_file_is_a_data_error(files_by_hand):
    downloads.load("fashion-mnist", train=True)
    unpacked = files_by_hand[1] / "train-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:1000])
    with pytest.raises(DataError):
        downloads.load("fashion-mnist", train=True)


def test_classes_have_names(files_by_hand):
    data = loading.load("fashion-mnist", limit=2)
    assert (len(data), data.num_classes) == (2, 10)  # those of all images, whatever the first are
    assert data.classes[2] == "Pullover"
    assert loading.load_test("fashion-mnist").classes == data.classes


def test_emnist_class_names_match_the_labels(cache):
    """According to the file, labels 0 to 46 are these characters, capitals first."""
    folder = cache / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    images = np.zeros((2, 28, 28), np.uint8)
    for part in ("train", "test"):
        stem = f"emnist-balanced-{part}"
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(np.array([10, 46], np.uint8)))
    _, labels, classes = downloads.load("emnist", train=True)
    assert [classes[label] for label in labels] == ["A", "t"]
    assert len(classes) == 47


@pytest.fixture
def cifar(cache, replace_class):
    """Write CIFAR-10 in its original form: pickles whose checksums torchvision knows."""

    def write(batch):
        folder = cache / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        listed = {}
        for name, content in (("train", batch), ("test", batch), ("meta", {"names": ["a", "b"]})):
            packed = pickle.dumps(content, protocol=2)
            (folder / name).write_bytes(packed)
            listed[name] = [name, hashlib.md5(packed).hexdigest()]
        meta = {"filename": "meta", "key": "names", "md5": listed["meta"][1]}
        listed = {f"{part}_list": [listed[part]] for part in ("train", "test")}
        replace_class("cifar10", **listed, meta=meta)

    return write


def test_cifar_class_names_come_from_its_own_file(cifar):
    pixels = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    cifar({"data": pixels.tolist(), "labels": [3, 1]})
    images, labels, classes = downloads.load("cifar10", train=True)
    assert (images.shape, labels.tolist(), classes) == ((2, 32, 32, 3), [3, 1], ("a", "b"))
    assert np.array_equal(images[1, 0, 0], pixels[1, [0, 1024, 2048]])


def test_pickles_of_python_2_are_read():
    """The pickle has an array as NumPy wrote it in 2009, like those of CIFAR-10."""
    written = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03"
        b"U\x01bq\x04\x87q\x05Rq\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02u1q\tK\x00K\x01\x87"
        b"q\nRq\x0b(K\x03U\x01|q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xf0tb."
    )
    found = downloads._PlainUnpickler(io.BytesIO(written), encoding="latin1").load()
    assert (found.dtype, found.tolist()) == (np.uint8, [7, 240])


class Code:
    def __reduce__(self):
        return pytest.fail, ("it was run",)


def test_no_code_in_a_pickle_is_run(cifar):
    cifar({"data": Code(), "labels": []})
    with pytest.raises(DataError, match="it holds code"):
        downloads.load("cifar10", train=True)


@pytest.mark.parametrize("name", ["fashion-mnist", "kmnist", "emnist", "cifar10"])
def test_every_download_is_encrypted(name, monkeypatch):
    asked = []

    def fetch(url, *_, **__):
        asked.append(url)
        raise URLError("no route")

    for module in ("mnist", "cifar"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fetch)
    with pytest.raises(DataError):
        downloads.load(name, train=True)
    assert asked
    assert all(url.startswith("https://") for url in asked)
