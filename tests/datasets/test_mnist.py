import numpy as np
import pytest

from ganctl.datasets import mnist
from ganctl.errors import DataError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("load", "counts"),
    [(mnist.load_train, TRAIN_COUNTS), (mnist.load_test, TEST_COUNTS)],
)
def test_the_embedded_mnist_is_complete(load, counts):
    images, labels = load()
    assert images.shape == (sum(counts), 28, 28)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == counts


def test_the_first_training_image_is_a_five():
    images, labels = mnist.load_train()
    assert labels[0] == 5
    assert images[0].sum() == 27525
    assert not images[0, :4].any()


@pytest.mark.parametrize("position", [0, 1000, -1])
def test_one_wrong_byte_is_refused(tmp_path, position):
    content = bytearray(mnist.PATH.read_bytes())
    content[position] ^= 1
    damaged = tmp_path / "mnist.npz"
    damaged.write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        mnist.load_train(damaged)
    assert str(damaged) in caught.value.message
    assert "einstall" in str(caught.value.hint)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        mnist.load_test(tmp_path / "none.npz")
    assert "einstall" in str(caught.value.hint)
