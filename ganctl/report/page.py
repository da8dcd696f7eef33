"""The HTML page: everything in one file, which makes no network requests."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ganctl
from ganctl import images, palette, web_page
from ganctl.history import Column, Row, epoch_label
from ganctl.images import Pixels
from ganctl.report.charts import MAX_POINTS, QUALITY, SHOWN, TRAINING, Chart, charts
from ganctl.report.pictures import Frame, data_uri, frames
from ganctl.report.runs import Run, thinned
from ganctl.text import printable

MAX_RUNS = 6
"""Number of runs that can be compared: as many colors can be told apart."""
MAX_BYTES = 5_000_000
"""Upper bound of the size of a page in bytes."""
_PICTURE_BYTES = 2_700_000
"""Bytes of all pictures together; in the page they take a third more."""
_SHEET_SIDE = 640
_NEAREST_SIDE = 1200
_MAX_PROBLEMS = 20

Table = list[tuple[str, list[str]]]
"""Names, each with its value in every run."""


@dataclass(frozen=True)
class Section:
    """A run as the template shows it."""

    run: Run
    name: str
    frames: list[Frame]
    rows: list[Row]
    """At most MAX_POINTS rows."""
    sheet: str
    """Data URI of a picture of training images, or nothing."""
    nearest: str
    """Data URI of a picture of samples beside training images, or nothing."""
    problems: list[str]

    @property
    def columns(self) -> list[Column]:
        """The columns of the table of metrics: those of which any row has a value."""
        return [column for column in SHOWN if any(column.name in row for row in self.rows)]

    def epoch(self, row: Row) -> str:
        """Return the number of a row's epoch, marked if the epoch is not complete."""
        return epoch_label(row, self.run.checkpoint.steps_per_epoch)


def render(runs: Sequence[Run]) -> tuple[bytes, list[Section]]:
    """Return the page about 1 to MAX_RUNS runs, in UTF-8, and the section of each run."""
    here = Path(__file__).parent
    style, script = (web_page.read(here / name) for name in ("page.css", "page.js"))
    style += _colors()
    shown = [
        _section(run, name, _PICTURE_BYTES // len(runs))
        for run, name in zip(runs, _names(runs), strict=True)
    ]
    named = [(each.name, each.run.rows) for each in shown]
    groups = [("Training", charts(TRAINING, named)), ("Quality", charts(QUALITY, named))]
    settings = table([run.settings() for run in runs])
    content = web_page.render(
        here / "page.html",
        style,
        {"script": script},
        title=" · ".join(each.name for each in shown),
        runs=shown,
        facts=table([run.facts() for run in runs]),
        groups=[(name, found) for name, found in groups if found],
        max_points=MAX_POINTS,
        evaluation=table([run.evaluation() for run in runs]),
        data=table([run.data() for run in runs]),
        different=[(name, values) for name, values in settings if len(set(values)) > 1],
        equal=[(name, values) for name, values in settings if len(set(values)) == 1],
        environment=table([run.environment() for run in runs]),
        values=_values(shown, [chart for _, found in groups for chart in found]),
        version=ganctl.__version__,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    assert len(content) < MAX_BYTES, len(content)
    return content, shown


def table(runs: Sequence[Mapping[str, str]]) -> Table:
    """Return the values of several runs side by side; a name without any value is left out."""
    names = dict.fromkeys(name for values in runs for name in values)
    rows = [(name, [values.get(name, "") for values in runs]) for name in names]
    return [(name, values) for name, values in rows if any(values)]


def _colors() -> str:
    """Return the CSS rules that set --c, the color of a line, for the classes c0, c1, ..."""
    light = "".join(f".c{n} {{ --c: {each.light}; }}\n" for n, each in enumerate(palette.SERIES))
    dark = "".join(f".c{n} {{ --c: {each.dark}; }}\n" for n, each in enumerate(palette.SERIES))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _section(run: Run, name: str, budget: int) -> Section:
    sheet = _encoded(run.sheet, _SHEET_SIDE)
    nearest = _encoded(run.nearest, _NEAREST_SIDE)
    if len(nearest) > budget // 2:  # no sheet that `evaluate` writes
        nearest = b""
    return Section(
        run=run,
        name=name,
        frames=frames(run, budget - len(sheet) - len(nearest)),
        rows=thinned(run.rows, MAX_POINTS),
        sheet=data_uri(sheet) if sheet else "",
        nearest=data_uri(nearest) if nearest else "",
        problems=[printable(problem, 500) for problem in run.problems[:_MAX_PROBLEMS]],
    )


def _encoded(picture: Pixels | None, side: int) -> bytes:
    return b"" if picture is None else images.webp(images.shrink(picture, side), 85)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a unique name for each run."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [printable(str(run.path), 80) for run in runs]
    return [f"{name} ({index})" if names.count(name) > 1 else name
            for index, name in enumerate(names, 1)]  # fmt: skip


def _values(shown: Sequence[Section], drawn: Sequence[Chart]) -> dict[str, Any]:
    """Return what the script needs: the epochs to choose from, and the values of the charts."""
    pictured = {frame.epoch for each in shown for frame in each.frames}
    epochs = {epoch for chart in drawn for line in chart.lines for epoch in line.epochs}
    rows = [row["epoch"] for each in shown for row in each.rows]
    names = ("label", "epochs", "xs", "ys", "texts")
    return {
        "positions": sorted(pictured or epochs),
        "epochs": sorted(epochs),
        "first": min(rows, default=0),
        "last": max(rows, default=0),
        "charts": [
            {
                "title": chart.title,
                "lines": [{name: getattr(line, name) for name in names} for line in chart.lines],
            }
            for chart in drawn
        ],
    }
