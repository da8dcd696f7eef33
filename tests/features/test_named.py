"""Published networks by name, with weights that were drawn here."""

import os
import sys

import numpy as np
import pytest
import torch

from ganctl import features
from ganctl.errors import DataError, PackageError, UsageError
from ganctl.features import named, preparing

NAME = "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No network, and caches of this test alone. Returns torch's one."""

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def weights(tmp_path):
    """A file of weights."""
    from torchvision import models

    torch.save(models.get_model(NAME, weights=None).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_the_inputs_of_the_last_layer(weights, channels):
    network = features.load(f"torchvision:{NAME}:{weights}", "photos", image_shape=(3, 8, 8))
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, channels), np.uint8)
    found = features.extract(network, [images[:1], images[1:]])
    assert (network.name, network.num_classes) == (f"torchvision {NAME}", 0)
    assert (found.features.shape, found.logits.shape) == ((3, 1024), (3, 0))
    assert found.features.equal(features.extract(network, [images]).features)
    assert network.digest == f"{preparing.file_digest(weights)} cpu"


def test_weights_in_torchs_cache_are_used(weights, offline):
    from torchvision import models

    url = models.get_model_weights(NAME).DEFAULT.url
    weights.rename(offline / url.rpartition("/")[2])
    assert features.load(f"torchvision:{NAME}", "photos").name == f"torchvision {NAME}"


def test_missing_weights_say_what_to_download_and_where_to_put_it():
    with pytest.raises(DataError, match=r"could not be downloaded \(no network\)") as caught:
        features.load(f"torchvision:{NAME}", "photos")
    hint = str(caught.value.hint)
    assert "https://download.pytorch.org/models/shufflenetv2_x0.5" in hint
    assert str(preparing.cache_folder()) in hint
    assert f"features='torchvision:{NAME}:PATH'" in hint


def test_other_files_are_refused_and_code_in_them_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harmed"),))

    for content in ({"fc.weight": Evil()}, {"other": torch.ones(1)}, 7):
        torch.save(content, tmp_path / "file.pth")
        with pytest.raises(DataError, match=f"does not hold the weights of torchvision:{NAME}"):
            features.load(f"torchvision:{NAME}:{tmp_path / 'file.pth'}", "photos")
    assert not (tmp_path / "harmed").exists()
    with pytest.raises(DataError, match=r"none\.pth cannot be read"):
        features.load(f"torchvision:{NAME}:{tmp_path / 'none.pth'}", "photos")


def test_unknown_networks_are_refused():
    with pytest.raises(UsageError, match="no classifier 'resnet51'") as caught:
        features.load("torchvision:resnet51", "photos")
    assert "resnet50" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no linear layer"):
        features.load("torchvision:squeezenet1_0", "photos")
    with pytest.raises(UsageError, match="no DINOv2 'vits15'"):
        features.load("dinov2:vits15", "photos")
    assert not named.is_named("C:/weights.pth")


def test_dinov2_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PackageError, match="timm, which is not installed") as caught:
        features.load("dinov2:vits14", "photos")
    assert "ganctl[dinov2]" in str(caught.value.hint)
