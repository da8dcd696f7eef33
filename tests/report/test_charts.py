"""Charts as geometry: everything is drawn where its value belongs."""

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.history import QUALITY_METRICS
from ganctl.report.charts import QUALITY, SHOWN, TRAINING, Axis, ChartSpec, charts

ONE = (ChartSpec("Loss", ("g_loss",)),)


def rows(values, column="g_loss"):
    return [{"epoch": n, column: value} for n, value in enumerate(values, 1)]


def number(text):
    return float(text.replace(",", ""))


def test_every_quality_metric_has_a_chart():
    shown = {column.name for column in SHOWN}
    assert set(QUALITY_METRICS) - shown == {"sure_share"}
    assert {"g_loss", "d_loss", "d_real", "d_fake", "diversity"} <= shown


def test_a_single_run_has_one_chart_per_spec_and_several_have_one_per_metric():
    values = [{"epoch": 1, "g_loss": 1.0, "d_loss": 2.0}]
    (alone,) = charts(TRAINING, [("a", values)])
    assert [line.label for line in alone.lines] == ["generator loss", "discriminator loss"]
    both = charts(TRAINING, [("a", values), ("b", values)])
    assert [chart.title for chart in both] == ["generator loss", "discriminator loss"]
    assert [[line.label for line in chart.lines] for chart in both] == [["a", "b"]] * 2
    assert [line.color for line in both[0].lines] == [0, 1]


def test_a_run_keeps_its_color_if_another_was_not_measured():
    first, second = rows([None, None]), rows([1.0, 2.0])
    (chart,) = charts(ONE, [("a", first), ("b", second)])
    assert [(line.label, line.color) for line in chart.lines] == [("b", 1)]


def test_a_metric_that_was_not_measured_has_no_chart():
    assert charts(QUALITY, [("a", rows([1.0, 2.0]))]) == []
    assert charts(QUALITY, [("a", [])]) == []


def test_a_line_connects_the_values_that_are_known():
    (chart,) = charts(ONE, [("a", rows([1.0, 2.0, None, 1.5, None, 2.0]))])
    (line,) = chart.lines
    assert line.epochs == [1, 2, 4, 6]
    assert (line.path.count("M"), line.path.count("L"), "h0" in line.path) == (1, 3, False)
    (chart,) = charts(ONE, [("a", rows([None, 2.0, None]))])
    assert chart.lines[0].path.endswith("h0"), "a point alone is seen, too"


def test_a_wide_range_of_values_has_a_logarithmic_axis():
    (spec,) = [spec for spec in QUALITY if spec.title == "Frechet distance"]
    (near,) = charts([spec], [("a", rows([3.0, 1.0], "frechet_distance"))])
    (far,) = charts([spec], [("a", rows([100.0, 1.0, 0.01], "frechet_distance"))])
    assert "(log)" not in near.note
    assert "(log)" in far.note
    assert far.lines[0].ys == [0, 50, 100]


@pytest.mark.parametrize("count", [1, 2, 3, 20, 20_000])
def test_epochs_on_the_axis_are_whole_numbers(count):
    (chart,) = charts(ONE, [("a", rows([1.0] * count))])
    ticks = [number(text) for _, text in chart.x_ticks]
    assert 1 <= len(ticks) <= 7
    assert all(tick == int(tick) and 1 <= tick <= count for tick in ticks)


FINITE = st.none() | st.floats(-1e14, 1e14) | st.integers(0, 2**49)


@given(st.lists(st.lists(FINITE, min_size=1, max_size=8), min_size=1, max_size=3),
       st.sampled_from((*TRAINING, *QUALITY)))  # fmt: skip
def test_everything_is_inside_the_plot_for_any_values(runs, spec):
    column = spec.metrics[0]
    named = [(f"run {n}", rows(values, column)) for n, values in enumerate(runs)]
    for chart in charts([spec], named):
        assert chart.y_ticks
        for line in chart.lines:
            places = [*line.xs, *line.ys, *map(float, re.findall(r"-?\d[\d.e+-]*", line.path))]
            assert all(math.isfinite(place) and -0.01 <= place <= 100.01 for place in places)
        assert all(-0.01 <= y <= 100.01 for y, _ in chart.y_ticks)
        assert chart.reference is None or 0 <= chart.reference <= 100


@given(st.lists(st.floats(0.001, 1000), min_size=2, max_size=9))
def test_higher_values_are_drawn_higher(values):
    (chart,) = charts(ONE, [("a", rows(values))])
    (line,) = chart.lines
    pairs = sorted(zip(values, line.ys, strict=True))
    assert all(after[1] <= before[1] for before, after in itertools.pairwise(pairs))


def test_an_axis_with_a_single_value_has_it_in_the_middle():
    assert Axis(3, 3).at(3) == 50
