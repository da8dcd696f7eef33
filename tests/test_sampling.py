"""The image of a seed never depends on the images drawn beside it."""

import numpy as np
import pytest
import torch

from ganctl import images, latents
from ganctl.config.image_settings import stages_for
from ganctl.config.presets import PRESETS, preset
from ganctl.config.schema import override
from ganctl.networks import build_generator
from ganctl.sampling import (
    CHUNK,
    chunk_size,
    drawing_bytes,
    generator_output_bytes,
    inputs_of,
    sample_latents,
    sample_seeds,
)


@pytest.fixture(scope="module", params=PRESETS)
def config(request):
    """Networks of `fast` with classes, and of `dcgan` without."""
    config = preset(request.param)
    return override(config, {"num_classes": 10 if config.conditional else 0}).network


@pytest.fixture(scope="module")
def generator(config):
    """A full-sized generator whose running statistics are not the initial ones."""
    network = build_generator(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.train()(inputs_of(range(16), config))
    return network


@pytest.fixture(scope="module")
def alone(generator, config):
    """Draw the image of a single seed."""
    pictures = {}

    def draw(seed):
        if seed not in pictures:
            pictures[seed] = images.concatenate(sample_seeds(generator, [seed], config))[0]
        return pictures[seed]

    return draw


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK + 3])
def test_an_image_depends_on_its_seed_alone(config, generator, alone, count):
    seeds = list(range(1000, 1000 + count))
    seeds[0] = seeds[count // 2] = seeds[-1] = 7
    pixels = images.concatenate(sample_seeds(generator, seeds, config))
    assert pixels.shape == (count, 28, 28, 1)
    for position in {0, count // 2, count - 1}:
        assert np.array_equal(pixels[position], alone(7))
    if count > 63:
        assert np.array_equal(pixels[62], alone(1062))


def test_different_seeds_give_different_images(alone):
    assert not np.array_equal(alone(7), alone(8))


def test_latents_of_seeds_give_the_same_images(config, generator, alone):
    points = inputs_of([3, 7], config)
    pixels = images.concatenate(sample_latents(generator, points, config))
    assert np.array_equal(pixels[1], alone(7))


def test_generator_is_in_eval_mode_and_is_left_unchanged(config, generator, alone):
    seven = alone(7)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    for training in (True, False):
        generator.train(training)
        assert np.array_equal(next(sample_seeds(generator, [7], config))[0], seven)
        assert generator.training is training
    after = generator.state_dict()
    assert all(after[name].equal(tensor) for name, tensor in before.items())


def test_chunks_are_drawn_lazily(config, generator):
    passes = []
    hook = generator.register_forward_hook(lambda *_: passes.append(1))
    chunks = sample_seeds(generator, range(10**6), config)
    assert (len(next(chunks)), len(passes)) == (chunk_size(config), 1)
    hook.remove()


@pytest.mark.parametrize("count", [1, CHUNK + 1])
def test_batch_size_is_always_the_same(config, generator, count):
    """For another batch size torch may choose another kernel, which may round differently."""
    shapes = []
    hook = generator.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    list(sample_seeds(generator, range(count), config))
    list(sample_latents(generator, inputs_of(range(count), config), config))
    hook.remove()
    assert set(shapes) == {(chunk_size(config), config.input_dim)}


def sized(name, side, **changes):
    return override(
        preset(name), {"height": side, "width": side, "stages": stages_for(side, side), **changes}
    ).network


@pytest.mark.parametrize("name", PRESETS)
def test_batch_size_decreases_with_image_size(name):
    """Images of 256x256 are not drawn 256 at once; digits are, unless their generator is wide."""
    assert chunk_size(sized(name, 28)) == (CHUNK // 2 if name == "guided" else CHUNK)
    sizes = [chunk_size(sized(name, side)) for side in (32, 64, 128, 256)]
    assert sizes == sorted(sizes, reverse=True)
    assert 1 < sizes[-1] < 16
    for side in (28, 64, 256, 512):
        network = sized(name, side)
        count = chunk_size(network)
        assert drawing_bytes(network) == count * generator_output_bytes(network)
        assert count == 1 or drawing_bytes(network) <= 2**27
    assert chunk_size(sized(name, 28, channels=3)) == chunk_size(sized(name, 28))


def test_a_large_image_depends_on_its_seed_alone():
    network = sized("fast", 128, base_channels=16)
    generator = build_generator(network, torch.Generator().manual_seed(0))
    batches = []
    generator.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    size = chunk_size(network)
    assert size < CHUNK
    (alone,) = sample_seeds(generator, [size], network)
    pixels = images.concatenate(sample_seeds(generator, range(size + 1), network))
    assert batches == [size] * 3
    assert np.array_equal(pixels[size], alone[0])


def test_no_seeds_give_no_chunks(config, generator):
    assert list(sample_seeds(generator, [], config)) == []


def test_ten_seeds_in_a_row_are_ten_classes(tiny_config):
    config = override(tiny_config(), {"num_classes": 10}).network
    points = inputs_of([9, 10, 11, 23], config)
    assert points.shape == (4, 8 + 10)
    assert points[:, :8].equal(latents.from_seeds([9, 10, 11, 23], 8))
    assert points[:, 8:].argmax(1).tolist() == [9, 0, 1, 3]
    assert points[:, 8:].sum(1).tolist() == [1.0] * 4
    asked = inputs_of([9, 10], config, [7, 2])
    assert asked[:, :8].equal(points[:2, :8])
    assert asked[:, 8:].argmax(1).tolist() == [7, 2]


def test_labels_choose_the_classes_of_samples(tiny_config):
    config = override(tiny_config(), {"num_classes": 10}).network
    network = build_generator(config, torch.Generator().manual_seed(0))
    threes = np.broadcast_to(np.int64(3), 10)
    own, of_three = (
        next(sample_seeds(network, range(10), config, some)) for some in (None, threes)
    )
    assert np.array_equal(own[3], of_three[3])
    assert all(not np.array_equal(own[seed], of_three[seed]) for seed in range(10) if seed != 3)


def test_labels_stay_with_their_images_after_the_first_latents(tiny_config):
    config = override(tiny_config(), {"num_classes": 10}).network
    network = build_generator(config, torch.Generator().manual_seed(0))
    count = 5 * CHUNK
    labels = np.arange(count) // CHUNK
    drawn = images.concatenate(sample_seeds(network, [7] * count, config, labels))
    alone = [next(sample_seeds(network, [7], config, [label]))[0] for label in range(5)]
    assert all(np.array_equal(drawn[index], alone[labels[index]]) for index in range(0, count, 97))
