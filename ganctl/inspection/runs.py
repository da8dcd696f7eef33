"""The runs in a folder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganctl.errors import CheckpointError, UsageError
from ganctl.inspection.checkpoint import read
from ganctl.inspection.problems import problems
from ganctl.store import RunDirectory
from ganctl.text import suggestion

SORTS = ("quality", "date", "name")
_MAX_RUNS = 1000


def list_runs(
    folder: Path,
    sort: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> dict[str, Any]:
    """Return the document of `ganctl runs`: the folder, the order, and a row per run, if any.

    `sort` is one of SORTS, the first of them if None. Raises UsageError for another one and for a
    folder that is itself a run, CheckpointError if there is no such folder.
    """
    sort = SORTS[0] if sort is None else sort
    if sort not in SORTS:
        raise UsageError(f"unknown order '{sort[:40]}'", suggestion(sort, SORTS))
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise CheckpointError(
            f"{folder} {what}",
            "Give the folder that your runs are in; ganctl train starts a first one.",
        )
    if RunDirectory(folder).is_run():
        raise UsageError(
            f"{folder} is itself a run, not a folder of runs",
            "Inspect it, or give the folder that it is in.",
        )
    rows = describe_runs(find_runs(folder), sort, on_progress)
    return {"path": str(folder), "sort": sort, "runs": rows}


def find_runs(folder: Path) -> list[Path]:
    """Return the first 1,000 run directories in `folder` by name; none if it is itself a run."""
    if not folder.is_dir() or RunDirectory(folder).is_run():
        return []
    found = (path for path in sorted(folder.iterdir()) if RunDirectory(path).is_run())
    return list(itertools.islice(found, _MAX_RUNS))


def describe_runs(
    runs: list[Path], sort: str, on_progress: Callable[[str, int, int], None]
) -> list[dict[str, Any]]:
    """Return one row per run: by quality, the lowest Frechet distance first, by date or by name.

    By quality, runs without a Frechet distance come next, the lowest patch distance first. One
    checkpoint is in memory at a time. A run that cannot be read has a row, too.
    """
    rows = []
    for number, path in enumerate(runs):
        on_progress("reading checkpoints", number, len(runs))
        size = RunDirectory(path).num_bytes()
        rows.append({"name": path.name, "path": str(path), "bytes": size, **_described(path)})
    rows.sort(key=lambda row: row["name"])
    if sort == "quality":
        rows.sort(key=_quality)
    elif sort == "date":
        rows.sort(key=lambda row: row["date"], reverse=True)
    return rows


def _quality(row: dict[str, Any]) -> tuple[float, float]:
    """Return what orders runs by quality; an unknown distance comes last."""
    distances = (row["best_frechet_distance"], row["best_patch_distance"])
    frechet, patches = (math.inf if distance is None else distance for distance in distances)
    return frechet, patches


def _described(path: Path) -> dict[str, Any]:
    try:
        _, checkpoint = read(path)
    except CheckpointError as error:
        return {
            "state": "unreadable", "preset": "", "data": "", "step": None, "epoch": None,
            "epochs": None, "best_frechet_distance": None, "best_patch_distance": None, "date": "",
            "problems": [error.message],
        }  # fmt: skip
    made_by, found = checkpoint.made_by, problems(checkpoint)
    state = "finished" if checkpoint.is_finished else "unfinished"
    return {
        "state": found[0].kind if found else state,
        "preset": checkpoint.config.preset,
        "data": checkpoint.data["name"],
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "epochs": checkpoint.total_steps / checkpoint.steps_per_epoch,
        "best_frechet_distance": checkpoint.lowest("frechet_distance"),
        "best_patch_distance": checkpoint.lowest("patch_distance"),
        "date": str(made_by.get("last_date", made_by.get("date", ""))),
        "problems": [problem.text for problem in found],
    }
