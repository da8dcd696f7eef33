import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.datasets.sources.base import class_order, climbs
from ganctl.text import printable


def test_classes_that_are_numbers_are_sorted_as_numbers():
    assert class_order(["10", "9", "007", "7", "0"]) == ["0", "007", "7", "9", "10"]
    assert class_order(["b", "10", "9"]) == ["10", "9", "b"]
    assert class_order(["²", "1"]) == ["1", "²"]
    assert class_order(["9" * 5000, "1"]) == ["1", "9" * 5000]  # int() would refuse it


@given(st.text(st.characters(codec=None)))
def test_names_are_safe_to_print(name):
    assert printable(name).isprintable()
    printable(name).encode()


def test_names_in_any_script_are_printed_unchanged():
    assert printable("猫/кот/قط é.png") == "猫/кот/قط é.png"
    assert printable("\x1b[31m\udcff\n") == "\\x1b[31m\\udcff\\n"


@pytest.mark.parametrize("name", ["../1.png", "/1.png", "a/../../1.png", "C:/1.png", "a/.."])
def test_paths_that_lead_out_of_an_archive_are_detected(name):
    assert climbs(name)


@pytest.mark.parametrize("name", ["1.png", "a/1.png", "a..b/..c.png", "..."])
def test_paths_that_stay_inside_are_accepted(name):
    assert not climbs(name)
