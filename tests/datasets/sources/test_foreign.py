import pickle

import numpy as np
import pytest
import scipy.io
import torch

from ganctl.datasets.sources.opening import open_source
from ganctl.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(5) % 2


def refusal(path) -> DataError:
    with pytest.raises(DataError, match="which ganctl does not read") as caught:
        open_source(str(path))
    return caught.value


def cifar(path):
    data = np.moveaxis(IMAGES, 3, 1).reshape(5, -1)
    path.write_bytes(pickle.dumps({"data": data, "labels": LABELS.tolist()}))


WRITERS = {
    "a MATLAB file": ("svhn.mat", lambda path: scipy.io.savemat(
        path, {"X": np.moveaxis(IMAGES, 0, 3), "y": LABELS[:, None]})),
    "a PyTorch file": ("training.pt", lambda path: torch.save(
        (torch.from_numpy(IMAGES), torch.from_numpy(LABELS)), path)),
    "a pickle of CIFAR-10's": ("data_batch_1", cifar),
    "a pickle": ("it's all.pkl", lambda path: path.write_bytes(pickle.dumps((IMAGES, LABELS)))),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_two_lines_turn_a_file_into_an_npz(tmp_path, monkeypatch, kind):
    name, write = WRITERS[kind]
    write(tmp_path / name)
    error = refusal(tmp_path / name)
    assert f"{name}' is {kind}, which" in error.message
    first, second = error.details
    monkeypatch.chdir(tmp_path)
    exec(f"{first}\n{second}", {})
    source = open_source("images.npz")
    assert source.classes == ["0", "1"]
    for entry, image in zip(source.entries, IMAGES, strict=True):
        np.testing.assert_array_equal(source.read(entry), image)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.h5", b"", "an HDF5 file"),
        ("a", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("new.mat", b"MATLAB 7.3 MAT-file", "a MATLAB 7.3 file"),
        ("data.mdb", b"", "an LMDB database"),
        ("a", bytes(16) + b"\xde\xc0\xef\xbe", "an LMDB database"),
        ("a.tfrecord-00000-of-00001", b"", "a TFRecord file"),
        ("train", b"\x80\x04", "a pickle"),
    ],
)
def test_files_that_are_not_read_are_named_for_what_they_are(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "README.md").touch()
    for path in (tmp_path / name, tmp_path):
        error = refusal(path)
        assert f"{name}' is {kind}, which" in error.message
        compile("\n".join(error.details), "lines", "exec")


def test_a_folder_with_images_may_hold_them(tmp_path, png):
    (tmp_path / "a.h5").touch()
    (tmp_path / "a.png").write_bytes(png)
    assert len(open_source(str(tmp_path)).entries) == 1
