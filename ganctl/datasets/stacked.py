"""Stacked MNIST: three random digits as the color channels of one image, a thousand modes.

The standard test for mode collapse (Metz et al. 2017, section 3.3.1).
"""

from __future__ import annotations

import numpy as np

from ganctl.datasets import mnist
from ganctl.datasets.mnist import Arrays
from ganctl.rng import Stream

NUM_TRAIN, NUM_TEST = 128_000, 26_000
"""The usual number of training images, and of samples whose modes are counted."""
CLASSES = ()
"""Names of the classes: none, since networks that know an image's mode cover all modes."""


def load_train() -> Arrays:
    """Return 128,000 images, uint8 (N, 28, 28, 3), and their modes, 0 to 999. Raises DataError."""
    return _stack(mnist.load_train(), NUM_TRAIN, Stream.STACKED_TRAIN)


def load_test() -> Arrays:
    """Return the same of MNIST's test images: 26,000 images and their modes. Raises DataError."""
    return _stack(mnist.load_test(), NUM_TEST, Stream.STACKED_TEST)


def _stack(digits: Arrays, count: int, stream: Stream) -> Arrays:
    # Always the same images: the data is part of the benchmark, not of a run.
    images, labels = digits
    chosen = stream.generator().integers(len(images), size=(count, 3))
    modes = labels[chosen].astype(np.int64) @ (100, 10, 1)
    stacked = np.empty((count, *images.shape[1:], 3), np.uint8)
    for channel, indices in enumerate(chosen.T):
        stacked[..., channel] = images[indices]
    return stacked, modes
