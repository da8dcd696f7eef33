import numpy as np
import pytest
import torch

from ganctl.datasets import loading, mnist, stacked


@pytest.fixture(scope="module", params=["train", "test"])
def part(request):
    """Return (digits and labels, stacked images and modes, expected number of images)."""
    if request.param == "train":
        return mnist.load_train(), stacked.load_train(), 128_000
    return mnist.load_test(), stacked.load_test(), 26_000


def test_every_channel_is_a_digit_and_the_mode_has_all_three(part):
    (digits, labels), (images, modes), count = part
    assert images.shape == (count, 28, 28, 3)
    assert images.dtype == np.uint8
    known = {digit.tobytes(): int(label) for digit, label in zip(digits, labels, strict=True)}
    for image, mode in zip(images[:200], modes[:200], strict=True):
        a, b, c = (known[image[..., channel].tobytes()] for channel in range(3))
        assert mode == 100 * a + 10 * b + c


def test_all_modes_are_about_as_frequent(part):
    _, (_, modes), count = part
    counts = np.bincount(modes, minlength=1000)
    assert len(counts) == 1000
    shares = counts / count
    assert counts.min() > 0
    # of which about 999 / 2N is chance, and the rest that MNIST has fewer fives than ones
    assert (shares * np.log(shares * 1000)).sum() < 999 / (2 * count) + 0.02


def test_channels_are_independent(part):
    _, (_, modes), _ = part
    digits = np.stack([modes // 100, modes // 10 % 10, modes % 10])
    assert np.abs(np.corrcoef(digits) - np.eye(3)).max() < 0.03


def test_the_mode_is_not_a_class():
    data = loading.load("stacked-mnist", limit=50)
    assert data.num_classes == 0
    assert data.image_shape == (3, 28, 28)
    assert data.labels.max() > 9
    assert data.digest == loading.load("stacked-mnist", limit=50).digest
    test = loading.load_test("stacked-mnist")
    assert not torch.equal(test.images[:50], data.images)
