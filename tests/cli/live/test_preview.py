"""Samples as half blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ganctl.cli.live.preview import Preview, arrange, contact_sheet


def painted(preview, width, height, colors="truecolor"):
    """Return what a terminal gets: lines of text with escape sequences."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=colors)
    console.print(preview.render(width, height), end="")
    return file.getvalue().split("\n")


@given(
    st.integers(1, 1024), st.integers(1, 300), st.integers(1, 300),
    st.integers(-3, 250), st.integers(-3, 250),
)  # fmt: skip
def test_samples_fit_their_room(count, height, width, across, down):
    columns, rows, wide, high = arrange(count, height, width, (across, down))
    if columns:
        assert columns * (wide + 1) - 1 <= across
        assert rows * (high + 1) - 1 <= down
        assert min(wide, high) >= 1
        assert (rows - 1) * columns < count
    else:
        assert min(across, down) < 32 or max(height, width) / min(height, width) > 10


@pytest.mark.parametrize(
    ("count", "size", "room", "expected"),
    [
        (16, 28, (200, 200), (4, 4, 28, 28)),  # a whole factor, or none
        (16, 28, (300, 300), (4, 4, 56, 56)),
        (100, 28, (75, 72), (5, 4, 14, 14)),  # as many as can be read
        (16, 28, (28, 28), (1, 1, 28, 28)),
        (16, 128, (80, 80), (2, 2, 39, 39)),
        (16, 28, (9, 9), (1, 1, 9, 9)),
    ],
)
def test_as_many_as_can_be_read_and_as_large_as_fits(count, size, room, expected):
    assert arrange(count, size, size, room) == expected


def test_a_pixel_is_half_a_cell_and_keeps_its_color():
    preview = Preview()
    pixels = np.zeros((1, 2, 2, 3), np.uint8)
    pixels[0] = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (0, 255, 0)]]
    preview.show(pixels, 7)
    title, line = painted(preview, 18, 2)[:2]
    assert "samples at step 7" in title
    assert line.startswith("\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m\x1b[48;2;0;255;0m \x1b[0m")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colors", ["truecolor", "256", "standard"])
def test_samples_fill_the_lines_of_any_terminal(channels, colors):
    preview = Preview()
    assert painted(preview, 40, 10, colors) == [""]
    preview.show(np.full((16, 28, 28, channels), 200, np.uint8), 1)
    lines = painted(preview, 60, 20, colors)
    assert len([line for line in lines if "\x1b[" in line]) > 10
    assert len(lines) <= 21


def test_one_pixel_between_samples_stays_free():
    picture, shown = contact_sheet(np.full((4, 3, 3, 1), 255, np.uint8), 8, 8)
    assert shown.sum() == 4 * 9
    assert not shown[3].any()
    assert not shown[:, 3].any()
    assert (picture[shown] == 255).all()


def test_the_version_of_a_preview_changes_with_its_samples():
    preview = Preview()
    versions = [preview.version]
    for step in (1, 2):
        preview.show(np.zeros((1, 2, 2, 1), np.uint8), step)
        versions.append(preview.version)
    assert len(set(versions)) == 3


def test_transparent_samples_are_shown_over_white():
    picture, shown = contact_sheet(np.zeros((1, 8, 8, 4), np.uint8), 8, 8)
    assert shown.all()
    assert (picture == 255).all()
