"""The history's columns, its meter, and what counts as a sign of trouble."""

import pytest

from ganctl import history
from ganctl.history import (
    COLUMNS,
    DISCRIMINATOR_WINS,
    OPTIONAL,
    QUALITY_METRICS,
    SAMPLES_ALIKE,
    STEP_METRICS,
    Meter,
    best,
    epoch_label,
    new_signs,
    quality_metric,
    signs,
)

LATE = 10_000
SUMS = [float(number) for number in range(len(STEP_METRICS))]


# Columns and rows.


def test_the_best_epoch_without_a_network_is_that_of_the_patches():
    rows = [{"patch_distance": value, "frechet_distance": None} for value in (None, 3.0, 2.0, 2.5)]
    assert best(rows) is rows[2]
    assert quality_metric(rows) is COLUMNS["patch_distance"]
    rows[3] = {"patch_distance": None, "frechet_distance": 9.0}
    assert best(rows) is rows[3], "a run that got a network later"
    assert quality_metric([]) is COLUMNS["frechet_distance"]


def test_each_column_is_known_by_its_name_and_by_one_label():
    assert all(column.name == name for name, column in COLUMNS.items())
    assert len({column.label for column in COLUMNS.values()}) == len(COLUMNS)
    assert {*STEP_METRICS, *QUALITY_METRICS, *OPTIONAL} <= COLUMNS.keys()
    assert {"diversity", *QUALITY_METRICS} == OPTIONAL


def test_a_value_that_was_not_measured_is_shown_as_nothing():
    assert COLUMNS["frechet_distance"].text(None) == ""
    assert COLUMNS["frechet_distance"].text(12.345) == "12.35"


def test_a_row_has_every_column_in_order_and_continues_the_one_before():
    meter = Meter(sums=SUMS, steps=4, images=60, seconds=1.5)
    first = meter.row(epoch=1, step=4, history=[], measured={"diversity": 0.5})
    second = meter.row(epoch=2, step=8, history=[first], measured={})
    assert list(first) == list(second) == list(COLUMNS)
    assert (first["images"], first["elapsed_seconds"], first["images_per_sec"]) == (60, 1.5, 40)
    assert (second["images"], second["elapsed_seconds"], second["seconds"]) == (120, 3, 1.5)
    assert (first["diversity"], second["diversity"]) == (0.5, None)
    assert (first["frechet_distance"], first["d_fake"]) == (None, 0.75)


def test_the_best_epoch_is_the_first_with_the_lowest_distance():
    rows = [{"frechet_distance": value} for value in (None, 3.0, 2.0, None, 2.5, 2.0)]
    assert best(rows) is rows[2]
    assert best(rows[:1]) is None


def test_an_incomplete_epoch_is_marked():
    assert epoch_label({"epoch": 2, "step": 8}, 4) == "2"
    assert epoch_label({"epoch": 2, "step": 7}, 4) == "2 part"


# The meter, from a checkpoint of unknown origin.


def test_a_meter_is_rebuilt_from_a_checkpoint():
    meter = Meter(sums=SUMS, steps=4, images=60, seconds=1.5)
    assert Meter.from_dict(meter.to_dict()) == meter
    assert meter.to_dict() == {"sums": SUMS, "steps": 4, "images": 60, "seconds": 1.5}
    assert meter.to_dict()["sums"] is not meter.sums
    assert meter.means() == dict(zip(STEP_METRICS, [0, 0.25, 0.5, 0.75], strict=True))


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
def test_invalid_sums_give_an_empty_meter(wrong):
    whole = Meter(sums=SUMS, steps=4, images=60, seconds=1.5).to_dict()
    assert Meter.from_dict({**whole, **wrong}) == Meter()
    assert Meter.from_dict({}) == Meter()


def test_a_step_is_added():
    meter = Meter(sums=SUMS, steps=4)
    meter.add([1.0] * len(SUMS))
    assert (meter.sums, meter.steps) == ([total + 1 for total in SUMS], 5)


# Signs of trouble.


@pytest.mark.parametrize(
    ("d_real", "d_fake", "diversity", "found"),
    [
        (0.6, 0.4, 1.0, []),
        (0.99, 0.01, 1.0, [DISCRIMINATOR_WINS]),
        (0.99, 0.4, 1.0, []),
        (0.6, 0.01, 1.0, []),
        (0.6, 0.4, 0.01, [SAMPLES_ALIKE]),
        (0.99, 0.01, 0.0, [DISCRIMINATOR_WINS, SAMPLES_ALIKE]),
        (0.6, 0.4, None, []),
    ],
)
def test_signs(d_real, d_fake, diversity, found):
    row = {"step": LATE, "d_real": d_real, "d_fake": d_fake, "diversity": diversity}
    assert signs(row) == found
    assert signs({**row, "step": history._SETTLED - 1}) == []


def test_only_signs_that_no_earlier_epoch_had_are_new():
    won = {"step": LATE, "d_real": 0.99, "d_fake": 0.01, "diversity": 1.0}
    both = {**won, "diversity": 0.0}
    assert new_signs([won]) == [DISCRIMINATOR_WINS]
    assert new_signs([won, both]) == [SAMPLES_ALIKE]
    assert new_signs([both, won]) == []
