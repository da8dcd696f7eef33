"""The classifier of digits that is included in ganctl."""

import hashlib

import numpy as np
import pytest
import torch

from ganctl import features
from ganctl.datasets import loading
from ganctl.errors import DataError
from ganctl.features import classifier


@pytest.fixture(scope="module")
def digits():
    return loading.load_test("mnist")


@pytest.fixture(scope="module")
def extracted(digits):
    network = features.load("auto", "mnist")
    return features.extract(network, np.split(digits.images.numpy(), 100))


def test_the_classifier_recognizes_digits(extracted, digits):
    right = (extracted.logits.argmax(1) == digits.labels).double().mean()
    assert float(right) >= 0.994


def test_features_of_an_image_do_not_depend_on_others(extracted, digits):
    network = features.load("auto", "mnist")
    alone = features.extract(network, [digits.images[7:8].numpy(), digits.images[9:12].numpy()])
    torch.testing.assert_close(alone.features, extracted.features[[7, 9, 10, 11]])
    assert extracted.features.shape == (10_000, classifier.NUM_FEATURES)
    assert extracted[2:5].logits.equal(extracted.logits[2:5])
    assert len(extracted) == 10_000


def test_features_are_those_of_the_trained_network(extracted, digits):
    """The network that extracts them has no batch normalization and sees 128 images at once."""
    scaled = digits.images[:300].permute(0, 3, 1, 2) / 127.5 - 1
    features_of_it, logits = classifier.load()(scaled)
    torch.testing.assert_close(extracted.features[:300], features_of_it, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(extracted.logits[:300], logits, rtol=1e-4, atol=1e-4)


def test_a_stacked_image_has_the_classes_of_its_channels():
    data = loading.load_test("stacked-mnist")
    network = features.load("auto", "stacked-mnist")
    images = data.images[:300].numpy()
    found = features.extract(network, [images[:100], images[100:]])
    assert network.num_classes == 1000
    assert found.logits.shape == (300, 1000)
    assert found.features.shape == (300, 3 * classifier.NUM_FEATURES)
    right = (found.logits.argmax(1) == data.labels[:300]).double().mean()
    assert float(right) >= 0.97
    alone = features.extract(features.load("auto", "mnist"), [images[..., 1:2]])
    torch.testing.assert_close(found.features[:, 128:256], alone.features)
    # the joint distribution's margin is that of the channel alone
    joint = found.logits.softmax(1).view(300, 10, 10, 10).sum((1, 3))
    torch.testing.assert_close(joint, alone.logits.softmax(1), atol=1e-5, rtol=1e-4)


def test_the_file_is_small_and_has_the_pinned_digest():
    content = classifier.PATH.read_bytes()
    assert len(content) <= 2**20
    assert hashlib.sha256(content).hexdigest() == classifier.SHA256


def test_weights_are_written_as_the_same_bytes():
    content = classifier.PATH.read_bytes()
    assert classifier.to_bytes(classifier.load()) == content


@pytest.mark.parametrize("content", [b"", b"x" * 100, None])
def test_a_damaged_classifier_is_refused(tmp_path, content):
    path = tmp_path / "classifier.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="classifier of digits") as caught:
        classifier.load(path)
    assert "Reinstall" in str(caught.value.hint)
