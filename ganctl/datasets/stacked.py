"""Stacked MNIST: three random digits as the colour channels of one image, a thousand modes.

The standard test of whether a generator leaves modes out (Metz et al. 2017, section 3.3.1).
"""

from __future__ import annotations

import numpy as np

from ganctl.datasets import mnist
from ganctl.datasets.mnist import Arrays
from ganctl.rng import Stream

NUM_TRAIN, NUM_TEST = 128_000, 26_000
"""As many as usual for training, and as many as samples are usually counted."""
CLASSES = ()
"""Networks that are told the mode of an image leave none out: nothing would be measured."""


def load_train() -> Arrays:
    """128,000 images, uint8 (N, 28, 28, 3), and their modes, 0 to 999. Raises DataError."""
    return _stack(mnist.load_train(), NUM_TRAIN, Stream.STACKED_TRAIN)


def load_test() -> Arrays:
    """26,000 images of MNIST's test images, and their modes, as `load_train`."""
    return _stack(mnist.load_test(), NUM_TEST, Stream.STACKED_TEST)


def _stack(digits: Arrays, count: int, stream: Stream) -> Arrays:
    """Always the same ones: the data is part of the benchmark, not of a run."""
    images, labels = digits
    # Uniform over the images, of which no digit has quite a tenth.
    chosen = stream.generator().integers(len(images), size=(count, 3))
    modes = labels[chosen].astype(np.int64) @ (100, 10, 1)
    stacked = np.empty((count, *images.shape[1:], 3), np.uint8)
    for channel, indices in enumerate(chosen.T):
        stacked[..., channel] = images[indices]
    return stacked, modes
