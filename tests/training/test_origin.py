"""Runs that begin with the weights of a checkpoint."""

import dataclasses
import shutil

import pytest
import torch

from ganctl.checkpoint import encode
from ganctl.config import presets, resolve, schema
from ganctl.config.schema import settings
from ganctl.distributed.group import Group
from ganctl.errors import CheckpointError, UsageError
from ganctl.files import write_atomic
from ganctl.networks import tensors_by_place
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import origin, session

CHOSEN = {"data", "limit", "batch_size", "epochs", "steps", "augment", "precision", "threads",
          "num_samples", "eval_samples"}  # fmt: skip


@pytest.fixture
def preset():
    """The preset of the first run."""
    return "fast"


@pytest.fixture
def first(preset, tmp_path, tiny_config, train):
    """A run of four steps on tiny digits, of ten classes."""
    folder = tmp_path / "first"
    config = tiny_config(preset, steps=4, conditional=True, ema_images=100)
    train(session.new(config, folder, "cpu"))
    return folder


@pytest.fixture
def begin(tmp_path, tiny_config, photos):
    """Return a function that begins a run on the photos with the weights of another run."""

    def go(path, out="second", chosen=CHOSEN, **changes):
        found = origin.read(path)
        given = {"data": str(photos), "batch_size": 4, "steps": 7, "conditional": True,
                 "ema_images": 100}  # fmt: skip
        changes = given | changes
        config = tiny_config(found.preset, **changes)
        return session.new(config, tmp_path / out, "cpu", chosen={*chosen, *changes}, origin=found)

    return go


def same(state, other):
    left, right = dict(state.tensors()), dict(other.tensors())
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_both_networks_and_the_average_begin_as_there_and_nothing_else(first, begin):
    old = read_checkpoint(first)
    ready = begin(first)
    state, network = ready.state, ready.config.network
    assert (network.image_shape, network.num_classes) == ((3, 28, 28), 2)
    for part, weights in state.weights().items():
        places = tensors_by_place(network)[part.removesuffix("_ema")]
        new = {
            name
            for place, names in places.items()
            for name in names
            if place.name in ("to image", "from image") or place.class_axis is not None
        }
        before = getattr(old, part)
        assert before
        for name, tensor in weights.items():
            assert name in new or tensor.equal(before[name])
    assert state.step == 0
    assert ready.history == []
    assert not any(t.any() for moments in state.moments().values()
                   for table in moments.values() for t in table.values())  # fmt: skip
    at_first = dict(state.generator.state_dict())
    assert not all(state.ema.state_dict()[name].equal(at_first[name]) for name in at_first)


def test_the_size_and_the_networks_are_as_there_unless_chosen(first, begin):
    ready = begin(first)
    network = ready.config.network
    assert (network.base_channels, network.latent_dim) == (4, 8)
    assert ready.config.image_size == "28"
    reasons = {name: ready.reasons[name] for name in resolve.FOLLOWED}
    assert set(reasons.values()) == {f"as in {first}"}
    other = begin(first, image_size="32", latent_dim=6)
    assert (other.config.image_size, other.config.network.latent_dim) == ("32", 6)
    assert not {"image_size", "latent_dim"} & other.reasons.keys()
    (line,) = (str(notice) for notice in ready.notices if "Begins from" in str(notice))
    assert line.startswith(f"Begins from {first} (step 4, mnist at 28): ")
    assert "tensors of the generator, " in line
    assert "the classes of" in line
    assert "continue" not in line


def test_classes_of_the_same_name_are_continued(first, begin, tmp_path, tiny_config):
    old = read_checkpoint(first)
    found = origin.Origin(first, old)
    config = schema.override(tiny_config(old.config.preset, conditional=True), {"seed": 5})
    state = session.new(config, tmp_path / "x", "cpu").state
    beginning = found.fill(state, ["7", "7b", *"345689", "x", "0"])
    assert beginning.continued == tuple("73456890")
    assert "Classes that continue those of the same number: 7, 3, " in beginning.notice()
    named = dataclasses.replace(beginning, continued=("cat", "7"))
    assert named.notice().endswith("Classes that continue those of the same name: cat, 7.")
    name = "layers.0.weight"
    ours, theirs = state.generator.state_dict()[name], old.generator[name]
    latent_dim = old.config.network.latent_dim
    for number, other in ((0, 7), (2, 3), (9, 0)):
        assert ours[:, latent_dim + number].equal(theirs[:, latent_dim + other])
    for number in (1, 8):
        assert not any(ours[:, latent_dim + number].equal(theirs[:, latent_dim + other])
                       for other in range(10))  # fmt: skip


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_a_run_that_was_begun_from_a_checkpoint_resumes_without_it(
    first, begin, train, recorder, tmp_path, without_times
):
    digest = read_checkpoint(first).digest
    whole = begin(first, "whole")
    train(whole)
    train(begin(first), recorder(3))
    shutil.rmtree(first)
    again = session.resume(tmp_path / "second", {}, "cpu")
    train(again)
    assert same(again.state, whole.state)
    found, other = (read_checkpoint(tmp_path / name) for name in ("second", "whole"))
    assert without_times(found.history) == without_times(other.history)
    for made_by in (found.made_by, RunDirectory(tmp_path / "second").read_starts()[0]):
        assert made_by["init_from"] == str(first)
        assert made_by["init_from_digest"] == digest
        assert (made_by["init_from_step"], made_by["init_from_data"]) == (4, "mnist")
        assert "the classes of layers.0.weight" in made_by["init_from_new"]


def test_an_average_begins_as_the_generator_if_there_was_none(tmp_path, tiny_config, begin, train):
    config = tiny_config(steps=1, ema_images=0, conditional=False)
    train(session.new(config, tmp_path / "first", "cpu"))
    state = begin(tmp_path / "first", ema_images=50).state
    weights = state.generator.state_dict()
    assert all(tensor.equal(weights[name]) for name, tensor in state.ema.state_dict().items())


def test_settings_with_which_nothing_fits_are_refused(first, begin, tmp_path):
    with pytest.raises(UsageError) as caught:
        begin(first, base_channels=6)
    assert str(caught.value) == (
        f"no weights of {first} fit: base_channels=4 there, base_channels=6 here"
    )
    assert not (tmp_path / "second").exists()


def test_another_preset_is_refused_if_nothing_fits(tmp_path, tiny_config, train):
    train(session.new(tiny_config("dcgan", steps=1), tmp_path / "first", "cpu"))
    with pytest.raises(UsageError, match="fit: preset='dcgan' there, preset='fast' here"):
        session.new(tiny_config("fast"), tmp_path / "second", "cpu", chosen=CHOSEN,
                    origin=origin.read(tmp_path / "first"))  # fmt: skip


@pytest.mark.parametrize("part", ["generator", "generator_ema", "discriminator"])
def test_weights_that_are_not_finite_are_refused(tmp_path, tiny_checkpoint, part):
    weights = getattr(tiny_checkpoint, part)
    name = next(iter(weights))
    broken = {**weights, name: torch.full_like(weights[name], torch.nan)}
    path = tmp_path / "ckpt.pt"
    write_atomic(path, encode(dataclasses.replace(tiny_checkpoint, **{part: broken})))
    with pytest.raises(CheckpointError, match=f"begun from: {part} {name} is not finite"):
        origin.read(path)


def test_a_preset_that_is_unknown_here_is_not_taken_over(tmp_path, tiny_checkpoint):
    config = dataclasses.replace(tiny_checkpoint.config, preset="finest")
    found = origin.Origin(tmp_path, dataclasses.replace(tiny_checkpoint, config=config))
    assert found.preset is None
    assert origin.Origin(tmp_path, tiny_checkpoint).preset == "fast"


def test_every_process_must_begin_from_the_same_checkpoint(first, tiny_config, tmp_path):
    class Other(Group):
        size, rank = 2, 1

        def broadcast(self, value):
            return "another digest"

    with pytest.raises(UsageError, match="not have the same checkpoint to begin from"):
        session.new(tiny_config(), tmp_path / "second", "cpu", group=Other(),
                    origin=origin.read(first))  # fmt: skip


def test_what_is_followed_decides_shapes():
    config = presets.preset("fast")
    values = settings(config)
    assert {"architecture", "base_channels", "latent_dim", "image_size"} <= {*resolve.FOLLOWED}
    assert {*resolve.FOLLOWED} <= values.keys()
    found = resolve.followed(config, presets.preset("dcgan"), {"latent_dim"})
    assert found == {"base_channels": 64, "image_size": None}


def test_layers_can_be_frozen_only_if_they_are_taken(first, begin, tiny_config, tmp_path):
    with pytest.raises(UsageError, match=r"layers.0.weight does not fit .* cannot be frozen"):
        begin(first, freeze_d=1)  # grayscale there, color here
    begin(first, freeze_d=3, image_channels=1)
    with pytest.raises(UsageError, match="this run begins anew"):
        session.new(tiny_config(freeze_d=1), tmp_path / "anew", "cpu")
