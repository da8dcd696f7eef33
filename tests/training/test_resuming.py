"""The settings that may change when a run is resumed."""

import pytest

from ganctl.config.schema import override
from ganctl.errors import UsageError
from ganctl.training import resuming


@pytest.fixture
def config(tiny_config):
    """The config of a run as its checkpoint has it."""
    return tiny_config(image_size="28", image_channels=1, epochs=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "on resume: seed (0 -> 5)"),
        ({"limit": 64, "mirror": True}, "limit (not set -> 64), mirror (false -> true)"),
        ({"background": "{0}"}, "background (white -> {0})"),
        ({"preset": "dcgan", "latent_dim": 9}, "preset (fast -> dcgan), latent_dim (8 -> 9)"),
    ],
)
def test_other_settings_are_refused_by_name(config, changes, message):
    with pytest.raises(UsageError) as caught:
        resuming.changed(config, {**changes, "epochs": 9})
    assert str(caught.value).endswith(message)
    assert "None" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "auto", "augment": "auto", "threads": None},
        {"image_size": None, "image_channels": None},
        {"seed": 0, "latent_dim": 8},
    ],
)
def test_equal_and_open_settings_change_nothing(config, changes):
    assert resuming.changed(config, changes) == config


def test_the_length_and_the_place_of_the_images_may_change(config):
    found = resuming.changed(config, {"steps": 9, "data": "/elsewhere"})
    assert found == override(config, {"steps": 9, "data": "/elsewhere"})


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ({"epochs": 1}, "already has 2 epochs; epochs must be more than 2"),
        ({"steps": 6}, "already has 7 steps; steps must be more than 7"),
    ],
)
def test_a_run_past_its_end_is_refused_in_the_users_unit(config, length, message):
    with pytest.raises(UsageError, match=message):
        resuming.require_length(override(config, length), step=7, num_images=40)  # 3 per epoch


@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 7}])
def test_a_run_before_or_at_its_end_is_resumed(config, length):
    resuming.require_length(override(config, length), step=7, num_images=40)
