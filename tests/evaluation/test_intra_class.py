"""The Frechet distance within classes."""

import numpy as np
import pytest
import torch

from ganctl import metrics
from ganctl.evaluation.intra_class import MIN_PER_CLASS, measure
from ganctl.rng import Stream


@pytest.fixture
def sets():
    """Features of samples and of real images, 120 each, with labels of two classes."""
    values = torch.from_numpy(Stream.FLOOR.generator().normal(size=(2, 120, 4)))
    labels = np.arange(120) % 2
    return (values[0], labels), (values[1], labels)


def test_it_is_the_mean_of_the_distances_within_classes(sets):
    (fake, labels), (real, _) = sets
    found = measure(*sets, 2, lambda *_: None)
    for number in (0, 1):
        which = torch.from_numpy(labels == number)
        assert found.distances[number] == metrics.Frechet(real[which]).distance(fake[which])
    assert found.mean == pytest.approx(sum(found.distances) / 2)
    assert found.counts == "60 samples and 60 real images per class"


def test_classes_that_are_mixed_up_are_far_away(sets):
    (fake, labels), (real, _) = sets
    shifted = 5 * torch.from_numpy(labels)[:, None]
    right = measure((fake + shifted, labels), (real + shifted, labels), 2, lambda *_: None)
    wrong = measure((fake + shifted, 1 - labels), (real + shifted, labels), 2, lambda *_: None)
    assert wrong.mean > 10 * right.mean


def test_classes_with_too_few_images_are_not_measured(sets):
    samples, (real, labels) = sets
    few = real[: 2 * MIN_PER_CLASS - 1], labels[: 2 * MIN_PER_CLASS - 1]
    found = measure(samples, few, 2, lambda *_: None)
    assert (found.mean, found.distances, found.num_images) == (None, [], [50, 49])
    assert found.counts == "60 samples and 49 to 50 real images per class"
