"""ganctl project: the latents of a user's own images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import CheckpointArgument, EmaOption, JsonOption, QuietOption
from ganctl.cli.provenance import command_of
from ganctl.cli.terminal import Terminal
from ganctl.errors import RunError, UsageError
from ganctl.text import counted

_MAX_LISTED = 20
"""Number of images that are shown as a table."""


def project(
    context: typer.Context,
    ckpt: CheckpointArgument,
    images: Annotated[list[str], typer.Argument(
        metavar="IMAGE...", show_default=False, autocompletion=completion.data,
        help="Your pictures: image files, or whatever training takes: folders, archives, .npz, "
        ".npy. Or the name of a data set: its test images.",
    )],
    out: Annotated[Path, typer.Option(
        "-o", "--out", metavar="DIR", show_default=False,
        help="The folder for latents.npz, projection.png and projection.csv.",
    )],
    of_class: Annotated[str | None, typer.Option(
        "--class", metavar="NAME|K", show_default="searched for",
        autocompletion=completion.classes,
        help="The class of all pictures, by its name or number (conditional runs).",
    )] = None,
    limit: Annotated[int | None, typer.Option(
        "-n", "--limit", metavar="N", show_default="all", help="Only the first N pictures.",
    )] = None,
    skip_bad: Annotated[bool, typer.Option(
        "--skip-bad", help="Leave out pictures that cannot be used.",
    )] = False,
    force: Annotated[bool, typer.Option(
        "--force", help="Replace the result of an earlier call in the folder.",
    )] = False,
    ema: EmaOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Find your own pictures in a generator: for each the latent that draws it most similarly.

    The latents are written to DIR/latents.npz, which sample and interpolate take. The sheet
    DIR/projection.png shows each picture beside the one that was found.

    Examples:

    ganctl project runs/mnist-fast my-seven.png --class 7 -o mine/

    ganctl project runs/mnist-fast mnist -n 20 -o digits/
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if limit is not None and limit < 1:
        raise UsageError(f"-n must be at least 1, not {limit}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is not a folder", "Give another one with -o.")
    if (out / "latents.npz").exists() and not force:
        raise RunError(
            f"'{out}' has latents of an earlier call", "Give another folder, or --force."
        )
    with terminal.progress() as progress:
        import numpy as np

        from ganctl.model import load

        model = load(ckpt, ema=ema)
        found = model.project(
            images, classes=of_class, limit=limit, skip_bad=skip_bad, progress=progress
        )
        found.save(out, command=command_of(context))
    terminal.notes(found.notes)
    names, errors = found.class_names, found.feature_error
    if json:
        numbers = found.latents.classes
        terminal.document({
            "out": str(out), "num_images": len(found),
            "psnr_db": _finite(float(np.median(found.psnr))),
            "feature_error": None if errors is None else float(np.median(errors)),
            "images": [
                {"name": name, "class": None if numbers is None else int(numbers[place]),
                 "class_name": names[place], "psnr_db": _finite(float(found.psnr[place])),
                 "feature_error": found.feature_errors[place]}
                for place, name in enumerate(found.names)
            ],
            "ema": model.ema, "checkpoint": str(model.path), "digest": model.digest,
            "step": model.step,
        })  # fmt: skip
        return
    terminal.result(
        f"{out}: {counted(len(found), 'latent')}, PSNR {np.median(found.psnr):.1f} dB"
        + (f" in the median, {found.psnr.min():.1f} dB at least" if len(found) > 1 else "")
    )
    if len(found) <= _MAX_LISTED:
        labels = ["picture", "class"] if model.classes else ["picture"]
        columns = [*labels, "PSNR", *(["feature error"] if errors is not None else [])]
        rows = [
            (name, *([names[place]] if model.classes else []), f"{found.psnr[place]:.1f} dB",
             *([f"{errors[place]:.2f}"] if errors is not None else []))
            for place, name in enumerate(found.names)
        ]  # fmt: skip
        terminal.table(columns, rows, left=len(labels))


def _finite(psnr: float) -> float | None:
    """Return `psnr`, or None for equal images: JSON has no infinity."""
    return psnr if math.isfinite(psnr) else None
