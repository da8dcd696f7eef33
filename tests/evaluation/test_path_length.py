import numpy as np
import pytest
import torch
from torch import nn

from ganctl.evaluation.path_length import path_length, path_lengths_along
from ganctl.features import FeatureNetwork


class _Pixels(FeatureNetwork):
    """Features that are the pixels."""

    name = digest = "pixels"

    def __call__(self, inputs):
        return inputs.flatten(1).float(), inputs.flatten(1)[:, :0]


class _Drawn(nn.Module):
    """Images whose brightness follows the first latent dimension, smoothly or not."""

    def __init__(self, shape, curve):
        super().__init__()
        self.shape, self.curve = shape, curve
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return self.curve(inputs[:, :1, None, None]).expand(-1, *self.shape)


@pytest.fixture
def measured(tiny_config):
    def measure(curve, num_classes=0):
        network = tiny_config(num_classes=num_classes).network
        seen = []
        generator = _Drawn(network.image_shape, curve)
        report = lambda *state: seen.append(state)  # noqa: E731
        found = path_length(generator, network, _Pixels(), 200, report)
        assert seen[-1] == ("walking between samples", 800, 800)
        return found

    return measure


def test_an_even_walk_is_shorter_than_a_sudden_one(measured):
    even = measured(lambda z: z / 4)
    sudden = measured(lambda z: z.sign())
    assert 0.9 < even < 3
    assert sudden > 3 * even
    assert measured(lambda z: z / 4, num_classes=3) == even


def test_images_that_are_all_alike_have_no_length(measured):
    assert measured(lambda z: 0 * z) is None


def test_each_direction_has_a_length(tiny_config):
    network = tiny_config(num_classes=3).network
    first, second = np.eye(2, network.latent_dim, dtype=np.float32)
    done = []

    def measure(curve):
        return path_lengths_along(
            _Drawn(network.image_shape, curve), network, _Pixels(), np.stack([first, second]), 3.0,
            lambda *state: done.append(state),
        )  # fmt: skip

    (even, other), (sudden, _) = measure(lambda z: z / 6), measure(lambda z: z.sign())
    assert even == pytest.approx(1, abs=0.1)
    assert sudden > 3 * even
    assert other is None
    assert done[-1] == ("walking along directions", 256, 256)
