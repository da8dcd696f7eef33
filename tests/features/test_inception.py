"""Features of Inception, with a small network in place of torch-fidelity's."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from ganctl import features
from ganctl.errors import DataError, PackageError
from ganctl.features import inception, preparing


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


def test_code_in_weights_is_never_run(inception_weights, tmp_path):
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


def test_missing_weights_are_an_error(inception_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.private_folders, "_platform_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

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
    assert features.load("inception", "cifar10").name == "inception-v3-compat"


def test_inception_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(PackageError, match="torch-fidelity, which is not installed") as caught:
        features.load("inception", "cifar10")
    assert "ganctl[inception]" in str(caught.value.hint)
