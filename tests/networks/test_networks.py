"""Networks are built from their config alone, and weights that do not fit are refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ganctl.config.image_settings import SIZES, stages_for
from ganctl.config.presets import PRESETS
from ganctl.config.schema import override
from ganctl.errors import CheckpointError
from ganctl.networks import (
    build_discriminator,
    build_generator,
    check_weights,
    fourier,
    load_generator,
    meta_networks,
)
from ganctl.networks.summary import summarize
from ganctl.training.state import create
from ganctl.training.step import train_step


@pytest.fixture(params=PRESETS)
def config(request, tiny_config):
    return tiny_config(request.param).network


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_without_a_random_generator_a_network_is_on_the_meta_device(config, build):
    shape, built = build(config), build(config, torch.Generator())
    assert all(parameter.device.type == "meta" for parameter in shape.parameters())
    check_weights(shape.state_dict(), built.state_dict())


def test_both_networks_are_named_as_in_a_checkpoint(config):
    assert list(meta_networks(config)) == ["generator", "discriminator"]


def test_a_generator_is_rebuilt_bit_for_bit(config):
    original = build_generator(config, torch.Generator().manual_seed(3)).eval()
    rebuilt = load_generator(config, original.state_dict(), torch.device("cpu"))
    latents = torch.randn(4, config.latent_dim)
    assert not rebuilt.training
    assert not any(parameter.requires_grad for parameter in rebuilt.parameters())
    with torch.no_grad():
        assert rebuilt(latents).equal(original(latents))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_a_traced_generator_draws_the_same_images_in_batches_of_any_size(config):
    """The generator is traced before anything is cached, as in a program that only exports it."""
    fourier._transforms.cache_clear()
    generator = build_generator(config, torch.Generator().manual_seed(3)).eval()
    few, many = torch.randn(2, config.input_dim), torch.randn(5, config.input_dim)
    with torch.no_grad():
        traced = torch.jit.trace(generator, few)
        assert_close(traced(many), generator(many), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda weights, name: weights.pop(name), "'{}' is missing"),
        (lambda weights, name: weights.update(x=torch.ones(1)), "'x' is unexpected"),
        (lambda weights, name: weights.update({name: torch.ones(2, 2, 2)}), r"'{}' is \(2, 2, 2\)"),
        (lambda weights, name: weights.update({name: weights[name].double()}), "float64, not"),
        (lambda weights, name: weights.update({name: weights[name].mT}), "'{}' is"),
        (lambda weights, name: weights.clear(), "is missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(config, change, complaint):
    weights = dict(build_generator(config, torch.Generator()).state_dict())
    name = next(name for name, tensor in weights.items() if tensor.ndim == 2)
    change(weights, name)
    with pytest.raises(CheckpointError, match=complaint.format(name)):
        load_generator(config, weights, torch.device("cpu"))


def logits_of(table):
    return [row.output_shape for row in table if row.kind == "Logit"]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [*SIZES, 8, 12, 100, 256, 512, 1024])
def test_both_networks_fit_images_of_every_size(preset, channels, size):
    """The networks are on the meta device, where nothing is computed."""
    images = {"height": size, "width": size, "channels": channels, "stages": stages_for(size, size)}
    config = override(PRESETS[preset], {**images, "num_classes": 3}).network
    tables = summarize(config)
    assert tables["generator"][-1].output_shape == (channels, size, size)
    assert logits_of(tables["discriminator"]) == [(1,)]
    if size != 100:  # what a run of any of these takes: four copies, of 4 bytes each
        count = sum(row.num_parameters for table in tables.values() for row in table)
        assert count < (30_000_000 if size in SIZES else 70_000_000)


@given(
    sides=st.tuples(*[st.integers(2, 256).map(lambda quarter: 4 * quarter)] * 2),
    preset=st.sampled_from(sorted(PRESETS)),
)
def test_both_networks_fit_images_that_are_not_square(sides, preset):
    height, width = sides
    images = {"height": height, "width": width, "stages": stages_for(height, width)}
    tables = summarize(override(PRESETS[preset], images).network)
    assert tables["generator"][-1].output_shape == (1, height, width)
    assert logits_of(tables["discriminator"]) == [(1,)]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "shape",
    [(3, 32, 32), (1, 48, 64), (3, 128, 128), (3, 256, 256), (3, 512, 512), (3, 1024, 1024)],
)
def test_networks_for_larger_images_can_be_trained(tiny_config, preset, shape):
    channels, height, width = shape
    images = {"channels": channels, "height": height, "width": width}
    config = tiny_config(
        preset, batch_size=2, base_channels=1, r1_weight=1.0, **images,
        stages=stages_for(height, width),
    )  # fmt: skip
    state = create(config, torch.device("cpu"))
    metrics = train_step(state, torch.zeros(2, *shape), torch.ones(2, 8), noise_seed=0).metrics
    assert metrics.isfinite().all()
    assert all(tensor.isfinite().all() for _, tensor in state.tensors())
