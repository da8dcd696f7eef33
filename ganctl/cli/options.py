"""Option types shared by commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.config import MAX_SEED
from ganctl.errors import UsageError, nearest

CheckpointArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CKPT", help="A .pt file, or a run directory (its latest).", show_default=False
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Put one JSON document on stdout, and nothing else.")
]
EmaOption = Annotated[
    bool | None,
    typer.Option(
        "--ema/--no-ema",
        help="Draw from the moving average of the generator's weights, or from the weights "
        "themselves.",
        show_default="the average, where there is one",
    ),
]
UpscaleOption = Annotated[
    int | None,
    typer.Option(
        "--upscale",
        metavar="N",
        help="Enlarge each pixel to N x N.",
        show_default="automatic in a picture, 1 in an .npz or a folder",
    ),
]

MAX_UPSCALE = 64
_MAX_DIGITS = len(str(MAX_SEED))
MAX_LISTED = 1_000_000


def parse_seeds(text: str) -> list[int]:
    """'0-15,40' → [0, 1, ..., 15, 40]. Raises UsageError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        shown = part.strip()[:40]
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"'{shown}' is not a seed", "Write seeds as 7 or 0-15,40.")
        if max(len(first), len(last)) > _MAX_DIGITS:
            raise UsageError(f"'{shown}' is not a range of seeds from 0 to {MAX_SEED}")
        start, end = int(first), int(last or first)
        if end < start or end > MAX_SEED:
            raise UsageError(f"'{shown}' is not a range of seeds from 0 to {MAX_SEED}")
        if end - start + len(seeds) >= MAX_LISTED:
            raise UsageError(
                f"more than {MAX_LISTED:,} seeds are too many for a list", "Use --seed S -n N."
            )
        seeds.extend(range(start, end + 1))
    return seeds


def check_suffix(out: Path, known: tuple[str, ...], folder_too: bool = False) -> str:
    """`out`'s suffix if it is a known one. Raises UsageError."""
    suffix = out.suffix.lower()
    if suffix not in known:
        or_folder = " Or give a folder, ending in /." if folder_too else ""
        if suffix:
            raise UsageError(
                f"'{suffix}' is not a kind of file that can be made here: '{out}'",
                f"{nearest(suffix, known)}{or_folder}",
            )
        raise UsageError(
            f"'{out}' does not say what kind of file to make",
            f"Add one of: {', '.join(known)}.{or_folder}",
        )
    return suffix


def check_upscale(factor: int | None) -> None:
    """Raises UsageError for a factor that makes no picture; None is chosen later."""
    if factor is not None and not 1 <= factor <= MAX_UPSCALE:
        raise UsageError(f"--upscale must be 1 to {MAX_UPSCALE}, not {factor}")
