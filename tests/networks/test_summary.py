import dataclasses
import math

import pytest
import torch
from torch import nn

from ganctl.config.image_settings import stages_for
from ganctl.config.presets import PRESETS
from ganctl.networks import meta_networks
from ganctl.networks.summary import (
    Layer,
    generator_output_bytes,
    list_layers,
    most_output_bytes,
    multiplications,
    output_bytes,
    summarize,
)


@pytest.fixture(params=PRESETS)
def config(request, tiny_config):
    return tiny_config(request.param).network


IMAGES = torch.empty(2, 1, 8, 8, device="meta")


def small_network():
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(1, 3, 5, stride=2, padding=2),
            nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()),
            nn.Linear(3 * 4 * 4, 1, bias=False),
        )


def test_layers_are_the_leaves_in_the_order_of_the_data():
    assert list_layers(small_network(), IMAGES) == [
        Layer("0", "Conv2d", (3, 4, 4), num_trained=3 * 25 + 3, num_statistics=0),
        Layer("1.0", "BatchNorm2d", (3, 4, 4), num_trained=6, num_statistics=6),
        Layer("1.1", "Flatten", (48,), num_trained=0, num_statistics=0),
        Layer("2", "Linear", (1,), num_trained=48, num_statistics=0),
    ]


def test_running_statistics_count_as_parameters_as_in_keras():
    assert Layer("", "", (), num_trained=6, num_statistics=6).num_parameters == 12


def test_the_network_is_not_changed():
    network = small_network()
    list_layers(network, IMAGES)
    assert list_layers(network, IMAGES) == list_layers(network, IMAGES)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("side", [8, 28, 32, 48, 96, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_outputs_of_a_generator_are_within_the_bound(config, side, channels):
    config = dataclasses.replace(
        config, height=side, width=side, channels=channels, base_channels=16,
        stages=stages_for(side, side),
    )  # fmt: skip
    rows = summarize(config)["generator"]
    real = sum(4 * math.prod(row.output_shape) for row in rows)
    assert real <= generator_output_bytes(config) <= 1.7 * real
    assert output_bytes(config) <= most_output_bytes(config)


def test_multiplications_are_those_of_the_weights(tiny_config):
    config = tiny_config("dcgan").network
    found = multiplications(config)
    layers = {name: dict(net.named_modules()) for name, net in meta_networks(config).items()}
    expected = 0
    for layer in summarize(config)["discriminator"]:
        if layer.kind in ("Conv2d", "Linear", "Logit"):
            weight = layers["discriminator"][layer.name].weight
            expected += math.prod(layer.output_shape) * weight[0].numel()
    assert found["discriminator"] == expected > 0
    both = ({"base_channels": 2 * config.base_channels}, {"height": 56, "width": 56})
    for changes in both:
        larger = multiplications(dataclasses.replace(config, **changes))
        for name, number in larger.items():
            assert 1.9 * found[name] < number < 5 * found[name], (changes, name)
