"""The random streams: the tag of each, which makes it unique, and its generator.

NumPy pads entropy with zeros, so `default_rng(1)`, `default_rng([1, 0])` and
`default_rng([1, 0, 0])` are one stream. Here every key is four 32-bit words, a tag and up to three
numbers, which `SeedSequence` mixes without loss: different keys never give the same stream.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import numpy as np

_NUM_WORDS = 4
"""Number of 32-bit words in a key, and in the pool that SeedSequence mixes them into."""


class Stream(enum.Enum):
    """A use of random numbers: its tag, and the names of the numbers in its key."""

    FLOOR = 0, ()
    """The training images for which `evaluate` measures the floor of its metrics."""
    ORDER = 1, ("seed", "epoch")
    """The order of the images in an epoch."""
    NOISE = 2, ("seed", "step", "block")
    """A block of the latents of a step; the first block's stream gives its other noise, too."""
    WEIGHTS = 3, ("seed",)
    """The seeds of both networks' initial weights."""
    PACKING = 4, ("seed",)
    """The order of the images in packed shards."""
    SHARDS = 5, ("seed", "epoch")
    """The order of the shards in an epoch of streamed images."""
    BLOCKS = 6, ("seed", "epoch", "number")
    """The order within a block of streamed images."""
    LIMIT = 7, ()
    """The choice of images for `limit`."""
    STACKED_TRAIN = 8, ()
    """The digits in each image of Stacked MNIST."""
    STACKED_TEST = 9, ()
    """The digits in each test image of Stacked MNIST."""
    SEEDS = 10, ("seed",)
    """Random seeds of samples."""
    HOLDOUT = 11, ()
    """The choice of held-out images, and the order of held-out and test images."""
    PROJECTION = 12, ()
    """The latents from which the search for an image's latent begins."""
    WALKS = 13, ()
    """The places on walks at which the path length is measured."""

    def __init__(self, tag: int, names: tuple[str, ...]) -> None:
        self.tag = tag
        self.names = names

    def sequence(self, **key: int) -> np.random.SeedSequence:
        """Return the seed sequence of a key. Raises OverflowError unless all are 0 to 2^32 - 1."""
        assert tuple(key) == self.names
        words = [self.tag, *key.values()]
        padding = [0] * (_NUM_WORDS - len(words))
        # An array, since NumPy's own conversion of a list takes longer than all the rest.
        return np.random.SeedSequence(np.array([*words, *padding], np.uint32))

    def generator(self, **key: int) -> np.random.Generator:
        """Return the generator of the stream, whose state no other key gives."""
        return np.random.Generator(np.random.PCG64(self.sequence(**key)))

    def frozen_generator(self, **key: int) -> np.random.RandomState:
        """Return a generator that draws the same numbers under every later version of NumPy."""
        return np.random.RandomState(np.random.MT19937(self.sequence(**key)))


class Use(enum.IntEnum):
    """A use of torch's generators in a step, which are seeded with `seed ^ use`.

    All uses differ in their lower 32 bits, since torch's CPU generator ignores the others.
    """

    DROPOUT = 0
    DROPOUT_AGAIN = 1 << 30
    """Dropout when the updated discriminator judges the fakes again."""
    AUGMENTATION_OF_REAL = 1 << 31
    AUGMENTATION_OF_FAKES = 1 << 31 | 1 << 30


class Fixed(enum.IntEnum):
    """A use of torch's generators with the same seed in every run."""

    KERNEL_SUBSETS = 0
    """The subsets of features over which the kernel distance is averaged."""
    PATCHES = 1
    """The patches of the patch distance, and the directions in which they are compared."""
    AUGMENTED_SHEET = 2
    """The augmentations on the sheet that shows them."""
    MANIFOLD_PARTS = 3
    """The parts of the larger set that precision, recall, density and coverage are means over."""


def sample_generators(seeds: Iterable[int]) -> Iterator[np.random.RandomState]:
    """Yield the generator of each sample, a function of its seed (0 to 2^32 - 1) alone.

    A generator is valid until the next is asked for. NumPy never changes the streams of its
    RandomState: seed 7 gives the same latent under every later version.
    """
    random = np.random.RandomState()  # seeding it again is far faster than creating another
    for seed in seeds:
        random.seed(seed)
        yield random
