import pytest

from ganctl.config import presets
from ganctl.config.image_settings import stages_for
from ganctl.config.presets import preset
from ganctl.config.schema import override


def fast(shape=(1, 28, 28), **changes):
    """Return preset `fast` resolved for images of `shape`, by default without augmentation."""
    channels, height, width = shape
    settled = {"channels": channels, "height": height, "width": width,
               "stages": stages_for(height, width), "augment": "none"}  # fmt: skip
    return override(preset("fast"), {**settled, **changes})


def tuned(config, num_images):
    """Return the tuned values without the reasons."""
    return {name: value for name, (value, _) in presets.tuned(config, num_images).items()}


def test_on_mnist_nothing_changes():
    config = fast()
    assert override(config, tuned(config, 60_000)) == config


def test_dcgan_is_the_same_for_all_images():
    config = override(preset("dcgan"), {"channels": 3, "height": 128, "width": 128, "stages": 5})
    assert tuned(config, 100) == {}


def test_epochs_are_not_tuned_for_a_run_with_steps():
    assert "epochs" in tuned(fast((3, 64, 64)), 600)
    assert "epochs" not in tuned(fast((3, 64, 64), steps=5), 600)


@pytest.mark.parametrize("augment", ["none", "color,translation,cutout"])
@pytest.mark.parametrize("size", [64, 128])
def test_larger_images_get_lower_rates_and_a_stronger_penalty(size, augment):
    smaller, larger = (
        tuned(fast((3, side, side), augment=augment), 60_000) for side in (size // 2, size)
    )
    assert larger["lr_g"] < smaller["lr_g"]
    assert larger["lr_d"] == larger["lr_g"]
    assert larger["r1_weight"] > smaller["r1_weight"]
    if augment == "none":
        assert override(fast(), larger).r1_weight > fast().r1_weight


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_rates_are_lowered_as_far_as_for_128_pixels(size):
    assert tuned(fast((3, size, size)), 60_000)["lr_g"] == 5e-4


@pytest.mark.parametrize(("size", "factor"), [(48, 1), (52, 1), (64, 1), (128, 0.5)])
def test_the_rates_of_guided_are_lowered_from_128_pixels_on(size, factor):
    shape = {"channels": 3, "height": size, "width": size, "stages": stages_for(size, size)}
    found = tuned(override(preset("guided"), {**shape, "augment": "none"}), 60_000)
    assert (found["lr_g"], found["lr_d"]) == (7e-4 * factor, 1e-3 * factor)


@pytest.mark.parametrize(("size", "count"), [(256, None), (512, 36), (1024, 9)])
def test_fewer_samples_of_large_images_are_drawn(size, count):
    assert tuned(fast((3, size, size)), 600).get("num_samples") == count
    assert "num_samples" not in tuned(fast((3, size, size), num_samples=4), 600)


@pytest.mark.parametrize(
    ("num_images", "epochs"), [(10, 1000), (600, 1000), (6000, 100), (50_000, 12), (10**6, 12)]
)
def test_small_datasets_get_more_epochs(num_images, epochs):
    assert tuned(fast(), num_images)["epochs"] == epochs


@pytest.mark.parametrize(
    ("changes", "weight"),
    [
        ({}, 7.8),
        ({"augment": "color,translation,cutout"}, 0.013),
        ({"augment": "color,translation,cutout", "batch_size": 32}, 0.026),
        ({"augment": "color,translation"}, 7.8),
    ],
)
def test_full_augmentation_weakens_the_penalty(changes, weight):
    assert tuned(fast((3, 64, 64), **changes), 3000)["r1_weight"] == weight


def test_tiny_images_get_a_weaker_penalty():
    assert tuned(fast((1, 12, 12)), 1797)["r1_weight"] == 0.092
