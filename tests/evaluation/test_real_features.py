"""Features of real images are extracted once per network."""

import numpy as np
import pytest
import torch

from ganctl.datasets.local import cache
from ganctl.evaluation import real_features
from ganctl.evaluation.real_features import RealImages, activations
from ganctl.features import FeatureNetwork


class Network(FeatureNetwork):
    """A feature network that counts the images whose features it extracts."""

    name, digest, is_fast, num_classes = "a network", "its weights", True, 2

    def __init__(self):
        self.encoded = 0

    def __call__(self, images):
        self.encoded += len(images)
        features = images.flatten(1).float() / 7
        return features, features[:, :2].log1p()


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)


def encoded(network, pixels, told=lambda *_: None):
    return activations([RealImages(network, pixels)], "extracting", told)[0]


def test_features_are_extracted_once(network, pixels, monkeypatch):
    monkeypatch.setattr(real_features, "_CHUNK", 4)
    told = []
    first = encoded(network, pixels, lambda *progress: told.append(progress))
    second = encoded(network, pixels.copy(), lambda *progress: told.append(progress))
    assert network.encoded == 10
    assert second.features.equal(first.features)
    assert second.logits.equal(first.logits)
    assert told == [("extracting", done, 10) for done in (0, 4, 8, 10)]


def test_other_images_and_networks_are_extracted_again(network, pixels, monkeypatch):
    encoded(network, pixels)
    other = pixels.copy()
    other[3, 2, 1, 0] ^= 1
    assert encoded(network, other).features.equal(torch.from_numpy(other).flatten(1) / 7)
    assert encoded(network, pixels.reshape(10, 2, 8, 1)).features.shape == (10, 16)
    assert network.encoded == 30
    network.digest = "other weights"
    encoded(network, pixels)
    assert network.encoded == 40
    monkeypatch.setattr(torch, "__version__", "0.0")
    encoded(network, pixels)
    assert network.encoded == 50


def test_digest_distinguishes_strided_images(network, pixels):
    digests = {RealImages(network, some).digest for some in (pixels, pixels[::2], pixels[1::2])}
    assert len(digests) == 3
    assert RealImages(network, pixels[::2].copy()).digest in digests


@pytest.mark.parametrize("damage", [b"", b"x", lambda content: content[:-1] + b"x"])
def test_damaged_cache_files_are_replaced(network, pixels, cache_folder, damage):
    first = encoded(network, pixels)
    (file,) = cache_folder.iterdir()
    file.write_bytes(damage(file.read_bytes()) if callable(damage) else damage)
    assert encoded(network, pixels).features.equal(first.features)
    assert network.encoded == 20


def test_an_unwritable_cache_is_no_obstacle(network, pixels, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "file" / "images")
    assert len(encoded(network, pixels)) == 10


def test_clearing_the_cache_removes_features(network, pixels, cache_folder):
    encoded(network, pixels)
    (size,) = (path.stat().st_size for path in cache_folder.iterdir())
    assert cache.clear() == (size, 0)
    encoded(network, pixels)
    assert network.encoded == 20
