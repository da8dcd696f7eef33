"""Values along a run as small curves, drawn with the dots of Braille characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.text import Text

_MOST_POINTS = 1024
_LABEL_WIDTH = 5
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bits of a Braille character's dots, four rows of two. The Unicode Standard, chapter 21."""
_BLANK = 0x2800


class Trace:
    """What was measured along a run, in a bounded number of points."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.rows: list[Mapping[str, float]] = []
        self.version = 0

    def add(self, step: int, means: Mapping[str, float]) -> None:
        """The means of the steps up to `step`, since the point before."""
        self.steps.append(step)
        self.rows.append(means)
        if len(self.steps) == _MOST_POINTS:  # from here on each point is of twice as many steps
            self.steps = self.steps[1::2]
            self.rows = [
                {name: (first[name] + second[name]) / 2 for name in first}
                for first, second in zip(self.rows[::2], self.rows[1::2], strict=True)
            ]
        self.version += 1


class Curves:
    """Some metrics of a trace as a part of a screen: a line of names and values over the curves.

    `styles` are the metrics to show, by name, each with its colour and what it is called. `limits`
    are the lowest and the highest value, those that occur unless they are given.
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
        """Which points there are."""
        return self._trace.version

    def render(self, width: int, height: int) -> Text:
        """`height` lines of `width` cells."""
        from rich.text import Text

        text = Text(no_wrap=True, overflow="crop")
        last = self._trace.rows[-1] if self._trace.rows else {}
        names = {label: "" for _, label in self._styles.values()}
        values = {label: f" {last[name]:.3f}" for name, (_, label) in self._styles.items() if last}
        fits = len("  ".join(f"{label}{value}" for label, value in values.items())) <= width
        for colour, label in self._styles.values():
            text.append(f"{label}{(values if last and fits else names)[label]}  ", colour)
        columns, rows = width - _LABEL_WIDTH - 1, height - 1
        if not last or columns < 1 or rows < 1:
            return text
        curves = [
            resample(self._trace.steps, [row[name] for row in self._trace.rows], 2 * columns)
            for name in self._styles
        ]
        low, high = self._limits or (min(map(np.min, curves)), max(map(np.max, curves)))
        codes, owners = draw(curves, low, high, columns, rows)
        colours = [colour for colour, _ in self._styles.values()]
        labels = {0: f"{high:.2f}", rows - 1: f"{low:.2f}"}
        for row in range(rows):
            text.append(f"\n{labels.get(row, '')[:_LABEL_WIDTH]:>{_LABEL_WIDTH}} ", "dim")
            for code, owner in zip(codes[row], owners[row], strict=True):
                text.append(chr(_BLANK + code) if code else " ", colours[owner])
        return text


def resample(steps: Sequence[float], values: Sequence[float], count: int) -> NDArray[np.float64]:
    """`values` at `count` equally distant steps: means of them, or what is in between."""
    at = np.asarray(steps, np.float64)
    places = np.rint((at - at[0]) / max(1.0, at[-1] - at[0]) * (count - 1)).astype(np.int64)
    numbers = np.bincount(places, minlength=count)
    sums = np.bincount(places, np.asarray(values, np.float64), count)
    filled = numbers.nonzero()[0]
    return np.interp(np.arange(count), filled, sums[filled] / numbers[filled])


def draw(
    curves: Sequence[NDArray[np.float64]], low: float, high: float, columns: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Curves of 2 * `columns` values as dots: (`rows`, `columns`) of bits, and whose cell it is.

    A cell has one colour: where curves meet, that of the last.
    """
    bits = np.zeros((rows, columns), np.int64)
    owners = np.zeros((rows, columns), np.int64)
    lowest = 4 * rows - 1
    scale = lowest / (high - low) if high > low else 0.0
    for owner, values in enumerate(curves):
        heights = np.rint((np.clip(values, low, high) - low) * scale).astype(np.int64)
        before = heights[0]
        for column, height in enumerate(heights):
            first, last = sorted((int(before), int(height)))
            for dot in range(lowest - last, lowest - first + 1):
                bits[dot // 4, column // 2] |= _DOTS[dot % 4, column % 2]
                owners[dot // 4, column // 2] = owner
            before = height
    return bits, owners
