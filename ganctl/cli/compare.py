"""ganctl inspect A B: in what two checkpoints differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganctl.checkpoint import Checkpoint, Weights
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import format_setting, settings
from ganctl.text import counted

_PARTS = ("generator", "generator_ema", "discriminator")
_TIMES = {"seconds", "elapsed_seconds", "images_per_sec"}
"""What differs between any two runs, be they the same bit by bit."""
_SHOWN = {
    "epoch": "epoch", "step": "step", "g_loss": "G loss", "d_loss": "D loss", "d_real": "D(x)",
    "d_fake": "D(G(z))", "diversity": "diversity", "frechet_distance": "Frechet distance",
}  # fmt: skip
_MAX_ROWS = 20


def compare(
    first: tuple[Path, Checkpoint], second: tuple[Path, Checkpoint]
) -> dict[str, Any]:  # fmt: skip
    """Settings, data, weights and losses that differ, as plain values.

    How much a tensor differs is |B - A| / |A|, Frobenius norms in double precision; None where
    that is no number: A is zero, either holds NaN or infinity, or their shapes differ.
    """
    (path_a, a), (path_b, b) = first, second
    tensors = [row for part in _PARTS for row in _tensors(part, a, b)]
    return {
        "a": _head(path_a, a),
        "b": _head(path_b, b),
        "config": _unequal(settings(a.config), settings(b.config)),
        "data": _unequal(a.data, b.data),
        "num_tensors": len(tensors),
        "tensors": [row for row in tensors if row["difference"] != "none"],
        "losses_equal_epochs": _equal_epochs(a.history, b.history),
    }


def show_comparison(report: dict[str, Any], terminal: Terminal) -> None:
    """What `compare` gave, in tables; what differs most comes first."""
    a, b, differing = report["a"], report["b"], report["tensors"]
    terminal.result(_verdict(report))
    terminal.lines([("A", a["path"]), ("B", b["path"])])
    terminal.heading("checkpoints")
    rows = [("step", f"{a['step']:,}", f"{b['step']:,}")]
    rows += [
        (label, _cell(a["last"].get(name)), _cell(b["last"].get(name)))
        for name, label in _SHOWN.items()
        if name != "step"
    ]
    best = "best_frechet_distance"
    rows.append(("best Frechet distance", _cell(a[best]), _cell(b[best])))
    terminal.table(("last epoch", "A", "B"), rows)
    equal = report["losses_equal_epochs"]
    terminal.result(f"epochs whose figures are the same, from the first one on: {equal:,}")
    for title in ("config", "data"):
        if report[title]:
            terminal.heading("configuration" if title == "config" else title)
            pairs = report[title].items()
            terminal.table(
                ("", "A", "B"), [(name, _brief(old), _brief(new)) for name, (old, new) in pairs]
            )
    if not differing:
        return
    terminal.heading(f"weights: {len(differing):,} of {report['num_tensors']:,} tensors differ")
    order = sorted(differing, key=lambda row: -_rank(row["relative"]))
    terminal.table(
        ("tensor", "|B - A| / |A|"),
        [
            (f"{row['part']} {row['name']}", row["difference"] if row["relative"] is None
             else f"{row['relative']:.3g}")
            for row in order[:_MAX_ROWS]
        ],
    )  # fmt: skip
    if len(order) > _MAX_ROWS:
        terminal.result(f"... and {len(order) - _MAX_ROWS:,} more, which --json names")


def _verdict(report: dict[str, Any]) -> str:
    parts = [
        text
        for text, different in (
            (counted(len(report["config"]), "setting"), report["config"]),
            ("the data", report["data"]),
            (f"{len(report['tensors'])} of {report['num_tensors']} tensors", report["tensors"]),
            ("the step", report["a"]["step"] != report["b"]["step"]),
        )
        if different
    ]
    return f"They differ in {', '.join(parts)}." if parts else "The same settings and weights."


def _head(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    known = [row["frechet_distance"] for row in checkpoint.history]
    return {
        "path": str(path),
        "digest": checkpoint.digest,
        "step": checkpoint.step,
        "last": checkpoint.history[-1] if checkpoint.history else {},
        "best_frechet_distance": min((value for value in known if value is not None), default=None),
    }


def _unequal(a: dict[str, Any], b: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [a.get(name), b.get(name)] for name in {**a, **b} if a.get(name) != b.get(name)
    }  # fmt: skip


def _tensors(part: str, a: Checkpoint, b: Checkpoint) -> list[dict[str, Any]]:
    weights_a: Weights = getattr(a, part) or {}
    weights_b: Weights = getattr(b, part) or {}
    rows = []
    for name in {**weights_a, **weights_b}:
        difference, relative = _difference(weights_a.get(name), weights_b.get(name))
        rows.append(
            {"part": part, "name": name, "difference": difference, "relative": relative}
        )  # fmt: skip
    return rows


def _difference(a: Tensor | None, b: Tensor | None) -> tuple[str, float | None]:
    if a is None or b is None:
        return ("only in A" if b is None else "only in B"), None
    if a.shape != b.shape:
        return f"shape {_shape(a)}, {_shape(b)}", None
    if a.equal(b):
        return "none", 0.0
    norm = torch.linalg.vector_norm(a, dtype=torch.float64)
    relative = torch.linalg.vector_norm(b.double() - a.double()) / norm
    return ("values", float(relative)) if relative.isfinite() else ("not a number", None)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def _equal_epochs(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> int:
    """How many epochs went the same, from the first one on."""
    number = 0
    for one, other in zip(a, b, strict=False):
        if any(one[name] != other[name] for name in one.keys() - _TIMES):
            break
        number += 1
    return number


def _rank(relative: float | None) -> float:
    return float("inf") if relative is None else relative


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _brief(value: object) -> str:
    text = format_setting(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
