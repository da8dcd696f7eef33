"""A seed's picture never depends on how many are drawn beside it, where, or beside whom."""

import numpy as np
import pytest
import torch

from ganctl import images, latents
from ganctl.config import PRESETS, preset
from ganctl.networks import build_generator
from ganctl.sampling import CHUNK, sample_latents, sample_seeds


@pytest.fixture(scope="module", params=PRESETS)
def generator(request):
    """A full-sized one, with running statistics that are not those it began with."""
    config = preset(request.param).network
    network = build_generator(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.train()(latents.from_seeds(range(16), config.latent_dim))
    return network


@pytest.fixture(scope="module")
def alone(generator):
    """The picture of a seed drawn with nothing beside it."""
    pictures = {}

    def draw(seed):
        if seed not in pictures:
            pictures[seed] = images.concatenate(sample_seeds(generator, [seed], 100))[0]
        return pictures[seed]

    return draw


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_a_picture_is_a_function_of_its_seed_alone(generator, alone, count):
    seeds = list(range(1000, 1000 + count))
    seeds[0] = seeds[count // 2] = seeds[-1] = 7
    pixels = images.concatenate(sample_seeds(generator, seeds, 100))
    assert pixels.shape == (count, 28, 28, 1)
    for position in {0, count // 2, count - 1}:
        assert np.array_equal(pixels[position], alone(7))
    if count > 63:
        assert np.array_equal(pixels[62], alone(1062))


def test_different_seeds_give_different_pictures(alone):
    assert not np.array_equal(alone(7), alone(8))


def test_latents_give_the_pictures_of_their_seeds(generator, alone):
    points = latents.from_seeds([3, 7], 100)
    pixels = images.concatenate(sample_latents(generator, points))
    assert np.array_equal(pixels[1], alone(7))


def test_the_generator_is_used_in_eval_mode_and_left_as_it_was(generator, alone):
    seven = alone(7)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    for training in (True, False):
        generator.train(training)
        assert np.array_equal(next(sample_seeds(generator, [7], 100))[0], seven)
        assert generator.training is training
    after = generator.state_dict()
    assert all(after[name].equal(tensor) for name, tensor in before.items())


def test_a_chunk_is_made_only_when_it_is_asked_for(generator):
    passes = []
    hook = generator.register_forward_hook(lambda *_: passes.append(1))
    chunks = sample_seeds(generator, range(10**6), 100)
    assert (len(next(chunks)), len(passes)) == (CHUNK, 1)
    hook.remove()


@pytest.mark.parametrize("count", [1, 65])
def test_the_generator_only_ever_meets_one_batch_size(generator, count):
    """Another shape may choose another kernel, which may round differently."""
    shapes = []
    hook = generator.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    list(sample_seeds(generator, range(count), 100))
    list(sample_latents(generator, latents.from_seeds(range(count), 100)))
    hook.remove()
    assert set(shapes) == {(CHUNK, 100)}


def test_no_seeds_give_no_chunks(generator):
    assert list(sample_seeds(generator, [], 100)) == []
