"""Losses compared with numbers computed by hand; softplus(x) = log(1 + exp(x))."""

import math

import pytest
import torch

from ganctl import losses
from ganctl.losses import LOSSES


def logits(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1)


REAL, FAKE = logits(0.0, 2.0), logits(-1.0, 1.0)


def test_discriminator_loss_by_hand():
    # reals against 1: softplus(-0) = log 2 = 0.6931472, softplus(-2) = 0.1269280, mean 0.4100376
    # fakes against 0: softplus(-1) = 0.3132617, softplus(1) = 1.3132617, mean 0.8132617
    found = losses.discriminator_loss(REAL, FAKE).item()
    assert found == pytest.approx(0.4100376 + 0.8132617, abs=1e-7)


def test_generator_loss_by_hand():
    # fakes against 1: softplus(1) = 1.3132617, softplus(-1) = 0.3132617
    assert losses.generator_loss(FAKE).item() == pytest.approx(0.8132617, abs=1e-7)
    # softplus(-3) = 0.0485874
    assert losses.generator_loss(logits(3.0)).item() == pytest.approx(0.0485874, abs=1e-7)


def test_relativistic_losses_by_hand():
    real, fake = logits(1.0, 3.0), logits(1.0, 0.0)
    # differences 0 and 3: softplus(-0) = 0.6931472, softplus(-3) = 0.0485874
    d_loss = losses.relativistic_discriminator_loss(real, fake).item()
    assert d_loss == pytest.approx((0.6931472 + 0.0485874) / 2, abs=1e-7)
    # softplus(0) = 0.6931472, softplus(3) = 3.0485874
    g_loss = losses.relativistic_generator_loss(real, fake).item()
    assert g_loss == pytest.approx((0.6931472 + 3.0485874) / 2, abs=1e-7)


def test_fakes_without_a_real_image_to_pair_with_do_not_count():
    real, fake = logits(1.0, 3.0), logits(1.0, 0.0)
    more = torch.cat([fake, logits(50.0)])
    relativistic = LOSSES["relativistic"]
    for loss in (relativistic.discriminator, relativistic.generator):
        assert loss(real, more) == loss(real, fake)
    assert relativistic.probabilities(real, more) == relativistic.probabilities(real, fake)


@pytest.mark.parametrize("name", LOSSES)
def test_each_name_has_its_own_losses(name):
    family = LOSSES[name]
    expected = {
        "bce": (losses.discriminator_loss(REAL, FAKE), losses.generator_loss(FAKE)),
        "relativistic": (
            losses.relativistic_discriminator_loss(REAL, FAKE),
            losses.relativistic_generator_loss(REAL, FAKE),
        ),
    }[name]
    assert (family.discriminator(REAL, FAKE), family.generator(REAL, FAKE)) == expected


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("name", "d_real", "d_fake"),
    [
        ("bce", (sigmoid(0) + sigmoid(2)) / 2, (sigmoid(-1) + sigmoid(1)) / 2),
        ("relativistic", sigmoid(1), sigmoid(-1)),  # both differences are 1
    ],
)
def test_probabilities_by_hand(name, d_real, d_fake):
    found = [value.item() for value in LOSSES[name].probabilities(REAL, FAKE)]
    assert found == pytest.approx([d_real, d_fake], rel=1e-12)


@pytest.mark.parametrize(("name", "level"), [("bce", 0.0), ("relativistic", 0.0),
                                             ("relativistic", 7.0)])  # fmt: skip
def test_both_probabilities_are_one_half_at_the_equilibrium(name, level):
    equal = torch.full((4, 1), level)
    assert [value.item() for value in LOSSES[name].probabilities(equal, equal)] == [0.5, 0.5]


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_a_network_falls_as_it_wins(name):
    family = LOSSES[name]
    better = REAL + 1
    assert family.discriminator(better, FAKE) < family.discriminator(REAL, FAKE)
    assert family.generator(REAL, FAKE + 1) < family.generator(REAL, FAKE)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name):
    high, low = torch.full((2, 1), 1e5), torch.full((2, 1), -1e5)
    for real, fake in ((high, low), (low, high)):
        values = [LOSSES[name].discriminator(real, fake), LOSSES[name].generator(real, fake)]
        values += LOSSES[name].probabilities(real, fake)
        assert torch.stack(values).isfinite().all()


def test_r1_of_a_linear_discriminator_is_half_its_squared_weight():
    weight = torch.tensor([[[[1.0, -2.0], [0.5, 3.0]]]])
    real = torch.randn(5, 1, 2, 2, requires_grad=True)
    penalty = losses.r1_penalty((real * weight).sum(dim=(1, 2, 3)).view(-1, 1), real)
    # (1 + 4 + 0.25 + 9) / 2, wherever the images are
    assert penalty.item() == pytest.approx(14.25 / 2)


def test_the_penalty_of_linear_heads_is_half_their_squared_weights_by_logit():
    # two maps of 4 and 9 places, a logit for each place: 2 x and -3 x
    maps = [torch.randn(5, 1, side, side, requires_grad=True) for side in (2, 3)]
    logits = torch.cat([(2 * maps[0]).flatten(1), (-3 * maps[1]).flatten(1)], 1)
    penalty = losses.feature_r1_penalty(logits, maps)
    assert penalty.item() == pytest.approx((4 * 4 + 9 * 9) / 13 / 2)


def test_the_penalty_of_heads_is_squared_in_float32():
    slope = 1.0703125  # its square has more digits than bf16
    maps = [torch.randn(5, 1, 3, 3).bfloat16().requires_grad_()]
    penalty = losses.feature_r1_penalty((slope * maps[0]).flatten(1), maps)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(slope**2 / 2, rel=1e-6)


def test_r1_can_be_differentiated_again():
    # D(x) = a |x|^2 / 2 has gradient a x, so R1 is a^2 mean|x|^2 / 2, and a mean|x|^2 by a
    scale = torch.tensor(3.0, requires_grad=True)
    real = torch.tensor([[1.0, 2.0], [0.0, 1.0]]).view(2, 1, 1, 2).requires_grad_()
    penalty = losses.r1_penalty(scale * real.square().sum(dim=(1, 2, 3)).view(-1, 1) / 2, real)
    assert penalty.item() == pytest.approx(9 * (5 + 1) / 2 / 2)
    (slope,) = torch.autograd.grad(penalty, scale)
    assert slope.item() == pytest.approx(3 * (5 + 1) / 2)
