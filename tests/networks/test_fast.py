"""Properties of any `fast` network; its layers may change."""

import pytest
import torch

from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.networks import build_discriminator, build_generator

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 12)]


def networks(shape, seed=0):
    channels, height, width = shape
    changes = {"channels": channels, "height": height, "width": width, "base_channels": 8}
    config = override(preset("fast"), changes).network
    rng = torch.Generator().manual_seed(seed)
    return config, build_generator(config, rng), build_discriminator(config, rng)


@pytest.mark.parametrize("shape", SHAPES)
def test_output_shapes_and_ranges(shape):
    config, generator, discriminator = networks(shape)
    latents = torch.randn(5, config.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = generator(latents)
        logits = discriminator(images)
    assert images.shape == (5, *shape)
    assert images.abs().max() <= 1
    assert images.std() > 0.01
    assert logits.shape == (5, 1)
    assert logits.isfinite().all()


def test_initial_weights_are_a_function_of_the_random_numbers_given():
    def weights(seed):
        _, *both = networks((1, 28, 28), seed)
        return [tensor for network in both for tensor in network.state_dict().values()]

    once, again, other = weights(0), weights(0), weights(1)
    assert all(map(torch.equal, once, again))
    assert not all(map(torch.equal, once, other))


def test_every_weight_influences_the_logits():
    config, generator, discriminator = networks((1, 28, 28))
    latents = torch.randn(4, config.latent_dim, generator=torch.Generator().manual_seed(0))
    discriminator(generator(latents)).square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_classes_make_a_difference_to_both_networks():
    config = override(preset("fast"), {"base_channels": 8, "num_classes": 3}).network
    rng = torch.Generator().manual_seed(0)
    generator, discriminator = build_generator(config, rng), build_discriminator(config, rng)
    classes = torch.eye(3)
    latent = torch.randn(1, config.latent_dim).expand(3, -1)
    images = generator(torch.cat([latent, classes], 1))
    assert (images[0] - images[1]).abs().mean() > 0.01
    logits = discriminator(images[:1].expand(3, -1, -1, -1), classes)
    assert len(set(logits.flatten().tolist())) == 3


def test_all_stages_of_the_generator_but_the_last_have_a_second_convolution():
    config = preset("fast").network
    generator = build_generator(config, torch.Generator().manual_seed(0))
    assert len(generator.layers) == 10
    assert generator.layers[-3].weight.numel() == 16 * 36
    assert generator(torch.zeros(2, config.latent_dim)).shape == (2, 1, 28, 28)
