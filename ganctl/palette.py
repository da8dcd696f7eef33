"""Colors of charts: the same in losses.png, on the live screen and in the report.

They can be told apart with every kind of color blindness.
"""

from __future__ import annotations

from typing import NamedTuple


class Color(NamedTuple):
    """The color of a line, as '#rrggbb', on a light page, on a dark page, and in a terminal."""

    light: str
    dark: str
    terminal: str = ""


SERIES = (
    Color("#0072b2", "#5fb4ea", "#3b8bd0"),
    Color("#d55e00", "#f0883e", "#d9772b"),
    Color("#00805f", "#3ec29a"),
    Color("#b0558a", "#de8fbc"),
    Color("#8a6d00", "#dcc14b"),
    Color("#4b4b9b", "#a3a3f0"),
)
"""Colors of the lines in a chart, in order; the first two are blue and orange."""
METRICS = {"g_loss": 0, "d_fake": 0, "d_loss": 1, "d_real": 1}
"""Places in SERIES of metrics that have one color everywhere: blue for the generator's loss and
generated images, orange for the discriminator's loss and real images."""


def color(metric: str) -> Color:
    """Return the color of one of METRICS."""
    return SERIES[METRICS[metric]]
