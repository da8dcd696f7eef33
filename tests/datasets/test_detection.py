"""The size that images are trained at if none is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.config.image_settings import SIZES
from ganctl.datasets.detection import LARGEST_DETECTED, detect_size


@pytest.mark.parametrize(
    ("sides", "size"),
    [([8], 28), ([28], 28), ([31, 31, 500], 28), ([47], 32), ([48, 4000], 48), ([3000], 64)],
)
def test_the_detected_size_is_filled_by_half_of_the_images(sides, size):
    assert detect_size(sides) == (size, size)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50))
def test_the_detected_size_is_a_known_one_for_any_images(sides):
    size, _ = detect_size(sides)
    assert size in SIZES
    assert size <= LARGEST_DETECTED
    assert size == SIZES[0] or 2 * sum(side >= size for side in sides) >= len(sides)
