"""Building either network from its config alone, and refusing weights that are not its own."""

import pytest
import torch

from ganctl.config import PRESETS
from ganctl.errors import CheckpointError
from ganctl.networks import (
    both_networks,
    build_discriminator,
    build_generator,
    check_weights,
    generator_from,
)


@pytest.fixture(params=PRESETS)
def config(request, tiny_config):
    return tiny_config(request.param).network


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_without_random_numbers_a_network_is_a_shape_alone(config, build):
    shape, built = build(config), build(config, torch.Generator())
    assert all(parameter.device.type == "meta" for parameter in shape.parameters())
    check_weights(shape, built.state_dict())


def test_both_networks_are_named_as_in_a_checkpoint(config):
    assert list(both_networks(config)) == ["generator", "discriminator"]


def test_a_generator_is_rebuilt_bit_for_bit(config):
    original = build_generator(config, torch.Generator().manual_seed(3)).eval()
    rebuilt = generator_from(config, original.state_dict(), torch.device("cpu"))
    latents = torch.randn(4, config.latent_dim)
    assert not rebuilt.training
    assert not any(parameter.requires_grad for parameter in rebuilt.parameters())
    with torch.no_grad():
        assert rebuilt(latents).equal(original(latents))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda weights, name: weights.pop(name), "it lacks '{}'"),
        (lambda weights, name: weights.update(x=torch.ones(1)), "it has a stray 'x'"),
        (lambda weights, name: weights.update({name: torch.ones(2, 2, 2)}), r"'{}' is \(2, 2, 2\)"),
        (lambda weights, name: weights.update({name: weights[name].double()}), "float64, not"),
        (lambda weights, name: weights.update({name: weights[name].mT}), "'{}' is"),
        (lambda weights, name: weights.clear(), "it lacks"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(config, change, complaint):
    weights = dict(build_generator(config, torch.Generator()).state_dict())
    name = next(name for name, tensor in weights.items() if tensor.ndim == 2)
    change(weights, name)
    with pytest.raises(CheckpointError, match=complaint.format(name)):
        generator_from(config, weights, torch.device("cpu"))
