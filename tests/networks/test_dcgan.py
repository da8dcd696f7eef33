"""The classic recipe to the letter: layers, counts, constants and initial weights."""

import math

import pytest
import torch
from torch import nn

from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.networks import build_discriminator, build_generator
from ganctl.networks.dropout import Dropout
from ganctl.networks.summary import summarize

CONFIG = preset("dcgan").network


def rgb():
    changes = {"height": 32, "width": 32, "channels": 3}
    return override(preset("dcgan"), changes).network


@pytest.fixture(scope="module")
def generator():
    return build_generator(CONFIG, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def discriminator():
    return build_discriminator(CONFIG, torch.Generator().manual_seed(2))


def kinds(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def test_the_generator_has_2_330_944_parameters_as_keras_counts():
    rows = summarize(CONFIG)["generator"]
    by_layer = [row.num_parameters for row in rows if row.num_parameters]
    assert by_layer == [1_254_400, 50_176, 819_200, 512, 204_800, 256, 1_600]
    assert sum(by_layer) == 2_330_944


def test_the_discriminator_has_212_865_parameters():
    rows = summarize(CONFIG)["discriminator"]
    assert [row.num_parameters for row in rows if row.num_parameters] == [1_664, 204_928, 6_273]
    assert sum(row.num_trained for row in rows) == 212_865


@pytest.mark.parametrize("config", [CONFIG, rgb()], ids=["28x28x1", "32x32x3"])
def test_output_shapes_and_range(config):
    generator = build_generator(config, torch.Generator().manual_seed(0))
    discriminator = build_discriminator(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = generator(torch.randn(3, config.latent_dim))
        logits = discriminator(images)
    assert images.shape == (3, *config.image_shape)
    assert images.abs().max() <= 1
    assert images.std() > 0.01
    assert logits.shape == (3, 1)


def test_shapes_between_the_layers():
    rows = summarize(CONFIG)["generator"]
    convolutions = [row.output_shape for row in rows if row.kind == "ConvTranspose2d"]
    assert convolutions == [(128, 7, 7), (64, 14, 14), (1, 28, 28)]
    rows = summarize(CONFIG)["discriminator"]
    convolutions = [row.output_shape for row in rows if row.kind == "Conv2d"]
    assert convolutions == [(64, 14, 14), (128, 7, 7)]


def test_batch_normalization_has_the_constants_of_keras(generator):
    norms = kinds(generator, nn.BatchNorm1d | nn.BatchNorm2d)
    assert [(norm.momentum, norm.eps) for norm in norms] == [(0.01, 1e-3)] * 3
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_leaky_relu_and_dropout_have_the_slopes_and_rates_of_the_recipe(generator, discriminator):
    for network, count in ((generator, 3), (discriminator, 2)):
        slopes = [module.negative_slope for module in kinds(network, nn.LeakyReLU)]
        assert slopes == [0.3] * count
    assert [module.p for module in kinds(discriminator, Dropout)] == [0.3, 0.3]
    assert not kinds(generator, Dropout)


def test_only_the_discriminator_has_biases_and_they_start_at_zero(generator, discriminator):
    weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    assert [module.bias for module in kinds(generator, weighted)] == [None] * 4
    biases = [module.bias for module in kinds(discriminator, weighted)]
    assert [len(bias) for bias in biases] == [64, 128, 1]
    assert all((bias == 0).all() for bias in biases)


@pytest.mark.parametrize(
    ("network", "layer", "fan_in", "fan_out"),
    [
        ("generator", 0, 100, 12544),
        ("generator", 1, 25 * 256, 25 * 128),
        ("generator", 2, 25 * 128, 25 * 64),
        ("generator", 3, 25 * 64, 25 * 1),
        ("discriminator", 0, 25 * 1, 25 * 64),
        ("discriminator", 1, 25 * 64, 25 * 128),
        ("discriminator", 2, 6272, 1),
    ],
)
def test_initial_weights_are_glorot_uniform(request, network, layer, fan_in, fan_out):
    weighted = kinds(request.getfixturevalue(network), nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    weight = weighted[layer].weight.detach()
    bound = math.sqrt(6 / (fan_in + fan_out))
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert abs(weight.mean().item()) < 4 * bound / math.sqrt(3 * weight.numel())
