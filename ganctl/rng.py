"""Every random stream: the tag that keeps it apart, and the generator that belongs to it.

NumPy pads the entropy that it is given with zeros, so `default_rng(1)`, `default_rng([1, 0])` and
`default_rng([1, 0, 0])` are one stream. Here every key is four 32-bit words, a tag and up to three
numbers, which `SeedSequence` mixes without loss: two different keys never give the same stream.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import numpy as np

_WORDS = 4
"""32-bit words in a key, and in the pool that SeedSequence mixes them into one to one."""


class Stream(enum.Enum):
    """What random numbers are for: a tag, and the names of the numbers in the stream's key."""

    FLOOR = 0, ()
    """Training images that `evaluate` measures the floor on."""
    ORDER = 1, ("seed", "epoch")
    """The order of the images in an epoch."""
    NOISE = 2, ("seed", "step", "block")
    """A step's latents and all its other noise; for a large batch, one block of the latents."""
    WEIGHTS = 3, ("seed",)
    """The seeds of both networks' initial weights."""
    PACKING = 4, ("seed",)
    """The order of the images in the shards that are packed."""
    SHARDS = 5, ("seed", "epoch")
    """The order of the shards in an epoch of a stream."""
    BLOCKS = 6, ("seed", "epoch", "number")
    """The order within a block of a stream."""
    LIMIT = 7, ()
    """The images that `limit` leaves."""
    STACKED_TRAIN = 8, ()
    """The digits in each image of Stacked MNIST."""
    STACKED_TEST = 9, ()
    """The digits in each test image of Stacked MNIST."""
    SEEDS = 10, ("seed",)
    """Seeds chosen at random."""

    def __init__(self, tag: int, names: tuple[str, ...]) -> None:
        self.tag = tag
        self.names = names

    def sequence(self, **key: int) -> np.random.SeedSequence:
        """Return the mixed key, whose numbers are 0 to 2^32 - 1. Raises OverflowError."""
        assert tuple(key) == self.names
        words = [self.tag, *key.values()]
        padding = [0] * (_WORDS - len(words))
        # As an array: NumPy's own conversion of a list takes longer than all the rest.
        return np.random.SeedSequence(np.array([*words, *padding], np.uint32))

    def generator(self, **key: int) -> np.random.Generator:
        """Return the stream's generator, whose state no other key has."""
        return np.random.Generator(np.random.PCG64(self.sequence(**key)))

    def frozen_generator(self, **key: int) -> np.random.RandomState:
        """Return a generator whose methods draw the same numbers in every later NumPy."""
        return np.random.RandomState(np.random.MT19937(self.sequence(**key)))


class Use(enum.IntEnum):
    """What a step's own torch generators are for: `use ^ seed` seeds one.

    All differ in their lower 32 bits, as torch's generator for CPUs ignores the others.
    """

    DROPOUT = 0
    DROPOUT_AGAIN = 1 << 30
    """Dropout where the fakes are judged anew."""
    AUGMENTATION = 1 << 31


class Fixed(enum.IntEnum):
    """Seeds of torch generators that do the same in every run."""

    KERNEL_SUBSETS = 0
    """The subsets that the kernel distance is the mean of."""


def of_samples(seeds: Iterable[int]) -> Iterator[np.random.RandomState]:
    """Yield each sample's generator, a function of its seed (0 to 2^32 - 1) alone.

    Each is valid until the next is asked for. NumPy's RandomState is used since its streams are
    frozen: seed 7 gives the same latent under every later version.
    """
    random = np.random.RandomState()  # seeding it anew is far quicker than making another
    for seed in seeds:
        random.seed(seed)
        yield random
