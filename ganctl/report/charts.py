"""Figures over the epochs as charts: plain geometry in percent, which a template draws.

Everything is in percent of the plot, so that one drawing fits every width; text is not part of what
is stretched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ganctl import palette
from ganctl.history import Row
from ganctl.report.runs import thinned

MAX_POINTS = 250
"""Of a run in a chart and in the table, evenly spaced where it has more epochs."""
_LOG_FROM, _LOG_LEAST = 20, 1e-9
"""Figures that differ by the factor, all larger than the other, may be on a logarithmic axis."""


@dataclass(frozen=True)
class Figure:
    """A column of the history."""

    column: str
    name: str
    """By itself."""
    short: str
    """In a chart that says the rest."""
    form: str = ".3f"


@dataclass(frozen=True)
class Kind:
    """Figures that share a chart where there is one run alone."""

    title: str
    note: str
    figures: tuple[Figure, ...]
    span: tuple[float, float] | None = None
    """The axis, where it is the same for every run."""
    mark: float | None = None
    """A value to compare with."""
    may_be_log: bool = False


TRAINING = (
    Kind("Losses", "", (
        Figure("g_loss", "Generator loss", "generator"),
        Figure("d_loss", "Discriminator loss", "discriminator"),
    )),
    Kind("Discriminator's answers", "0.5: it cannot tell", (
        Figure("d_real", "D(x), real images", "D(x), real"),
        Figure("d_fake", "D(G(z)), generated images", "D(G(z)), generated"),
    ), span=(0, 1), mark=0.5),
)  # fmt: skip
QUALITY = (
    Kind("Frechet distance", "lower is better", (
        Figure("frechet_distance", "Frechet distance", "distance"),
    ), may_be_log=True),
    Kind("Precision, recall", "higher is better", (
        Figure("precision", "Precision", "precision"),
        Figure("recall", "Recall", "recall"),
    )),
    Kind("Density, coverage", "higher is better", (
        Figure("density", "Density", "density"),
        Figure("coverage", "Coverage", "coverage"),
    )),
    Kind("Kernel distance", "lower is better", (
        Figure("kernel_distance", "Kernel distance", "distance", ".4f"),
    ), may_be_log=True),
    Kind("Diversity", "1: as varied as real images", (
        Figure("diversity", "Diversity", "diversity"),
    ), mark=1),
    Kind("Classifier", "score: higher is better", (
        Figure("classifier_score", "Classifier score", "score", ".2f"),
    )),
    Kind("Classes", "shares among the samples", (
        Figure("largest_class", "Most frequent class", "most frequent"),
        Figure("smallest_class", "Rarest class", "rarest"),
    )),
)  # fmt: skip
FIGURES = tuple(figure for kind in (*TRAINING, *QUALITY) for figure in kind.figures)


@dataclass(frozen=True)
class Line:
    """One figure of one run."""

    label: str
    colour: int
    """The place of its color in palette.SERIES."""
    path: str
    """As SVG draws it in a box of 100 x 100."""
    epochs: list[int]
    xs: list[float]
    ys: list[float]
    texts: list[str]


@dataclass(frozen=True)
class Chart:
    """One plot."""

    title: str
    note: str
    lines: list[Line]
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    mark: float | None

    @property
    def last(self) -> int:
        """The last epoch in it."""
        return max(line.epochs[-1] for line in self.lines)


@dataclass(frozen=True)
class Axis:
    """Values → percent of the way from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """0 for `low`, 100 for `high`; the middle where the two are one."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(100 * (value - low) / (high - low), 2) if high > low else 50.0


def charts(kinds: Sequence[Kind], runs: Sequence[tuple[str, list[Row]]]) -> list[Chart]:
    """A chart for each kind; with several runs, one for each figure. None for what has no values.

    `runs` are names and rows. All charts have the same axis of epochs, that of all runs.
    """
    epochs = [row["epoch"] for _, rows in runs for row in rows]
    if not epochs:
        return []
    across = Axis(min(epochs), max(epochs))
    found = []
    for kind in kinds:
        if len(runs) == 1:
            choices = [
                (figure.short, palette.METRICS.get(figure.column, place), figure, runs[0][1])
                for place, figure in enumerate(kind.figures)
            ]
            found.append(_chart(kind, kind.title, choices, across))
            continue
        for figure in kind.figures:
            choices = [(name, place, figure, rows) for place, (name, rows) in enumerate(runs)]
            title = kind.title if len(kind.figures) == 1 else figure.name
            found.append(_chart(kind, title, choices, across))
    return [chart for chart in found if chart is not None]


def _chart(
    kind: Kind, title: str, choices: list[tuple[str, int, Figure, list[Row]]], across: Axis
) -> Chart | None:
    values = [
        row[figure.column]
        for _, _, figure, rows in choices
        for row in rows
        if row.get(figure.column) is not None
    ]
    if not values:
        return None
    ticks, axis = _axis(kind, values)
    lines = [
        _line(label, colour, figure, rows, across, axis)
        for label, colour, figure, rows in choices
        if any(row.get(figure.column) is not None for row in rows)
    ]
    mark = 100 - axis.at(kind.mark) if kind.mark is not None else None
    return Chart(
        title=title,
        note=kind.note + (" (log)" if axis.log else ""),
        lines=lines,
        y_ticks=[(100 - axis.at(tick), f"{tick:g}") for tick in ticks],
        x_ticks=[(across.at(tick), f"{tick:,}") for tick in _epoch_ticks(across)],
        mark=mark,
    )


def _line(
    label: str, colour: int, figure: Figure, rows: list[Row], across: Axis, axis: Axis
) -> Line:
    rows = thinned(rows, MAX_POINTS)
    known = [row for row in rows if row.get(figure.column) is not None]
    xs = [across.at(row["epoch"]) for row in known]
    ys = [round(100 - axis.at(row[figure.column]), 2) for row in known]
    return Line(
        label=label,
        colour=colour,
        path=_path([(row.get(figure.column), row["epoch"]) for row in rows], across, axis),
        epochs=[row["epoch"] for row in known],
        xs=xs,
        ys=ys,
        texts=[format(row[figure.column], figure.form) for row in known],
    )


def _path(points: list[tuple[float | None, int]], across: Axis, axis: Axis) -> str:
    """Lines through the points, broken where a value is not known; a point alone is a dot."""
    parts = []
    for known, group in itertools.groupby(points, key=lambda point: point[0] is not None):
        if known:
            places = [
                f"{across.at(epoch):g} {100 - axis.at(value):g}"
                for value, epoch in group
                if value is not None
            ]
            parts.append("M" + "L".join(places) + ("h0" if len(places) == 1 else ""))
    return "".join(parts)


def _axis(kind: Kind, values: list[float]) -> tuple[list[float], Axis]:
    """Ticks at round numbers, and the axis from the first of them to the last."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = min(values), max(values)
    if kind.span is not None and kind.span[0] <= low and high <= kind.span[1]:
        low, high = kind.span
    if kind.mark is not None:
        low, high = min(low, kind.mark), max(high, kind.mark)
    if kind.may_be_log and low > _LOG_LEAST and high / low >= _LOG_FROM:
        decades = math.log10(high / low)
        locator = LogLocator(subs=(1, 3) if decades < 3 else (1,))
        ticks = list(_around(locator.tick_values(low, high), low, high))
        axis = Axis(min(low, ticks[0]), max(high, ticks[-1]), log=True)
        return ticks, axis
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high)]
    ticks = [0.0 if abs(tick) < 1e-12 * (high - low) else tick for tick in ticks]
    return ticks, Axis(ticks[0], ticks[-1])


def _around(ticks: Sequence[float], low: float, high: float) -> Iterator[float]:
    """The ticks from the last one that is at most `low` to the first that is at least `high`."""
    first = max((tick for tick in ticks if tick <= low), default=low)
    last = min((tick for tick in ticks if tick >= high), default=high)
    return (float(tick) for tick in ticks if first <= tick <= last)


def _epoch_ticks(across: Axis) -> list[int]:
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(5, integer=True, min_n_ticks=1).tick_values(across.low, across.high)
    inside = {int(tick) for tick in ticks if across.low <= tick <= across.high}
    return sorted(inside | {int(across.low)}) if len(inside) < 2 else sorted(inside)
