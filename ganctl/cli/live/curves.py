"""Curves of metrics on the live screen, drawn with the dots of Braille characters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.segment import Segments
    from rich.text import Text

_MAX_POINTS = 1024
_LABEL_WIDTH = 5
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of a Braille character's dots, four rows of two. The Unicode Standard, chapter 21."""
_BLANK = 0x2800


class Trace:
    """The metrics over a run at a bounded number of points, which get coarser as it grows."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.rows: list[Mapping[str, float]] = []
        self.version = 0

    def add(self, step: int, means: Mapping[str, float]) -> None:
        """Add the means over the steps since the last point, up to `step`."""
        self.steps.append(step)
        self.rows.append(means)
        if len(self.steps) == _MAX_POINTS:  # from here on each point stands for twice as many steps
            self.steps = self.steps[1::2]
            self.rows = [
                {name: (first[name] + second[name]) / 2 for name in first}
                for first, second in zip(self.rows[::2], self.rows[1::2], strict=True)
            ]
        self.version += 1


class Curves:
    """A panel of some metrics of a trace: a line of names and values above their curves.

    `styles` gives each metric's color and label, `limits` the lowest and highest value shown; by
    default those that occur.
    """

    def __init__(
        self,
        trace: Trace,
        styles: Mapping[str, tuple[str, str]],
        limits: tuple[float, float] | None = None,
    ) -> None:
        self._trace = trace
        self._styles = styles
        self._limits = limits

    @property
    def version(self) -> object:
        return self._trace.version

    def render(self, width: int, height: int) -> RenderableType:
        from rich.console import Group

        last = self._trace.rows[-1] if self._trace.rows else None
        columns, rows = width - _LABEL_WIDTH - 1, height - 1
        if last is None or columns < 1 or rows < 1:
            return self._names(width, last)
        curves = [
            resample(self._trace.steps, [row[name] for row in self._trace.rows], 2 * columns)
            for name in self._styles
        ]
        low, high = self._limits or (min(map(np.min, curves)), max(map(np.max, curves)))
        labels = [f"{high:.2f}", *[""] * (rows - 2), f"{low:.2f}"][:rows]
        colors = [color for color, _ in self._styles.values()]
        bits, owners = draw(curves, low, high, columns, rows)
        dots = _dots(labels, colors, bits.tolist(), owners.tolist())
        return Group(self._names(width, last), dots)

    def _names(self, width: int, last: Mapping[str, float] | None) -> Text:
        """Return the labels in their colors, with the last values if all of them fit."""
        from rich.text import Text

        values = {name: "" if last is None else f" {last[name]:.3f}" for name in self._styles}
        parts = [(label + values[name], color) for name, (color, label) in self._styles.items()]
        if len("  ".join(text for text, _ in parts)) > width:
            parts = [(label, color) for color, label in self._styles.values()]
        line = Text("  ").join(Text(text, color) for text, color in parts)
        line.truncate(width)
        return line


def _dots(
    labels: Sequence[str], colors: Sequence[str], bits: list[list[int]], owners: list[list[int]]
) -> Segments:
    """Return the dots from `draw` as lines of text, with labels at the left."""
    from rich.segment import Segment, Segments
    from rich.style import Style

    styles = [Style.parse(color) for color in colors]
    dim = Style.parse("dim")
    segments = []
    for label, row, row_owners in zip(labels, bits, owners, strict=True):
        segments.append(Segment(f"{label[:_LABEL_WIDTH]:>{_LABEL_WIDTH}} ", dim))
        for owner, cells in itertools.groupby(zip(row_owners, row, strict=True), lambda c: c[0]):
            text = "".join(chr(_BLANK + code) if code else " " for _, code in cells)
            segments.append(Segment(text, styles[owner]))
        segments.append(Segment.line())
    return Segments(segments)


def resample(steps: Sequence[float], values: Sequence[float], count: int) -> NDArray[np.float64]:
    """Resample `values` at `count` evenly spaced steps: means if dense, else interpolated."""
    at = np.asarray(steps, np.float64)
    places = np.rint((at - at[0]) / max(1.0, at[-1] - at[0]) * (count - 1)).astype(np.int64)
    numbers = np.bincount(places, minlength=count)
    sums = np.bincount(places, np.asarray(values, np.float64), count)
    filled = numbers.nonzero()[0]
    return np.interp(np.arange(count), filled, sums[filled] / numbers[filled])


def draw(
    curves: Sequence[NDArray[np.float64]], low: float, high: float, columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw curves of 2 * `columns` values with dots.

    Returns two arrays (`rows`, `columns`): the bits of each cell's dots, and the index of the curve
    that gives the cell its color, which is the last one where curves meet.
    """
    bits = np.zeros((rows, columns), np.int64)
    owners = np.zeros((rows, columns), np.int64)
    lowest = 4 * rows - 1
    scale = lowest / (high - low) if high > low else 0.0
    down = np.arange(4 * rows)[:, None]
    for owner, values in enumerate(curves):
        ends = lowest - np.rint((np.clip(values, low, high) - low) * scale)
        before = np.concatenate([ends[:1], ends[:-1]])  # leaves no gap between two dots
        dots = (down >= np.minimum(ends, before)) & (down <= np.maximum(ends, before))
        mine = (dots.reshape(rows, 4, columns, 2) * _DOTS[None, :, None, :]).sum((1, 3))
        bits |= mine
        owners[mine > 0] = owner
    return bits, owners
