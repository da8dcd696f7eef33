import pytest

from ganctl.config import override, preset
from ganctl.tuning import TUNABLE, tuned

MNIST = (1, 28, 28)


def test_on_mnist_nothing_changes():
    config = preset("fast")
    assert override(config, tuned(config, MNIST, 60_000, TUNABLE)) == config


def test_dcgan_is_the_same_for_all_images():
    assert tuned(preset("dcgan"), (3, 128, 128), 100, TUNABLE) == {}


def test_only_what_nobody_chose_is_tuned():
    config = preset("fast")
    assert tuned(config, (3, 64, 64), 600, ()) == {}
    assert set(tuned(config, (3, 64, 64), 600, {"lr_g"})) == {"lr_g"}
    by_steps = override(config, {"steps": 5})
    assert "epochs" not in tuned(by_steps, (3, 64, 64), 600, TUNABLE)


@pytest.mark.parametrize("size", [64, 128])
def test_larger_images_take_lower_rates_and_a_stronger_penalty(size):
    config = preset("fast")
    smaller = tuned(config, (3, size // 2, size // 2), 60_000, TUNABLE)
    larger = tuned(config, (3, size, size), 60_000, TUNABLE)
    assert larger["lr_g"] < smaller["lr_g"]
    assert larger["lr_d"] == larger["lr_g"]
    assert larger["r1_weight"] > smaller["r1_weight"]
    assert override(config, larger).r1_weight > config.r1_weight


@pytest.mark.parametrize(
    ("num_images", "epochs"), [(10, 1000), (600, 1000), (6000, 100), (30_000, 20), (10**6, 20)]
)
def test_a_small_set_is_seen_more_often(num_images, epochs):
    assert tuned(preset("fast"), MNIST, num_images, TUNABLE)["epochs"] == epochs


def test_tiny_images_take_a_weaker_penalty():
    assert tuned(preset("fast"), (1, 12, 12), 1797, TUNABLE)["r1_weight"] == 0.092
