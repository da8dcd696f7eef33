"""EfficientNet-Lite0, with the weights that its package carries."""

import numpy as np
import pytest
import torch

from ganctl import efficientnet, features
from ganctl.features import imagenet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return features.load("imagenet", "photos", CPU, (3, 64, 64))


def test_features_are_those_of_an_image_alone(network):
    images = np.random.default_rng(0).integers(0, 256, (19, 24, 32, 3), np.uint8)
    whole = features.extract(network, [images])
    assert (whole.features.shape, whole.logits.shape) == ((19, 1280), (19, 0))
    assert whole.features.dtype == torch.float32
    parts = features.extract(network, [images[:1], images[1:4], images[4:]])
    assert parts.features.equal(whole.features)
    gray = features.extract(network, [images[:2, ..., :1]])
    assert gray.features.equal(features.extract(network, [images[:2][..., [0, 0, 0]]]).features)


def test_features_do_not_depend_on_the_sizes_beside_an_image(network):
    rng = np.random.default_rng(1)
    shapes = [(24, 32, 3), (50, 41, 3), (24, 32, 1), (128, 128, 3), (130, 20, 3)]
    images = [rng.integers(0, 256, (1, *shape), np.uint8) for shape in shapes]
    found = features.extract(network, images).features
    for image, alone in zip(images, found, strict=True):
        assert features.extract(network, [image]).features[0].equal(alone)


def test_a_drawing_of_a_clock_is_a_clock(network):
    """Weights, layers, normalization and size fit one another."""
    rows, columns = np.mgrid[:128, :128] - 63.5
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    face = np.full((128, 128), 200, np.uint8)
    face[radius < 58] = 245
    face[abs(radius - 58) < 3] = 30
    face[(abs(np.sin(6 * angle)) < 0.15) & (radius > 45) & (radius < 54)] = 20
    face[(abs(angle + 1.57) < 0.07) & (radius < 43)] = 10
    face[(abs(angle - 0.4) < 0.1) & (radius < 28)] = 10
    features_found, _ = network(network.prepare(torch.from_numpy(face)[None, :, :, None]))
    weights = efficientnet.read_weights("a test")
    logits = features_found[0] @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert int(logits.argmax()) in (409, 892), "analog clock, wall clock"


def test_large_images_are_seen_larger():
    assert imagenet.ImageNetFeatures(CPU, 128).name == "efficientnet-lite0 at 128 pixels"
    assert imagenet.ImageNetFeatures(CPU, 132).name == "efficientnet-lite0 at 224 pixels"
