"""The running epoch's sums, from a checkpoint of unknown origin."""

import pytest

from ganctl.training.meter import Meter
from ganctl.training.step import METRICS

SUMS = [float(number) for number in range(len(METRICS))]


def test_it_comes_back_from_a_checkpoint_as_it_was():
    meter = Meter(sums=SUMS, steps=4, images=60, seconds=1.5)
    assert Meter.from_dict(meter.to_dict()) == meter
    assert meter.means() == {name: total / 4 for name, total in zip(METRICS, SUMS, strict=True)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"sums": None},
        {"sums": SUMS[1:]},
        {"sums": [*SUMS[1:], float("nan")]},
        {"sums": [*SUMS[1:], 7]},
        {"steps": -1},
        {"images": 2**53},
        {"seconds": float("inf")},
        {"seconds": "1"},
    ],
)
def test_nonsense_counts_as_none(wrong):
    whole = Meter(sums=SUMS, steps=4, images=60, seconds=1.5).to_dict()
    assert Meter.from_dict({**whole, **wrong}) == Meter()
    assert Meter.from_dict({}) == Meter()
