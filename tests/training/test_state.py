import dataclasses

import pytest
import torch

from ganctl.checkpoint import decode, encode
from ganctl.config.presets import PRESETS
from ganctl.errors import CheckpointError, UsageError
from ganctl.history import Meter
from ganctl.latents import from_seeds
from ganctl.networks import first_layers
from ganctl.store import RunDirectory
from ganctl.training.recorder import Recorder
from ganctl.training.state import create, restore, trained
from ganctl.training.step import train_step

CPU = torch.device("cpu")


def updated(state, steps=2):
    real = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for step in range(steps):
        train_step(state, real, from_seeds(range(16), 8), noise_seed=step)
    return state


def same(state, other):
    left, right = dict(state.tensors()), dict(other.tensors())
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


@pytest.fixture
def checkpoint_of(tiny_checkpoint):
    """Return a function that encodes a state as a checkpoint and decodes it again."""

    def make(state):
        filled = dataclasses.replace(
            tiny_checkpoint, config=state.config, step=state.step, **state.weights(),
            **state.moments()
        )  # fmt: skip
        return decode(encode(filled))

    return make


@pytest.mark.parametrize("preset", PRESETS)
def test_the_initial_state_is_a_function_of_the_seed(tiny_config, preset):
    torch.manual_seed(1)
    once = create(tiny_config(preset), CPU)
    torch.manual_seed(2)
    assert same(create(tiny_config(preset), CPU), once)
    assert not same(create(tiny_config(preset, seed=1), CPU), once)
    assert once.step == 0


def test_the_average_starts_as_the_generator_and_has_no_gradients(tiny_config):
    state = create(tiny_config("dcgan", ema_images=100), CPU)
    pairs = [state.ema.state_dict(), state.generator.state_dict()]
    assert all(pairs[0][name].equal(pairs[1][name]) for name in pairs[1])
    assert not state.ema.training
    assert not any(parameter.requires_grad for parameter in state.ema.parameters())
    assert state.sampler is state.ema
    without = create(tiny_config("dcgan", ema_images=0), CPU)
    assert without.ema is None
    assert without.sampler is without.generator


def test_all_tensors_have_names_of_their_own(tiny_config):
    names = [name for name, _ in updated(create(tiny_config(), CPU)).tensors()]
    assert len(set(names)) == len(names)
    parts = {" ".join(name.split()[:-1]) for name in names}
    assert parts == {
        "generator",
        "generator_ema",
        "discriminator",
        "optimizer_g exp_avg",
        "optimizer_g exp_avg_sq",
        "optimizer_d exp_avg",
        "optimizer_d exp_avg_sq",
    }


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_restored_state_has_the_same_bits_now_and_after_more_steps(
    tiny_config, checkpoint_of, preset, steps
):
    original = updated(create(tiny_config(preset), CPU), steps)
    restored = restore(checkpoint_of(original), original.config, CPU)
    assert restored.step == steps
    assert same(restored, original)
    assert same(updated(restored), updated(original))
    layouts = [[tensor.stride() for _, tensor in s.tensors()] for s in (restored, original)]
    assert layouts[0] == layouts[1]


@pytest.mark.parametrize("part", ["generator", "generator_ema", "discriminator"])
def test_weights_that_do_not_fit_are_refused(tiny_config, checkpoint_of, part):
    whole = checkpoint_of(create(tiny_config(), CPU))
    weights = getattr(whole, part)
    name = next(iter(weights))
    for wrong in ({}, {**weights, name: weights[name][1:]}, {**weights, "x": weights[name]}):
        with pytest.raises(CheckpointError, match="does not fit its own configuration"):
            restore(dataclasses.replace(whole, **{part: wrong}), whole.config, CPU)


@pytest.mark.parametrize("part", ["optimizer_g", "optimizer_d"])
@pytest.mark.parametrize("step", [0, 3])
def test_moments_that_do_not_fit_are_refused(tiny_config, checkpoint_of, part, step):
    whole = checkpoint_of(create(tiny_config(), CPU))
    moments = getattr(whole, part)
    wrong = {**moments, "exp_avg_sq": {**moments["exp_avg_sq"], "x": torch.ones(1)}}
    with pytest.raises(CheckpointError, match="'x' is unexpected"):
        restore(dataclasses.replace(whole, step=step, **{part: wrong}), whole.config, CPU)


def test_a_missing_average_is_refused_if_the_config_has_one(tiny_config, checkpoint_of):
    whole = checkpoint_of(create(tiny_config(ema_images=100), CPU))
    with pytest.raises(CheckpointError, match="is missing"):
        restore(dataclasses.replace(whole, generator_ema=None), whole.config, CPU)


def test_a_checkpoint_holds_the_state(tiny_config, tiny_dataset, recorder, tmp_path):
    state, run = updated(create(tiny_config(), CPU)), RunDirectory(tmp_path)
    saved = Recorder(state, tiny_dataset, run, recorder(), data={}, made_by={}).checkpoint(Meter())
    assert (saved.step, saved.config) == (2, state.config)
    assert saved.generator.keys() == state.generator.state_dict().keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_frozen_layers_stay_as_they_are_and_resume_exactly(tiny_config, checkpoint_of, preset):
    config = tiny_config(preset, freeze_d=2, r1_weight=0.5, r1_interval=2)
    before = create(config, CPU)
    at_first = {name: t.clone() for name, t in before.discriminator.state_dict().items()}
    original = updated(before, 3)
    frozen = first_layers(config.network, 2)
    assert len(frozen) == 4  # two weights and two biases
    for name, tensor in original.discriminator.state_dict().items():
        assert tensor.equal(at_first[name]) == (name in frozen)
    for moments in original.moments()["optimizer_d"].values():
        assert [bool(t.any()) for name, t in moments.items()] == [n not in frozen for n in moments]
    restored = restore(checkpoint_of(original), original.config, CPU)
    assert same(updated(restored), updated(original))


def test_all_but_the_last_layer_can_be_frozen_and_no_more(tiny_config, checkpoint_of):
    state = create(tiny_config("dcgan", freeze_d=2), CPU)
    assert len(trained(state.discriminator)) == 2  # weight and bias
    with pytest.raises(UsageError, match="freeze_d=3 is too many layers") as caught:
        create(tiny_config("dcgan", freeze_d=3), CPU)
    assert caught.value.hint == "The discriminator of 28x28 pixels has 2 before its last."
    config = tiny_config("dcgan", freeze_d=3)
    forged = dataclasses.replace(checkpoint_of(state), config=config)
    with pytest.raises(CheckpointError, match="invalid configuration: freeze_d=3 is too many"):
        restore(forged, config, CPU)
