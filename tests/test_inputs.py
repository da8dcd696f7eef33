"""What a caller asks a generator for; models and commands are tested with it in their own tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganctl import inputs, latents, latents_file
from ganctl.errors import UsageError
from ganctl.latents_file import Latents

NAMES = ("zero", "one", "two")
ASKED = {"seeds": None, "latents": None, "classes": None, "truncation": 1.0}


@pytest.fixture
def network(tiny_config):
    """Networks that take latents of length 8 and have three classes."""
    return tiny_config(num_classes=3).network


@pytest.fixture
def samples(network):
    """Return what is drawn for a caller of `Model.sample`."""

    def of(**asked):
        return inputs.of_samples(network, NAMES, **{**ASKED, "every_class": False, **asked})

    return of


@pytest.fixture
def keyframes(network):
    """Return the stops for a caller of `Model.interpolate`."""

    def of(**asked):
        return inputs.of_keyframes(network, NAMES, **{**ASKED, **asked})

    return of


def classes_in(tensor):
    return tensor[:, 8:].argmax(1).tolist()


def test_latents_are_drawn_with_their_own_classes(samples):
    points = latents.from_seeds([4, 5], 8).numpy()
    for given, labels in (
        (Latents(points, np.array([2, 0])), [2, 0]),
        (Latents(points, seeds=(4, 5)), [1, 2]),  # as seeds without latents would be
        (Latents(points, np.array([2, 0]), (4, 5)), [2, 0]),
    ):
        found = samples(latents=given)
        assert torch.equal(found.tensor()[:, :8], torch.from_numpy(points))
        assert classes_in(found.tensor()) == labels
    assert classes_in(samples(latents=points, classes="one").tensor()) == [1, 1]
    assert classes_in(samples(latents=Latents(points, np.array([0, 0])), classes=[2, "one"])
                      .tensor()) == [2, 1]  # fmt: skip


def test_latents_without_a_class_are_refused_where_there_are_classes(samples, keyframes):
    for ask in (samples, keyframes):
        with pytest.raises(UsageError, match="does not say of which classes") as raised:
            ask(latents=np.zeros((2, 8)))
        assert "Choose them with classes" in str(raised.value.hint)


def test_truncation_scales_latents(samples, keyframes):
    for ask in (samples, keyframes):
        found = ask(latents=np.ones((2, 8)), classes=0, truncation=0.5)
        assert found.tensor()[:, :8].tolist() == [[0.5] * 8] * 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seeds": [1]}, "either seeds or latents"),
        ({"every_class": True}, "latents cannot be drawn in every class"),
        ({"classes": [0, 1]}, "2 classes cannot be paired with 3 latents"),
        ({"latents": np.zeros((1, 9))}, "latents of length 9, and this checkpoint takes 8"),
    ],
)
def test_what_does_not_go_with_latents_is_refused(samples, asked, message):
    with pytest.raises(UsageError, match=message):
        samples(**{"latents": np.zeros((3, 8)), **asked})


def test_the_latents_of_samples_draw_the_same_again(samples):
    for asked in ({"seeds": [7, 3], "truncation": 0.7}, {"seeds": [2], "every_class": True},
                  {"seeds": [5, 6], "classes": 1}):  # fmt: skip
        found = samples(**asked)
        kept = found.latents()
        assert torch.equal(samples(latents=kept).tensor(), found.tensor())
        assert [*kept.seeds] == [*found.seeds]
    assert samples(latents=np.ones((2, 8)), classes=0).latents().seeds is None


def test_more_latents_than_a_file_holds_are_refused_before_they_are_drawn(samples):
    with pytest.raises(UsageError, match="1,000,000,000 latents are too many for a file"):
        samples(seeds=range(10**9)).latents()


def test_one_latent_can_go_through_classes(keyframes):
    found = keyframes(latents=np.ones((1, 8)), classes=[2, 0, 1])
    assert len(found) == 3
    assert classes_in(found.tensor()) == [2, 0, 1]
    assert found.text["classes"] == "two, zero, one"
    with pytest.raises(UsageError, match="at least two latents or two classes"):
        keyframes(latents=np.ones((1, 8)), classes=[0])
    with pytest.raises(UsageError, match="cannot be paired with 3 latents"):
        keyframes(latents=np.ones((3, 8)), classes=[0, 1])


def test_text_names_the_file_and_identifies_the_latents(samples, tmp_path):
    made = Latents(np.ones((2, 8), np.float32), np.zeros(2, np.int64))
    latents_file.write(tmp_path / "two.npz", made)
    read = samples(latents=tmp_path / "two.npz").text
    assert read["latents"] == "two.npz"
    assert samples(latents=made).text == {**read, "latents": "an array"}
    assert samples(latents=2 * made.points, classes=0).text["latents_digest"] not in read.values()
