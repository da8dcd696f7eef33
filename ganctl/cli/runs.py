"""ganctl inspect DIR: a folder's runs beside one another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganctl import store
from ganctl.checkpoint import Checkpoint
from ganctl.cli.problems import problems
from ganctl.cli.terminal import Terminal
from ganctl.errors import CheckpointError
from ganctl.text import counted
from ganctl.training.state import require_fit

_MAX_RUNS = 1000


def find_runs(folder: Path) -> list[Path]:
    """The runs in `folder`, or in its folders, the first thousand by name; none in a run."""
    if store.RunDirectory(folder).is_run():
        return []
    found = (path for path in sorted(folder.iterdir()) if store.RunDirectory(path).is_run())
    return list(itertools.islice(found, _MAX_RUNS))


def describe_runs(
    runs: list[Path], sort: str, progress: Callable[[str, int, int], None]
) -> list[dict[str, Any]]:
    """A row a run, sorted: the lowest Frechet distance first, or the newest, or by name.

    One checkpoint is in memory at a time. A run that cannot be read has a row, too.
    """
    rows = []
    for number, path in enumerate(runs):
        progress("reading checkpoints", number, len(runs))
        rows.append(_row(path))
    rows.sort(key=lambda row: row["name"])
    if sort == "quality":
        rows.sort(key=lambda row: _or_infinity(row["best_frechet_distance"]))
    elif sort == "date":
        rows.sort(key=lambda row: row["date"], reverse=True)
    return rows


def show_runs(folder: Path, rows: list[dict[str, Any]], terminal: Terminal) -> None:
    """What `describe_runs` gave, as a table, and below it what is wrong at length."""
    terminal.heading(f"{folder}: {counted(len(rows), 'run')}")
    terminal.table(
        ("", "run", "preset", "data", "epochs", "best FD", "date"),
        [
            (
                row["state"],
                row["name"],
                row["preset"],
                row["data"],
                "" if row["epoch"] is None else f"{row['epoch']:.4g} of {row['epochs']:g}",
                "" if row["best_frechet_distance"] is None
                else f"{row['best_frechet_distance']:.2f}",
                row["date"][:10],
            )
            for row in rows
        ],
        left=4,
    )  # fmt: skip
    wrong = [(row["name"], problem) for row in rows for problem in row["problems"]]
    if wrong:
        terminal.heading("what is wrong")
        terminal.lines(wrong)


def _row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": path.name, "path": str(path)}
    try:
        checkpoint = store.read_checkpoint(path)
        require_fit(checkpoint)
    except CheckpointError as error:
        unknown = dict.fromkeys(("step", "epoch", "epochs", "best_frechet_distance"))
        return {
            **row, "state": "unreadable", "preset": "", "data": "", **unknown, "date": "",
            "problems": [error.message],
        }  # fmt: skip
    return {**row, **_known(checkpoint)}


def _known(checkpoint: Checkpoint) -> dict[str, Any]:
    config, made = checkpoint.config, checkpoint.made_by
    images = checkpoint.data["num_images"]
    steps_per_epoch = config.steps_per_epoch(images)
    measured = [row["frechet_distance"] for row in checkpoint.history]
    found = problems(checkpoint)
    unfinished = checkpoint.step < config.total_steps(images)
    return {
        "state": found[0].kind if found else "unfinished" if unfinished else "sound",
        "preset": config.preset,
        "data": checkpoint.data["name"],
        "step": checkpoint.step,
        "epoch": checkpoint.step / steps_per_epoch,
        "epochs": config.total_steps(images) / steps_per_epoch,
        "best_frechet_distance": min((m for m in measured if m is not None), default=None),
        "date": str(made.get("last_date", made.get("date", ""))),
        "problems": [problem.text for problem in found],
    }


def _or_infinity(value: float | None) -> float:
    return float("inf") if value is None else value
