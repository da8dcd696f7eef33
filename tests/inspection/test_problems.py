"""Descriptions of the problems of a checkpoint."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from ganctl.inspection.problems import num_dead_units, problems


@pytest.mark.parametrize(
    ("layer", "unit"),
    [
        (nn.Linear(3, 5), (1,)),
        (nn.Conv2d(3, 5, 4), (1,)),
        (nn.ConvTranspose2d(3, 5, 4), (slice(None), 1)),  # whose outputs come second
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_unit_is_dead_once_all_of_its_weights_are_zero(layer, unit):
    weight = layer.weight.detach().clone()
    assert num_dead_units(layer, weight) == (0, 5)
    weight[unit] = 0
    assert num_dead_units(layer, weight) == (1, 5)
    weight[unit][..., -1] = 1e-9
    assert num_dead_units(layer, weight) == (0, 5)
    assert num_dead_units(layer, torch.zeros_like(weight)) == (5, 5)


def test_nothing_is_wrong_with_a_good_checkpoint(tiny_checkpoint):
    assert problems(tiny_checkpoint) == []


def test_dead_filters_are_counted_layer_by_layer(tiny_checkpoint):
    """The generator has transposed convolutions, the discriminator convolutions."""
    generator = {name: t.clone() for name, t in tiny_checkpoint.generator.items()}
    discriminator = {name: t.clone() for name, t in tiny_checkpoint.discriminator.items()}
    generator["layers.3.weight"][:, :2] = 0
    discriminator["layers.2.weight"][3] = 0
    found = dataclasses.replace(tiny_checkpoint, generator=generator, discriminator=discriminator)
    assert [problem.text for problem in problems(found)] == [
        "generator layers.3.weight: 2 of 4 units are dead: all weights are 0",
        "discriminator layers.2.weight: 1 of 8 units is dead: all weights are 0",
    ]
    assert problems(dataclasses.replace(found, step=0)) == []  # it is training that kills
