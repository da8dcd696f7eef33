"""`ganctl.inspect`: checkpoints and runs as plain values, which the command shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganctl import store
from ganctl.errors import Setting, Text, UsageError
from ganctl.inspection.checkpoint import describe, read
from ganctl.inspection.comparison import compare
from ganctl.inspection.drawn import describe_drawn, is_drawn
from ganctl.inspection.exported import describe_exported
from ganctl.inspection.problems import parts_of
from ganctl.inspection.runs import SORTS, find_runs, list_runs
from ganctl.inspection.weights import describe_weights
from ganctl.text import suggestion

__all__ = ["find_runs", "inspect", "list_runs"]


def inspect(
    path: str | Path,
    other: str | Path | None = None,
    *,
    weights: bool = False,
    sort: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> dict[str, Any]:
    """Return what `ganctl inspect` shows, as the document that its `--json` prints.

    A checkpoint, a `.pt` file or a run directory (its latest), is described, and so is a generator
    that was exported as `.safetensors`; with `weights` every tensor, too. Two checkpoints are
    compared. A folder of runs is listed in the order of `sort`: quality (the lowest Frechet
    distance first, the default), date (the newest first) or name. Nothing is printed; `on_progress`
    is called with (what is being done, how much is done, of how much). The keys are those of
    docs/json.md.

    A file that ganctl drew (.png, .gif, .webp, .apng, .mp4, .npz) or exported (.onnx, .pt2, .html)
    is described by what it says about its origin. Raises CheckpointError, UsageError or, for such a
    file, DataError.

    >>> document = inspect("runs/mnist-fast")
    >>> document["step"], document["problems"], document["generator"]["layers"][-1]["output_shape"]
    (4, [], [1, 28, 28])
    >>> inspect("runs/mnist-fast", "runs/mnist-fast/ckpt.pt")["tensors"]
    []
    >>> [(run["name"], run["state"]) for run in inspect("runs", sort="date")["runs"]]
    [('mnist-fast', 'unfinished')]
    """
    if sort is not None and sort not in SORTS:
        raise UsageError(f"unknown order '{sort[:40]}'", suggestion(sort, SORTS))
    path = Path(path)
    if is_drawn(path) and other is None:
        if weights or sort:
            which = Setting("weights") if weights else Setting("sort")
            raise UsageError(Text("{} is for checkpoints", which))
        return describe_drawn(path)
    runs = find_runs(path) if other is None else []
    if weights and (runs or other is not None):
        what = "a folder of runs" if runs else "two checkpoints"
        raise UsageError(
            Text("{} is not available for {}", Setting("weights"), what),
            "Inspect a single checkpoint.",
        )
    if runs:
        return list_runs(path, sort, on_progress)
    if sort is not None:
        raise UsageError(Text("{} is for a folder of runs, and this is not one", Setting("sort")))
    if other is not None:
        return compare(read(path), read(Path(other)))
    if path.is_file() and store.is_exported(path):
        return describe_exported(path, weights=weights)
    file, checkpoint = read(path)
    document = describe(file, checkpoint)
    if weights:
        document["weights"] = describe_weights(checkpoint.config.network, parts_of(checkpoint))
    return document
