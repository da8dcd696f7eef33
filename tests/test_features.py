"""The shipped classifier knows its digits, and is what it was."""

import hashlib
import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from ganctl import features
from ganctl.datasets import loading
from ganctl.errors import DataError, PackageError, UsageError
from ganctl.features import classifier, inception


@pytest.fixture(scope="module")
def digits():
    return loading.load_test("mnist")


@pytest.fixture(scope="module")
def encoded(digits):
    network = features.load("auto", "mnist")
    return features.extract(network, np.split(digits.images.numpy(), 100))


def test_the_classifier_knows_its_digits(encoded, digits):
    right = (encoded.logits.argmax(1) == digits.labels).double().mean()
    assert float(right) >= 0.994


def test_features_are_those_of_each_image_alone(encoded, digits):
    network = features.load("auto", "mnist")
    alone = features.extract(network, [digits.images[7:8].numpy(), digits.images[9:12].numpy()])
    torch.testing.assert_close(alone.features, encoded.features[[7, 9, 10, 11]])
    assert encoded.features.shape == (10_000, classifier.NUM_FEATURES)
    assert encoded[2:5].logits.equal(encoded.logits[2:5])
    assert len(encoded) == 10_000


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


def test_the_file_is_small_and_the_pinned_one():
    content = classifier.PATH.read_bytes()
    assert len(content) <= 2**20
    assert hashlib.sha256(content).hexdigest() == classifier.SHA256


def test_weights_come_back_as_the_same_bytes():
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


# Inception, with a network in place of torch-fidelity's.


class _Inception(torch.nn.Module):
    def __init__(self, name, wanted, feature_extractor_weights_path):
        super().__init__()
        assert (name, wanted) == ("inception-v3-compat", ["2048", "logits_unbiased"])
        self.layer = torch.nn.Linear(3, 4)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, images):
        assert images.dtype == torch.uint8
        features = self.layer(images.float().mean((2, 3)))
        return features, features[:, :2]


@pytest.fixture
def inception_weights(monkeypatch, tmp_path):
    module = types.ModuleType("feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = _Inception
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, f"torch_fidelity.{module.__name__}", module)
    path = tmp_path / "weights.pth"
    torch.save({"layer.weight": torch.ones(4, 3), "layer.bias": torch.ones(4)}, path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_takes_grayscale_and_color(inception_weights, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, channels), np.uint8)
    network = features.load(str(inception_weights), "cifar10")
    found = features.extract(network, [images])
    assert (found.features.shape, found.logits.shape) == ((5, 4), (5, 2))
    assert not network.is_fast


def test_weights_with_code_in_them_run_nothing(inception_weights, tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harmed"),))

    inception_weights.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    torch.save({"layer.weight": Evil()}, inception_weights)
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    torch.save({"other": torch.ones(1)}, inception_weights)
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    assert not (tmp_path / "harmed").exists()


def test_weights_that_cannot_be_had(inception_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(inception.places, "_usual", lambda: tmp_path / "cache")

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(DataError, match=r"could not be downloaded \(no network\)") as caught:
        features.load("inception", "mnist")
    assert "features='PATH'" in str(caught.value.hint)
    with pytest.raises(DataError, match=r"none\.pth cannot be read"):
        features.load(str(tmp_path / "none.pth"), "mnist")
    cached = tmp_path / "cache" / "features" / inception.URL.rpartition("/")[2]
    cached.write_bytes(inception_weights.read_bytes())
    assert features.load("auto", "cifar10").name == "inception-v3-compat"


def test_inception_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(PackageError, match="torch-fidelity, which is not installed") as caught:
        features.load("auto", "cifar10")
    assert "ganctl[inception]" in str(caught.value.hint)


def test_features_that_do_not_go_with_the_data():
    with pytest.raises(UsageError, match="unknown features 'digit'"):
        features.load("digit", "mnist")
    with pytest.raises(UsageError, match="does not know cifar10"):
        features.load("digits", "cifar10")
