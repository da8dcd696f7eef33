"""Charts of metrics over the epochs, as plain geometry that the template draws.

All positions are percentages of the plot, from its left and its top, so that one drawing fits
every width; text is placed apart from what is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganctl import palette
from ganctl.history import COLUMNS, Column, Row
from ganctl.report.runs import thinned

MAX_POINTS = 250
"""Epochs of a run in a chart or in the table; of more, evenly spaced ones are shown."""
_MIN_LOG_RATIO, _MIN_LOG_VALUE = 20, 1e-9
"""An axis can be logarithmic if its values are larger than this and differ by this ratio."""


@dataclass(frozen=True)
class ChartSpec:
    """Metrics that share a chart in the report of a single run."""

    title: str
    metrics: tuple[str, ...]
    note: str = ""
    limits: tuple[float, float] | None = None
    """Ends of the axis, the same for every run."""
    reference: float | None = None
    """Value to compare with, drawn as a dashed line."""
    may_be_log: bool = False


TRAINING = (
    ChartSpec("Losses", ("g_loss", "d_loss")),
    ChartSpec("Discriminator output", ("d_real", "d_fake"), "0.5 = undecided", (0, 1), 0.5),
)
QUALITY = (
    ChartSpec("Frechet distance", ("frechet_distance",), "lower is better", may_be_log=True),
    ChartSpec("Patch distance", ("patch_distance",), "lower is better", may_be_log=True),
    ChartSpec("Precision and recall", ("precision", "recall"), "higher is better"),
    ChartSpec("Density and coverage", ("density", "coverage"), "higher is better"),
    ChartSpec("Kernel distance", ("kernel_distance",), "lower is better", may_be_log=True),
    ChartSpec("Diversity", ("diversity",), "1 = as varied as real images", reference=1),
    ChartSpec("Classifier score", ("classifier_score",), "higher is better"),
    ChartSpec("Class balance", ("largest_class", "smallest_class"), "share of the samples"),
)
SHOWN = tuple(COLUMNS[name] for spec in (*TRAINING, *QUALITY) for name in spec.metrics)
"""Columns of the history that are in charts, and in the table below them."""


@dataclass(frozen=True)
class Line:
    """A line in a chart: a metric of a run."""

    label: str
    color: int
    """Index in palette.SERIES."""
    path: str
    """SVG path in a box of 100 x 100."""
    epochs: list[int]
    xs: list[float]
    ys: list[float]
    texts: list[str]


@dataclass(frozen=True)
class Chart:
    """A chart of one or more lines over the epochs."""

    title: str
    note: str
    lines: list[Line]
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    reference: float | None

    @property
    def last(self) -> int:
        """The last epoch in the chart."""
        return max(line.epochs[-1] for line in self.lines)


@dataclass(frozen=True)
class Axis:
    """An axis, which maps values to percentages of the way from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return 0 for `low`, 100 for `high`, and 50 if the two are equal."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(100 * (value - low) / (high - low), 2) if high > low else 50.0

    def down(self, value: float) -> float:
        """Return the position of a value as a percentage from the top."""
        return round(100 - self.at(value), 2)


def charts(specs: Sequence[ChartSpec], runs: Sequence[tuple[str, list[Row]]]) -> list[Chart]:
    """Return the charts of `runs`, which are names and rows; none of metrics without any value.

    One run has a chart per spec, several have one per metric. All share one axis of epochs.
    """
    epochs = [row["epoch"] for _, rows in runs for row in rows]
    if not epochs:
        return []
    across = Axis(min(epochs), max(epochs))
    found = []
    for spec in specs:
        columns = [COLUMNS[name] for name in spec.metrics]
        if len(runs) == 1:
            curves = [
                (column.legend, palette.METRICS.get(column.name, place), column, runs[0][1])
                for place, column in enumerate(columns)
            ]
            found.append(_chart(spec, spec.title, curves, across))
        for column in columns if len(runs) > 1 else ():
            curves = [(name, place, column, rows) for place, (name, rows) in enumerate(runs)]
            found.append(_chart(spec, column.legend, curves, across))
    return [chart for chart in found if chart is not None]


def _chart(
    spec: ChartSpec, title: str, curves: list[tuple[str, int, Column, list[Row]]], across: Axis
) -> Chart | None:
    """Return the chart of `curves`: the label, color, metric and rows of each line."""
    values = [
        row[column.name]
        for _, _, column, rows in curves
        for row in rows
        if row.get(column.name) is not None
    ]
    if not values:
        return None
    ticks, axis = _axis(spec, values)
    lines = [_line(*curve, across, axis) for curve in curves]
    return Chart(
        title=title,
        note=spec.note + (" (log)" if axis.log else ""),
        lines=[line for line in lines if line.epochs],
        y_ticks=[(axis.down(tick), f"{tick:g}") for tick in ticks],
        x_ticks=[(across.at(tick), f"{tick:,}") for tick in _epoch_ticks(across)],
        reference=None if spec.reference is None else axis.down(spec.reference),
    )


def _line(
    label: str, color: int, column: Column, rows: list[Row], across: Axis, axis: Axis
) -> Line:
    # The line connects the values that are known: most runs measure few of their epochs.
    known = thinned([row for row in rows if row.get(column.name) is not None], MAX_POINTS)
    points = [f"{across.at(row['epoch']):g} {axis.down(row[column.name]):g}" for row in known]
    path = "M" + "L".join(points) + ("h0" if len(points) == 1 else "") if points else ""
    return Line(
        label=label,
        color=color,
        path=path,
        epochs=[row["epoch"] for row in known],
        xs=[across.at(row["epoch"]) for row in known],
        ys=[axis.down(row[column.name]) for row in known],
        texts=[column.text(row[column.name]) for row in known],
    )


def _axis(spec: ChartSpec, values: list[float]) -> tuple[list[float], Axis]:
    """Return round numbers as ticks, and the axis from the first of them to the last."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = min(values), max(values)
    if spec.limits is not None and spec.limits[0] <= low and high <= spec.limits[1]:
        low, high = spec.limits
    if spec.reference is not None:
        low, high = min(low, spec.reference), max(high, spec.reference)
    if spec.may_be_log and low > _MIN_LOG_VALUE and high / low >= _MIN_LOG_RATIO:
        subs = (1, 3) if math.log10(high / low) < 3 else (1,)
        ticks = [float(tick) for tick in LogLocator(subs=subs).tick_values(low, high)]
        first = max((tick for tick in ticks if tick <= low), default=low)
        last = min((tick for tick in ticks if tick >= high), default=high)
        ticks = [tick for tick in ticks if first <= tick <= last]
        return ticks, Axis(min(low, ticks[0]), max(high, ticks[-1]), log=True)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high)]
    ticks = [0.0 if abs(tick) < 1e-12 * (high - low) else tick for tick in ticks]
    return ticks, Axis(ticks[0], ticks[-1])


def _epoch_ticks(across: Axis) -> list[int]:
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(5, integer=True, min_n_ticks=1).tick_values(across.low, across.high)
    inside = {int(tick) for tick in ticks if across.low <= tick <= across.high}
    return sorted(inside | {int(across.low)}) if len(inside) < 2 else sorted(inside)
