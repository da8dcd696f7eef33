import numpy as np
import pytest

from ganctl.datasets.decoding.levels import NoLevels, extent_of, is_wide, to_levels


def test_16_bits_are_rounded_to_8():
    values = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(to_levels(values, "full"), (values.astype(int) + 128) // 257)
    np.testing.assert_array_equal(to_levels(values, "auto"), to_levels(values, "0,65535"))


@pytest.mark.parametrize("kind", ["i1", "<u2", ">i2", "i4", "u8", "f2", ">f4", "f8"])
def test_values_beyond_a_range_are_its_ends(kind):
    values = np.array([[0, 10, 12], [15, 20, 99]], kind)
    assert to_levels(values, "10,20").tolist() == [[0, 0, 51], [128, 255, 255]]


def test_the_full_range_of_floating_point_is_0_to_1():
    assert to_levels(np.array([-1, 0, 0.5, 1, 7]), "full").tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("values", "value_range"),
    [(np.zeros(2, np.int32), "full"), (np.zeros(2), "auto"), (np.zeros(2, np.uint64), "auto")],
)
def test_some_types_do_not_say_what_is_white(values, value_range):
    with pytest.raises(NoLevels, match="give the range of values"):
        to_levels(values, value_range)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    values = np.array([0, bad, 1])
    for use in (extent_of, lambda values: to_levels(values, "0,1")):
        with pytest.raises(NoLevels, match="NaN"):
            use(values)


def test_many_values_are_scaled_in_parts(monkeypatch):
    values = np.linspace(0, 1, 1000).reshape(10, 100)
    whole = to_levels(values, "0,1")
    monkeypatch.setattr("ganctl.datasets.decoding.levels._ROW_VALUES", 7)
    np.testing.assert_array_equal(to_levels(values, "0,1"), whole)


@pytest.mark.parametrize(
    ("mode", "wide"),
    [("I", True), ("F", True), ("I;16B", True), ("I;16 x 3", True), ("F x 3", True), ("L", False)],
)
def test_modes_of_more_than_8_bits(mode, wide):
    assert is_wide(mode) == wide
