"""Curves drawn with dots."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ganctl.cli.live import curves
from ganctl.cli.live.curves import Curves, Trace, draw, resample


def lines_of(part, width, height):
    """Return a panel's lines on a terminal."""
    console = Console(file=io.StringIO(), width=200)
    return [
        "".join(segment.text for segment in line)
        for line in console.render_lines(part.render(width, height), pad=False)
    ]


def test_dense_values_are_averaged_and_sparse_ones_interpolated():
    assert resample([0, 10], [1.0, 3.0], 5).tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert resample([0, 1, 99, 100], [1.0, 3.0, 5.0, 7.0], 2).tolist() == [2.0, 6.0]
    assert resample([7], [2.0], 3).tolist() == [2.0, 2.0, 2.0]


def test_a_rising_line_goes_from_lower_left_to_upper_right():
    bits, owners = draw([np.array([0.0, 1.0, 2.0, 3.0])], 0.0, 3.0, columns=2, rows=1)
    cells = [chr(0x2800 + code) for code in bits[0]]
    assert cells == ["⣠", "⠞"]
    assert owners.tolist() == [[0, 0]]


def test_where_curves_meet_the_cell_has_the_color_of_the_last():
    flat, steep = np.zeros(4), np.array([0.0, 0.0, 9.0, 9.0])
    bits, owners = draw([flat, steep], 0.0, 9.0, columns=2, rows=2)
    assert owners.tolist() == [[0, 1], [1, 1]]
    assert bits[0, 0] == 0
    assert (bits[1] > 0).all()


def test_a_trace_is_bounded_and_keeps_its_means():
    trace = Trace()
    for step in range(1, 5001):
        trace.add(step, {"loss": float(step)})
    assert len(trace.steps) < curves._MAX_POINTS
    assert trace.steps == sorted(trace.steps)
    assert trace.version == 5000
    first = trace.steps[0]
    assert trace.rows[0]["loss"] == pytest.approx((first + 1) / 2)  # of steps 1 to `first`


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=40),
    st.integers(1, 90),
    st.integers(1, 20),
    st.sampled_from([None, (0.0, 1.0)]),
)
def test_any_values_fit_any_region(values, width, height, limits):
    trace = Trace()
    for step, value in enumerate(values):
        trace.add(step, {"a": value, "b": -value})
    shown = Curves(trace, {"a": ("blue", "loss a"), "b": ("red", "b")}, limits)
    lines = lines_of(shown, width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    if values and width >= 60 and height > 2:
        assert lines[0].startswith(f"loss a {values[-1]:.3f}  b ")
        assert any("\u2801" <= letter <= "\u28ff" for letter in "".join(lines))


def test_values_are_omitted_where_they_do_not_fit():
    trace = Trace()
    trace.add(1, {"a": 1.25, "b": 2.5})
    shown = Curves(trace, {"a": ("blue", "loss a"), "b": ("red", "loss b")})
    assert lines_of(shown, 26, 4)[0].rstrip() == "loss a 1.250  loss b 2.500"
    assert lines_of(shown, 25, 4)[0].rstrip() == "loss a  loss b"
