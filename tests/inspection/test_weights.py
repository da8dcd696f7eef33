"""Statistics of every tensor."""

from __future__ import annotations

import pytest
import torch

from ganctl.inspection.weights import describe_weights


def row_of(checkpoint, name, weight):
    changed = {**checkpoint.generator, name: weight}
    rows = describe_weights(checkpoint.config.network, {"generator": changed})
    return next(row for row in rows if (row["part"], row["name"]) == ("generator", name))


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
@pytest.mark.parametrize("name", ["layers.0.weight", "layers.3.weight"])
def test_the_spectral_norm_is_the_largest_singular_value(tiny_checkpoint, name, scale):
    """A row of the matrix is a unit, which is the second axis of a transposed convolution."""
    weight = tiny_checkpoint.generator[name] * scale
    units = weight.movedim(1, 0) if weight.dim() == 4 else weight
    _, values, _ = torch.linalg.svd(units.flatten(1).double())
    found = row_of(tiny_checkpoint, name, weight)["spectral_norm"]
    assert found == pytest.approx(float(values[0]), rel=1e-6)


def test_the_spectral_norm_of_zeros_is_zero(tiny_checkpoint):
    name = "layers.0.weight"
    row = row_of(tiny_checkpoint, name, torch.zeros_like(tiny_checkpoint.generator[name]))
    assert row["spectral_norm"] == 0
    assert row["dead_units"] == row["units"] == len(tiny_checkpoint.generator[name])


def test_statistics_of_finite_numbers_alone(tiny_checkpoint):
    name = "layers.0.weight"
    weight = torch.zeros_like(tiny_checkpoint.generator[name])
    weight[0, :2] = torch.tensor([1.0, float("nan")])
    row = row_of(tiny_checkpoint, name, weight)
    assert (row["finite"], row["max"], row["norm"]) == (False, 1.0, 1.0)
    assert row["spectral_norm"] is None
    assert sum(row["histogram"]) == weight.numel() - 1
