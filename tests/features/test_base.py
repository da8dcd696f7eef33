"""Images go through a network prepared, and in full batches where it wants those."""

import numpy as np
import pytest
import torch

from ganctl.features.base import FeatureNetwork, extract


class Corner(FeatureNetwork):
    """Sees the first pixel of each image, and remembers what it was given."""

    name, digest = "corner", "0"

    def __init__(self, batch_size=None):
        self.batch_size = batch_size
        self.prepared, self.seen = [], []

    def prepare(self, images):
        self.prepared.append(images)
        return images[:, 0, 0, :1].float()

    def __call__(self, inputs):
        self.seen.append(inputs)
        return inputs, inputs[:, :0]


def images(*values, size=(4, 4), channels=3):
    """Return images of one value each."""
    return np.stack([np.full((*size, channels), value, np.uint8) for value in values])


@pytest.mark.parametrize("batch_size", [None, 16])
def test_transparent_images_are_seen_over_white(batch_size):
    network = Corner(batch_size)
    found = extract(network, [images(0, channels=4), images(7)])
    assert [part.shape[3] for part in network.prepared] == [3, 3]
    assert found.features.flatten().tolist() == [255, 7]


def test_batches_are_full_whatever_the_sizes_of_the_images():
    network, told = Corner(16), []
    chunks = [images(number, size=(4 + number, 5)) for number in range(20)]
    found = extract(network, [*chunks, images(*range(20, 41))], told.append)
    assert [len(inputs) for inputs in network.seen] == [16, 16, 16]
    assert max(map(len, network.prepared)) == 16
    assert found.features.flatten().tolist() == [*range(41)]
    assert (found.logits.shape, told) == ((41, 0), [16, 32, 41])
    assert network.seen[-1][9:].eq(40).all(), "filled up with the last image"
    assert extract(Corner(16), [images(*range(16))]).features.shape == (16, 1)


def test_a_network_without_a_batch_size_gets_images_as_they_come():
    network = Corner()
    found = extract(network, [images(1, 2), images(3, size=(6, 6))])
    assert [len(inputs) for inputs in network.seen] == [2, 1]
    assert found[torch.tensor([2, 0])].features.flatten().tolist() == [3, 1]
    assert len(found) == 3
