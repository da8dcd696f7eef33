import pytest

from ganctl.config.images import stages_for
from ganctl.config.presets import TUNABLE, fitting_batch, preset, tuned
from ganctl.config.schema import override


def fast(shape=(1, 28, 28), **changes):
    """`fast` for images of `shape`, augmented or not, as a run settles it."""
    channels, height, width = shape
    settled = {"channels": channels, "height": height, "width": width,
               "stages": stages_for(height, width), "augment": "none"}  # fmt: skip
    return override(preset("fast"), {**settled, **changes})


def test_on_mnist_nothing_changes():
    config = fast()
    assert override(config, tuned(config, 60_000, TUNABLE)) == config


def test_dcgan_is_the_same_for_all_images():
    config = override(preset("dcgan"), {"channels": 3, "height": 128, "width": 128, "stages": 5})
    assert tuned(config, 100, TUNABLE) == {}


def test_only_what_nobody_chose_is_tuned():
    config = fast((3, 64, 64))
    assert tuned(config, 600, ()) == {}
    assert set(tuned(config, 600, {"lr_g"})) == {"lr_g"}
    by_steps = override(config, {"steps": 5})
    assert "epochs" not in tuned(by_steps, 600, TUNABLE)


@pytest.mark.parametrize("augment", ["none", "color,translation,cutout"])
@pytest.mark.parametrize("size", [64, 128])
def test_larger_images_take_lower_rates_and_a_stronger_penalty(size, augment):
    smaller, larger = (
        tuned(fast((3, side, side), augment=augment), 60_000, TUNABLE) for side in (size // 2, size)
    )
    assert larger["lr_g"] < smaller["lr_g"]
    assert larger["lr_d"] == larger["lr_g"]
    assert larger["r1_weight"] > smaller["r1_weight"]
    if augment == "none":
        assert override(fast(), larger).r1_weight > fast().r1_weight


@pytest.mark.parametrize(
    ("num_images", "epochs"), [(10, 1000), (600, 1000), (6000, 100), (30_000, 20), (10**6, 20)]
)
def test_a_small_set_is_seen_more_often(num_images, epochs):
    assert tuned(fast(), num_images, TUNABLE)["epochs"] == epochs


@pytest.mark.parametrize(
    ("changes", "weight"),
    [
        ({}, 7.8),
        ({"augment": "color,translation,cutout"}, 0.026),
        ({"augment": "color,translation,cutout", "batch_size": 64}, 0.013),
        ({"augment": "color,translation"}, 7.8),
    ],
)
def test_where_images_are_augmented_in_every_way_the_penalty_is_weak(changes, weight):
    assert tuned(fast((3, 64, 64), **changes), 3000, TUNABLE)["r1_weight"] == weight


def test_tiny_images_take_a_weaker_penalty():
    assert tuned(fast((1, 12, 12)), 1797, TUNABLE)["r1_weight"] == 0.092


@pytest.mark.parametrize("name", ["fast", "dcgan"])
def test_a_batch_that_nobody_chose_is_no_larger_than_what_there_is(name):
    config = preset(name)
    assert fitting_batch(config, 3, TUNABLE) == 3
    assert fitting_batch(config, 60_000, TUNABLE) == config.batch_size
    assert fitting_batch(config, 3, TUNABLE - {"batch_size"}) == config.batch_size
