"""How often samples are measured."""

import math

import pytest
import torch

from ganctl import efficientnet
from ganctl.config.image_settings import stages_for
from ganctl.config.presets import preset, tuned
from ganctl.config.schema import override
from ganctl.features import imagenet
from ganctl.training import cadence

LARGE = {"height": 64, "width": 64, "channels": 3, "stages": 4, "data": "heads"}


@pytest.fixture
def config(tiny_config):
    """The recipe `fast` with its usual networks, on images of 64x64 that are no digits."""
    usual = {"base_channels": 16, "latent_dim": 32, "batch_size": 32, "eval_samples": 1000}
    return override(tiny_config(epochs=100, **usual), LARGE)


def test_digits_are_measured_after_every_epoch(tiny_config):
    assert cadence.choose(tiny_config(eval_samples=1000), 60_000) == 1
    assert cadence.in_steps(tiny_config(eval_samples=1000)) is None


def test_samples_are_measured_as_often_as_three_percent_of_the_training_allow(config):
    every = cadence.choose(config, 6000)
    assert 1 < every < 50
    number, steps = math.ceil(100 / every), cadence.in_steps(config)
    assert (number + 1) * steps <= 0.03 * config.total_steps(6000) < (2 * number + 1) * steps
    for changes in ({"epochs": 1000}, {"eval_samples": 100}, {"base_channels": 64}):
        cheaper = override(config, changes)
        share = cadence.choose(cheaper, 6000) / cheaper.epochs
        assert share < every / 100, changes


@pytest.mark.parametrize(
    ("name", "num_images", "side", "channels", "expected"),
    [
        ("guided", 5400, 64, 3, (28, 6)),
        ("guided", 5400, 128, 3, (28, 5)),
        ("fast", 5400, 64, 3, (112, 19)),
        ("fast", 45_000, 32, 3, (14, 14)),
        ("fast", 3600, 32, 3, (167, 167)),
    ],
)
def test_the_table_in_the_docs_is_true(name, num_images, side, channels, expected):
    shape = {"height": side, "width": side, "channels": channels}
    config = override(preset(name), {**shape, "stages": stages_for(side, side), "data": "own"})
    changes = {key: value for key, (value, _) in tuned(config, num_images).items()}
    config = override(config, changes)
    assert (config.epochs, cadence.choose(config, num_images)) == expected


def test_a_short_run_is_measured_at_its_end(config):
    assert cadence.choose(override(config, {"epochs": 2}), 100) == 2


def test_samples_that_are_not_measured_and_numbers_that_are_given(config):
    assert cadence.choose(override(config, {"eval_samples": 0}), 6000) == 1
    assert cadence.choose(override(config, {"eval_every": 7}), 6000) == 7


def test_patches_are_measured_where_there_is_no_network(config, monkeypatch):
    with_network = cadence.choose(config, 6000)
    monkeypatch.setattr(efficientnet, "is_installed", lambda: False)
    assert 1 <= cadence.choose(config, 6000) <= with_network


def test_multiplications_of_the_feature_network_are_counted():
    network = efficientnet.Network(efficientnet.read_weights("a test"))
    counted = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda module, _, output: counted.append(
                    output[0].numel() * module.weight[0].numel()
                )
            )
    for side, expected in imagenet.MULTIPLICATIONS.items():
        counted.clear()
        with torch.no_grad():
            network(torch.zeros(1, 3, side, side))
        assert sum(counted) == expected
