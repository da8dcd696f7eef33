"""Option types that commands share."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.cli.options import check_suffix, parse_seeds
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.seeds import as_ranges

seed_lists = st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]), ("0-3", [0, 1, 2, 3]), ("0-2,40", [0, 1, 2, 40]), (" 3 , 5-5 ", [3, 5]),
        ("9,3,9", [9, 3, 9]), (str(MAX_SEED), [MAX_SEED]), ("007", [7]),
    ],
)  # fmt: skip
def test_parse_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "a", "-1", "1-", "3-1", "1.5", "1--2", "1 2", str(MAX_SEED + 1), "0x3", "²",
     "0-100000000", "0-1000000", "7,0-999999", "9" * 5000],
)  # fmt: skip
def test_an_invalid_list_of_seeds_is_refused(text):
    with pytest.raises(UsageError):
        parse_seeds(text)


def test_a_list_has_at_most_a_million_seeds():
    assert len(parse_seeds("7,0-999998")) == 1_000_000


@given(seed_lists)
def test_formatted_seeds_are_parsed_back(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds
    assert parse_seeds(as_ranges(seeds)) == seeds


@given(st.text("0123456789-, x", max_size=12))
def test_any_text_gives_seeds_in_range_or_a_usage_error(text):
    text = ",".join(part for part in text.split(",") if len(part) < 8)  # no list of millions
    seeds = []
    with contextlib.suppress(UsageError):
        seeds = parse_seeds(text)
        assert seeds
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "a.b/x.png"])
def test_a_known_suffix(name):
    assert check_suffix(Path(name), (".png", ".npz")) == ".png"


@pytest.mark.parametrize(
    ("name", "hint"), [("x.pn", "'.png'"), ("x", ".png, .npz"), ("x.", ".npz")]
)
def test_an_unknown_suffix_lists_the_known_ones(name, hint):
    with pytest.raises(UsageError) as caught:
        check_suffix(Path(name), (".png", ".npz"))
    assert hint in str(caught.value.hint)
