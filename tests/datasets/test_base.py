import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganctl.datasets import Dataset, epoch_order

COLOUR = np.arange(2 * 4 * 8 * 3, dtype=np.uint8).reshape(2, 4, 8, 3)


def dataset(images: np.ndarray) -> Dataset:
    return Dataset.from_arrays("some", images, np.zeros(len(images), np.uint8))


def test_a_batch_is_scaled_to_minus_one_and_one():
    images = np.array([[[0, 255], [51, 204]]], np.uint8)
    batch = dataset(images).batch(torch.tensor([0]))
    assert batch.dtype == torch.float32
    # 51 is a fifth of 255: -1 + 2/5
    torch.testing.assert_close(batch, torch.tensor([[[[-1.0, 1.0], [-0.6, 0.6]]]]))
    assert (batch.min(), batch.max()) == (-1, 1)


def test_a_batch_has_the_images_asked_for_in_that_order():
    images = np.repeat(np.arange(5, dtype=np.uint8), 16).reshape(5, 4, 4)
    batch = dataset(images).batch(torch.tensor([3, 0, 3]))
    values = (batch[:, 0, 0, 0] + 1) * 127.5
    assert batch.shape == (3, 1, 4, 4)
    assert values.round().tolist() == [3, 0, 3]


def test_colour_images_keep_their_channels():
    colour = dataset(COLOUR)
    assert colour.image_shape == (3, 4, 8)
    batch = (colour.batch(torch.tensor([1])) + 1) * 127.5
    expected = torch.from_numpy(COLOUR[1]).permute(2, 0, 1).float()
    torch.testing.assert_close(batch[0], expected)


def test_grey_and_labels():
    grey = Dataset.from_arrays("g", np.zeros((3, 8, 4), np.uint8), np.array([2, 0, 1], np.uint8))
    assert (len(grey), grey.image_shape) == (3, (1, 8, 4))
    assert grey.labels.dtype == torch.int64
    assert grey.labels.tolist() == [2, 0, 1]


def test_the_digest_is_a_function_of_shape_and_bytes():
    changed = COLOUR.copy()
    changed[1, 3, 7, 2] ^= 1
    variants = [COLOUR, changed, COLOUR.reshape(2, 8, 4, 3), COLOUR[::-1], COLOUR[:1]]
    assert len({dataset(images).digest for images in variants}) == len(variants)
    assert dataset(np.asfortranarray(COLOUR)).digest == dataset(COLOUR).digest


def test_moving_keeps_everything_but_the_device():
    moved = dataset(COLOUR).to(torch.device("meta"))
    assert moved.images.device.type == "meta"
    assert moved.labels.device.type == "meta"
    assert (moved.name, moved.digest) == ("some", dataset(COLOUR).digest)
    assert moved.num_classes == dataset(COLOUR).num_classes


@given(num_images=st.integers(1, 300), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10**6))
def test_an_epoch_order_is_a_permutation_and_repeats_itself(num_images, seed, epoch):
    order = epoch_order(num_images, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(num_images))
    torch.manual_seed(epoch)
    np.random.seed(1)
    assert order.equal(epoch_order(num_images, seed=seed, epoch=epoch))


@pytest.mark.parametrize("other", [{"seed": 1, "epoch": 0}, {"seed": 0, "epoch": 1}])
def test_seed_and_epoch_both_matter(other):
    assert not epoch_order(100, seed=0, epoch=0).equal(epoch_order(100, **other))
