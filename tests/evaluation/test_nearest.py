"""Samples beside their nearest training images: which ones, and the sheet."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganctl.datasets.dataset import Rows
from ganctl.evaluation import nearest

SIZE = 4


def images(values):
    """Return images (N, 4, 4, 1), each of one value."""
    return np.tile(np.array(values, np.uint8)[:, None, None, None], (1, SIZE, SIZE, 1))


def features(pixels):
    return torch.from_numpy(pixels[:][:, 0, 0, :]).float()


class Model:
    """A model whose sample of seed k has the value 10 k + 5 - k // 2."""

    values = np.array([10 * seed + 5 - seed // 2 for seed in range(10)])

    def sample(self, seeds):
        pixels = images(self.values[seeds])
        return SimpleNamespace(pixels=pixels, shape=pixels.shape, text={"Software": "test"})


@pytest.fixture
def found():
    """What is nearest in two sets: the first tens, and the others, read from a larger array."""
    first = images(range(0, 50, 10))
    other = Rows(images(range(0, 100, 10)), np.arange(5, 10))
    searched = [(one, features(one)) for one in (first, other)]
    samples = features(images(Model.values))
    return nearest.find(Model(), samples, searched, 12)


def test_the_first_seeds_come_first_then_the_closest(found):
    assert found.seeds[:8] == [*range(8)]
    assert found.seeds[8:] == [8, 9, 6, 7, 4, 5, 2, 3]
    closest = found.distances[8:, 0]
    assert (np.diff(closest) >= 0).all()
    assert closest[0] == found.distances[:, 0].min()


def test_neighbors_are_the_images_at_these_distances(found):
    own = Model.values[found.seeds].astype(float)
    neighbors = found.neighbors[:, :, 0, 0, 0].astype(float)
    assert (np.abs(neighbors - own[:, None]) == found.distances).all()
    assert (np.diff(found.distances) >= 0).all()
    assert found.searched == "10 of 12 training images"


def test_the_sheet_has_a_row_for_each_sample(found, tmp_path):
    picture = found.picture()
    height, width, channels = picture.shape
    assert (channels, height > 8 * 84, width > 8 * 84) == (1, True, True)
    found.save(tmp_path / "nearest.png", command="ganctl evaluate")
    assert (tmp_path / "nearest.png").read_bytes()[:4] == b"\x89PNG"
