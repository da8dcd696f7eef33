"""No two random streams are equal, since a generator's state reveals its key."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganctl import rng
from ganctl.rng import Fixed, Stream, Use

words = st.integers(0, 2**32 - 1)


@st.composite
def keys(draw):
    stream = draw(st.sampled_from(Stream))
    return stream, {name: draw(words) for name in stream.names}


@given(keys())
def test_the_key_can_be_read_back_from_the_generators_state(key):
    stream, numbers = key
    expected = [stream.tag, *numbers.values()]
    assert key_of(stream.generator(**numbers)) == expected + [0] * (4 - len(expected))


def test_no_two_streams_begin_with_the_same_numbers():
    tags = [stream.tag for stream in Stream]
    assert len({*tags}) == len(tags)
    keys = [
        (stream, dict(zip(stream.names, numbers, strict=True)))
        for stream in Stream
        for numbers in itertools.product((0, 1, 2, 7), repeat=len(stream.names))
    ]
    pcg = {tuple(stream.generator(**key).integers(2**62, size=2)) for stream, key in keys}
    frozen = {tuple(stream.frozen_generator(**key).bytes(16)) for stream, key in keys}
    samples = {tuple(generator.bytes(16)) for generator in rng.sample_generators(range(300))}
    assert len(pcg) == len(keys)
    assert len(frozen | samples) == len(keys) + len(samples)


def test_incomplete_and_oversized_keys_are_refused():
    with pytest.raises(AssertionError):
        Stream.ORDER.generator(seed=1)
    with pytest.raises(OverflowError):
        Stream.ORDER.generator(seed=2**32, epoch=0)
    with pytest.raises(OverflowError):
        Stream.ORDER.generator(seed=0, epoch=-1)


def test_noise_order_and_weights_never_change():
    """A seed gives the same training run in later versions."""
    noise = Stream.NOISE.generator(seed=7, step=3, block=0)
    assert noise.integers(1000, size=4).tolist() == [192, 280, 572, 731]
    order = Stream.ORDER.generator(seed=7, epoch=3)
    assert order.permutation(6).tolist() == [1, 0, 4, 2, 5, 3]
    weights = Stream.WEIGHTS.sequence(seed=7)
    assert weights.generate_state(2, np.uint64).tolist() == [
        9565533078676835473,
        13859717609087404775,
    ]


@pytest.mark.parametrize("uses", [Use, Fixed])
@given(seed=st.integers(0, 2**62 - 1))
def test_each_use_has_other_random_numbers(uses, seed):
    def drawn(use):
        generator = torch.Generator().manual_seed(use if uses is Fixed else use ^ seed)
        return tuple(torch.rand(4, generator=generator).tolist())

    assert len({drawn(use) for use in uses}) == len(uses)


def key_of(generator):
    """Return the four words that `generator` was seeded with, by inverting each step of seeding.

    See NumPy's bit_generator.pyx (mix_entropy, generate_state) and pcg64.h (srandom).
    """
    state = generator.bit_generator.state["state"]
    multiplier, whole = 0x2360ED051FC65DA44385DF649FCCF645, 2**128
    initial = (state["state"] - state["inc"]) * pow(multiplier, -1, whole) - state["inc"]
    initial %= whole
    # Of the two 64-bit halves the first is the upper one, of their 32-bit halves the lower one.
    pool = [initial >> shift & MASK for shift in (64, 96, 0, 32)]
    constants = _constants(0x8B51F9DD, 0x58F38DED)
    pool = [_unhash(word, *next(constants)) for word in pool]
    hashes = list(itertools.islice(_constants(0x43B0D7E5, 0x931E8875), 16))
    pairs = [(src, dst) for src in range(4) for dst in range(4) if src != dst]
    for (src, dst), constants in reversed(list(zip(pairs, hashes[4:], strict=True))):
        mixed = _unshift(pool[dst]) + 0x4973F715 * _hash(pool[src], *constants)
        pool[dst] = mixed * pow(0xCA01F9DD, -1, 2**32) & MASK
    return [_unhash(word, *constants) for word, constants in zip(pool, hashes[:4], strict=True)]


MASK = 2**32 - 1


def _constants(first, multiplier):
    while True:
        following = first * multiplier & MASK
        yield first, following
        first = following


def _hash(word, first, following):
    return _unshift((word ^ first) * following & MASK)


def _unhash(word, first, following):
    return _unshift(word) * pow(following, -1, 2**32) & MASK ^ first


def _unshift(word):
    """Undo `word ^= word >> 16`, which is its own inverse."""
    return word ^ word >> 16
