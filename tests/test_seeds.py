"""Seeds and classes as a caller gives them; pairing them is tested in test_model.py."""

import pytest

from ganctl.seeds import as_ranges


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([0, 1, 2, 40], "0-2,40"), ([7], "7"), ([3, 3, 4], "3,3-4"), (range(10**9), "0-999999999"),
     (range(4, 6), "4-5"), (range(5, 6), "5"), (range(0, 6, 2), "0,2,4"), ([], ""), (range(0), "")],
)  # fmt: skip
def test_seeds_as_ranges(seeds, text):
    assert as_ranges(seeds) == text
