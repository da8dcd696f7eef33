"""The colors of figures: the same in losses.png, on the live screen and in the report.

They can be told apart in every kind of color blindness.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Color:
    """A color of lines, as '#rrggbb'."""

    light: str
    """On a light page."""
    dark: str
    """On a dark page."""
    terminal: str = ""
    """In a terminal, which may be either."""


SERIES = (
    Color("#0072b2", "#5fb4ea", "#3b8bd0"),
    Color("#d55e00", "#f0883e", "#d9772b"),
    Color("#00805f", "#3ec29a"),
    Color("#b0558a", "#de8fbc"),
    Color("#8a6d00", "#dcc14b"),
    Color("#4b4b9b", "#a3a3f0"),
)
"""The colors of the lines in a figure, in order; the first two are blue and orange."""
METRICS = {"g_loss": 0, "d_fake": 0, "d_loss": 1, "d_real": 1}
"""The place in SERIES of metrics that have one color everywhere.

The generator's loss and what the discriminator says of its images are blue; the discriminator's
loss and what it says of real images are orange.
"""


def color(metric: str) -> Color:
    """Return the color of a metric that has one color everywhere."""
    return SERIES[METRICS[metric]]
