"""Models, as Python programs use them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import ganctl
from ganctl import checkpoint, machine, sampling
from ganctl.config import schema
from ganctl.errors import CheckpointError, DeviceError, UsageError
from ganctl.training.state import create

NAMES = ["zero", "one", "<b>"]


@pytest.fixture
def written(tiny_checkpoint, tiny_config, tmp_path):
    """Write a checkpoint with changed settings; return its path."""

    def write(preset="fast", classes=(), **changes):
        config = schema.override(tiny_config(preset, **changes), {"num_classes": len(classes)})
        state = create(config, torch.device("cpu"))
        made = dataclasses.replace(
            tiny_checkpoint, config=state.config,
            data={**tiny_checkpoint.data, "classes": list(classes)},
            **state.weights(), **state.moments(),
        )  # fmt: skip
        path = tmp_path / "ckpt.pt"
        path.write_bytes(checkpoint.encode(made))
        return path

    return write


@pytest.fixture
def model(written):
    """A model with three classes."""
    return ganctl.load(written(classes=NAMES))


@pytest.fixture
def plain(written):
    """An unconditional model."""
    return ganctl.load(written())


def test_attributes(model):
    assert (model.data, model.step, model.ema) == ("mnist", 3, True)
    assert model.classes == tuple(NAMES)
    assert model.network.image_shape == (1, 28, 28)
    assert "fast on mnist, 28x28x1, 3 classes, step 3" in repr(model)


def test_html_is_escaped(model):
    shown = model._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_a_run_directory_loads_its_latest_checkpoint(written):
    path = written()
    assert ganctl.load(path.parent).path == path
    assert ganctl.load(str(path)).digest == ganctl.load(path).digest


@pytest.mark.parametrize("name", ["nothing.pt", "."])
def test_missing_checkpoint_is_an_error(tmp_path, name):
    with pytest.raises(CheckpointError):
        ganctl.load(tmp_path / name)


def test_average_or_weights_as_trained(written):
    path = written()
    weights = ganctl.load(path, ema=False)
    assert weights.ema is False
    with pytest.raises(UsageError, match="no moving average"):
        ganctl.load(written("dcgan"), ema=True)
    assert ganctl.load(path).ema is False


def test_images_depend_on_their_seeds_alone(model):
    alone = model.sample([5])
    beside = model.sample([1, 5, 300])
    assert (alone.pixels.shape, alone.pixels.dtype) == ((1, 28, 28, 1), np.uint8)
    assert np.array_equal(alone.pixels[0], beside.pixels[1])
    assert not np.array_equal(beside.pixels[0], beside.pixels[1])
    assert alone.seeds == (5,)


def test_images_do_not_depend_on_the_batch(plain):
    """260 are drawn in two batches."""
    many = plain.sample(range(260))
    assert np.array_equal(many.pixels[[0, 255, 259]], plain.sample([0, 255, 259]).pixels)


@pytest.mark.parametrize(
    "seeds", [range(3), (0, 1, 2), np.arange(3), (seed for seed in range(3))], ids=type
)
def test_seeds_of_any_integral_type(model, seeds):
    samples = model.sample(seeds)
    assert tuple(samples.seeds) == (0, 1, 2)
    assert {type(seed) for seed in samples.seeds} == {int}


def test_no_seeds_give_no_images(model):
    assert model.sample([]).pixels.shape == (0, 28, 28, 1)


@pytest.mark.parametrize("seeds", [[-1], [2**32], range(-1, 2), range(2**32, 2**32 + 2)])
def test_invalid_seeds_are_refused(model, seeds):
    with pytest.raises(UsageError, match="seeds must be from 0 to"):
        model.sample(seeds)


def test_classes_by_number_and_by_name(model):
    of_one = model.sample([0, 4], classes="one").pixels
    assert np.array_equal(of_one, model.sample([0, 4], classes=1).pixels)
    assert np.array_equal(of_one, model.sample([0, 4], classes=["one", 1]).pixels)
    assert np.array_equal(of_one[1], model.sample([4]).pixels[0]), "4 is of class 1 by itself"
    assert not np.array_equal(of_one[0], model.sample([0]).pixels[0])


@pytest.mark.parametrize(
    "classes",
    [np.int64(1), np.array(1), torch.tensor(1), np.array([1, 1]), torch.tensor([1, 1]),
     np.array(["one", "1"]), (np.uint8(1), "one")],
    ids=repr,
)  # fmt: skip
def test_classes_may_be_of_any_integral_type(model, classes):
    expected = model.sample([3, 4], classes=1).pixels
    assert np.array_equal(model.sample(np.array([3, 4]), classes=classes).pixels, expected)
    walk = model.interpolate(torch.tensor([3, 4]), classes=classes, frames=1)
    assert np.array_equal(walk.pixels, expected)
    assert repr(walk.seeds) == "(3, 4)"


def test_fractional_classes_are_refused(model):
    for classes in (1.0, [1.0, 1.0], object()):
        with pytest.raises(TypeError):
            model.sample([3, 4], classes=classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [("two", "no class 'two'"), (3, "0 to 2"), (["one"], "1 class cannot be paired with 2 seeds")],
)
def test_unknown_classes_are_refused(model, classes, message):
    with pytest.raises(UsageError, match=message):
        model.sample([0, 1], classes=classes)


def test_a_number_is_never_a_name(written):
    """Classes can be named by numbers in another order."""
    model = ganctl.load(written(classes=["0", "1", "10", "2"]))
    of_ten = model.sample([5], classes="10").pixels
    assert np.array_equal(of_ten, model.sample([5], classes=2).pixels)
    assert np.array_equal(of_ten, model.interpolate([5], classes=[2, 0], frames=1).pixels[:1])
    assert not np.array_equal(of_ten, model.sample([5], classes="2").pixels)


def test_seeds_in_every_class(model):
    samples = model.sample([5, 3], every_class=True)
    expected = model.sample([5, 3] * 3, classes=[0, 0, 1, 1, 2, 2]).pixels
    assert np.array_equal(samples.pixels, expected)
    assert (samples.columns, samples.by_class, tuple(samples.seeds)) == (2, True, (5, 3) * 3)
    with pytest.raises(UsageError, match="of each of 3 classes are more than 1,000,000"):
        model.sample(range(10**6), every_class=True)


def test_latents_are_drawn_like_seeds(plain, tmp_path):
    samples = plain.sample([3, 7, 9, 12])
    samples.save_latents(tmp_path / "four.npz")
    again = plain.sample(latents=tmp_path / "four.npz")
    assert np.array_equal(again.pixels, samples.pixels)
    assert np.array_equal(plain.sample(latents=again.latents).pixels, samples.pixels)
    assert again.latents.provenance["checkpoint"] == plain.digest
    walk = plain.interpolate(latents=samples.latents, frames=2, loop=True)
    assert np.array_equal(walk.pixels, plain.interpolate([3, 7, 9, 12], frames=2, loop=True).pixels)
    sheet = plain.sheet(latents=samples.latents.points, frames=2)
    assert np.array_equal(sheet.pixels, plain.sheet([3, 7, 9, 12], frames=2).pixels)
    with pytest.raises(UsageError, match="a walk has no latents"):
        _ = walk.latents


def test_an_unconditional_model_refuses_classes(plain):
    with pytest.raises(UsageError, match="has no classes"):
        plain.sample([0], classes=0)


def test_lower_truncation_gives_less_variety(plain):
    def spread(psi):
        return plain.sample(range(8), truncation=psi).pixels.std(axis=0).mean()

    assert spread(0.01) < spread(0.5) < spread(1.0)


@pytest.mark.parametrize("psi", [0, -1, 1.5, float("nan")])
def test_invalid_truncation_is_refused(plain, psi):
    with pytest.raises(UsageError, match="truncation must be"):
        plain.sample([0], truncation=psi)


def test_a_walk_passes_through_each_seed(plain):
    walk = plain.interpolate([3, 7, 9], frames=2, loop=True)
    assert len(walk) == 6
    assert np.array_equal(walk.pixels[::2], plain.sample([3, 7, 9]).pixels)
    assert len(plain.interpolate([3, 7, 9], frames=2)) == 5
    assert walk.seeds == (3, 7, 9)


def test_one_seed_can_go_through_classes(model):
    walk = model.interpolate([5], classes=["zero", "one"], frames=1)
    assert np.array_equal(walk.pixels, model.sample([5, 5], classes=[0, 1]).pixels)


def test_a_sheet_has_its_seeds_in_the_corners(plain):
    sheet = plain.sheet([0, 1, 2, 3], frames=2)
    assert (len(sheet), sheet.columns) == (9, 3)
    assert np.array_equal(sheet.pixels[[0, 2, 6, 8]], plain.sample(range(4)).pixels)


@pytest.mark.parametrize(
    ("seeds", "options", "message"),
    [
        ([3], {}, "at least two seeds"),
        ([1, 2], {"frames": 0}, "frames must be"),
        ([1, 2], {"mode": "x"}, "unknown mode"),
        ([1, 2], {"ease": "x"}, "unknown easing"),
        ([1, 2, 3], {"classes": [0, 1]}, "2 classes cannot be paired with 3 seeds"),
    ],
)
def test_invalid_walks_are_refused(model, seeds, options, message):
    with pytest.raises(UsageError, match=message):
        model.interpolate(seeds, **options)


def test_a_sheet_needs_four_corners(plain):
    with pytest.raises(UsageError, match="four corners, not 3"):
        plain.sheet([1, 2, 3])


@pytest.mark.parametrize(
    "draw",
    [
        lambda model: model.sample(),
        lambda model: model.sample(range(10**9)),
        lambda model: model.interpolate([0, 1], frames=2),
        lambda model: model.sheet([0, 1, 2, 3], frames=2),
    ],
)
def test_too_little_memory_for_drawing_is_an_error(model, monkeypatch, draw):
    """A small file can declare networks that take gigabytes."""

    def draws(*_):
        raise AssertionError

    monkeypatch.setattr(sampling, "_sample_chunk", draws)
    free = sampling.drawing_bytes(model.network) - 1
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    with pytest.raises(DeviceError, match=r"drawing from .*ckpt\.pt takes .* are free"):
        draw(model)


def test_more_samples_than_memory_holds_are_refused_before_drawing(model, monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 10**9)
    with pytest.raises(DeviceError, match="takes 1,568"):
        _ = model.sample(range(10**9)).pixels
