"""Runs → one HTML page, with everything in it."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import ganctl
from ganctl import images, palette
from ganctl.history import Row
from ganctl.report.charts import FIGURES, MAX_POINTS, QUALITY, TRAINING, Chart, charts
from ganctl.report.pictures import Frame, data_uri, frames
from ganctl.report.runs import Run, thinned, union
from ganctl.text import printable

MAX_RUNS = 6
"""Runs beside one another: so many colours can be told apart."""
MAX_BYTES = 5_000_000
"""A page is smaller."""
_PICTURE_BYTES = 2_700_000
"""Of all pictures' files together; in a page they take a third more."""
_SHEET_SIDE = 640
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Table:
    """Values by name, a column for each run."""

    rows: list[tuple[str, list[str]]]

    @classmethod
    def of(cls, tables: Sequence[Mapping[str, str]]) -> Table:
        """Names without a value in any of the tables are left out."""
        rows = [(name, [table.get(name, "") for table in tables]) for name in union(tables)]
        return cls([(name, values) for name, values in rows if any(values)])

    def split(self) -> tuple[Table, Table]:
        """What differs between the runs, and what does not."""
        differ = [(name, values) for name, values in self.rows if len(set(values)) > 1]
        alike = [(name, values) for name, values in self.rows if len(set(values)) == 1]
        return Table(differ), Table(alike)


@dataclass(frozen=True)
class Shown:
    """A run as the template takes it."""

    run: Run
    name: str
    frames: list[Frame]
    rows: list[Row]
    """At most MAX_POINTS of them."""
    num_rows: int
    sheet: str
    """A data URI, or nothing."""
    problems: list[str]


def render(runs: Sequence[Run]) -> tuple[bytes, list[Shown]]:
    """The page that shows `runs`, 1 to MAX_RUNS of them, in UTF-8; and what of each is in it."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (
        "\n" + (here / name).read_text("utf-8").strip() + "\n" for name in ("page.css", "page.js")
    )
    style += _colors()
    shown = [
        _shown(run, name, _PICTURE_BYTES // len(runs))
        for run, name in zip(runs, _names(runs), strict=True)
    ]
    named = [(one.name, run.rows) for one, run in zip(shown, runs, strict=True)]
    sections = [("Training", charts(TRAINING, named)), ("Quality", charts(QUALITY, named))]
    page = environment.get_template("page.html").render(
        policy=_policy(style, script),
        style=Markup(style),  # both are files of this package
        script=Markup(script),
        title=" · ".join(one.name for one in shown),
        runs=shown,
        facts=Table.of([run.facts() for run in runs]),
        sections=[(name, found) for name, found in sections if found],
        figures=FIGURES,
        max_points=MAX_POINTS,
        evaluation=Table.of([run.evaluation() for run in runs]),
        data=Table.of([run.data() for run in runs]),
        settings=Table.of([run.settings() for run in runs]).split(),
        environment=Table.of([run.environment() for run in runs]),
        values=_values(shown, [chart for _, found in sections for chart in found]),
        version=ganctl.__version__,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    # Names that are not UTF-8 come as lone surrogates.
    content = page.encode(errors="replace")
    assert len(content) < MAX_BYTES, len(content)
    return content, shown


def _colors() -> str:
    """Return the rules that give --c, the color of a line, to the classes c0, c1, ..."""
    light = "".join(f".c{n} {{ --c: {each.light}; }}\n" for n, each in enumerate(palette.SERIES))
    dark = "".join(f".c{n} {{ --c: {each.dark}; }}\n" for n, each in enumerate(palette.SERIES))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _shown(run: Run, name: str, budget: int) -> Shown:
    rows = run.rows
    sheet = images.webp(images.shrink(run.sheet, _SHEET_SIDE), 85) if run.sheet is not None else b""
    problems = [printable(problem, 500) for problem in run.problems[:_MAX_PROBLEMS]]
    return Shown(
        run=run,
        name=name,
        frames=frames(run, budget - len(sheet)),
        rows=thinned(rows, MAX_POINTS),
        num_rows=len(rows),
        sheet=data_uri(sheet) if sheet else "",
        problems=problems,
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """A name for each run that no other has."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [printable(str(run.path), 80) for run in runs]
    return [f"{name} ({index})" if names.count(name) > 1 else name
            for index, name in enumerate(names, 1)]  # fmt: skip


def _values(shown: Sequence[Shown], drawn: Sequence[Chart]) -> dict[str, Any]:
    """What the script needs: the epochs to choose from, and each chart's values."""
    pictured = {frame.epoch for one in shown for frame in one.frames}
    epochs = {epoch for chart in drawn for line in chart.lines for epoch in line.epochs}
    rows = [row["epoch"] for one in shown for row in one.rows]
    names = ("label", "epochs", "xs", "ys", "texts")
    return {
        "positions": sorted(pictured or epochs),
        "epochs": sorted(epochs),
        "first": min(rows, default=0),
        "last": max(rows, default=0),
        "charts": [
            {
                "title": chart.title,
                "lines": [{name: asdict(line)[name] for name in names} for line in chart.lines],
            }
            for chart in drawn
        ],
    }


def _policy(style: str, script: str) -> str:
    """A content security policy under which the page can run its own script and ask for nothing."""

    def hashed(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {hashed(style)}; "
        f"script-src {hashed(script)}; base-uri 'none'; form-action 'none'"
    )
