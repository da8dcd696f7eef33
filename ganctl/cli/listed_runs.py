"""The runs in a folder as a table, for the commands that list them."""

from __future__ import annotations

from typing import Any

from ganctl.cli.terminal import Terminal
from ganctl.history import COLUMNS
from ganctl.text import counted, in_bytes

_WIDE = 90
"""Columns of a terminal that the table takes with the sizes."""


def show_runs(document: dict[str, Any], terminal: Terminal) -> None:
    """Show one row per run, and below the table the problems of each."""
    rows = document["runs"]
    headings = {"frechet_distance": "best FD", "patch_distance": "best patches"}
    if all(row["best_patch_distance"] is None for row in rows):
        del headings["patch_distance"]
    size = ["size"] if not terminal.shows_pictures or terminal.out.width >= _WIDE else []
    terminal.heading(f"{document['path']}: {counted(len(rows), 'run')}")
    terminal.table(
        ("", "run", "preset", "data", "epochs", *headings.values(), *size, "date"),
        [
            (row["state"], row["name"], row["preset"], row["data"],
             "" if row["epoch"] is None else f"{row['epoch']:.5g} of {row['epochs']:.5g}",
             *(COLUMNS[name].text(row[f"best_{name}"]) for name in headings),
             *(in_bytes(row["bytes"]) for _ in size), row["date"][:10])
            for row in rows
        ],
        left=4,
    )  # fmt: skip
    if problems := [(row["name"], problem) for row in rows for problem in row["problems"]]:
        terminal.heading("problems")
        terminal.lines(problems)
