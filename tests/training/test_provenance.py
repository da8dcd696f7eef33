"""The device, machine and versions that compute a run."""

import pytest
import torch

from ganctl.training import provenance


def test_everything_that_decides_bits_is_recorded():
    found = provenance.computed_by(torch.device("cpu"), 2)
    assert found["processes"] == 2
    assert {*provenance._DECIDE_BITS} <= found.keys()


@pytest.mark.parametrize("name", provenance._DECIDE_BITS)
def test_a_difference_is_named_with_both_values(name):
    now = provenance.computed_by(torch.device("cpu"))
    assert provenance.differences(now, now) == []
    (warning,) = provenance.differences(now, {**now, name: "another"})
    assert warning == f"Results may differ in rounding: {name} was {now[name]}, now another."


def test_what_was_not_recorded_does_not_differ():
    now = provenance.computed_by(torch.device("cpu"))
    assert provenance.differences({}, now) == []
    assert provenance.differences({}, {**now, "processes": 3}) != []
