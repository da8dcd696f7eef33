import math

import pytest

from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.training.schedules import ema_decay, learning_rate_factor


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 1.0), (99, 1.0), (100, 1.0), (400, 0.5), (10_000, 0.1)],
)
def test_the_learning_rate_decays_with_the_root_of_the_step(step, factor):
    decaying = override(preset("dcgan"), {"lr_decay_steps": 100})
    assert learning_rate_factor(decaying, step) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.02), (24, 0.5), (49, 1.0), (99, 1.0), (400, 0.5)],
)
def test_the_learning_rate_warms_up_linearly(step, factor):
    warmed = override(preset("dcgan"), {"lr_warmup_steps": 50, "lr_decay_steps": 100})
    assert learning_rate_factor(warmed, step) == pytest.approx(factor, rel=1e-12)


def test_the_learning_rate_is_constant_without_decay():
    constant = preset("dcgan")
    assert {learning_rate_factor(constant, step) for step in (0, 1, 10**6)} == {1.0}


@pytest.mark.parametrize(
    ("step", "half_life"),
    [
        (0, 10),  # 100 images seen: the ramp allows a tenth
        (4, 50),
        (99, 1000),  # the ramp meets the full half-life
        (100_000, 1000),
    ],
)
def test_the_average_decays_by_a_half_life_that_ramps_up(step, half_life):
    averaged = override(preset("fast"), {"batch_size": 100, "ema_images": 1000, "ema_ramp": 0.1})
    assert ema_decay(averaged, step) == pytest.approx(0.5 ** (100 / half_life), rel=1e-12)


def test_half_of_an_old_average_is_left_after_one_half_life():
    averaged = override(preset("fast"), {"batch_size": 10, "ema_images": 1000, "ema_ramp": 1.0})
    steps = range(5000, 5000 + 1000 // 10)
    assert math.prod(ema_decay(averaged, step) for step in steps) == pytest.approx(0.5, rel=1e-9)
