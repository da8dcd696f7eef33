"""ganctl inspect: what is in a checkpoint, how two differ, which runs a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli.completion import checkpoints
from ganctl.cli.option_names import pasteable
from ganctl.cli.options import JsonOption, QuietOption, SortOption
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError

_MAX_HEIGHT = 120
"""Pixels that samples take from top to bottom, two per line."""


def inspect(
    paths: Annotated[list[Path], typer.Argument(
        metavar="CKPT [OTHER]", show_default=False, autocompletion=checkpoints,
        help="A .pt file or a run directory (its latest checkpoint); two are compared. Or a folder "
        "of runs, which are listed. Or an exported .safetensors, or any other file that "
        "ganctl drew or exported.",
    )],
    weights: Annotated[bool, typer.Option(
        "--weights", help="Also show each tensor's mean, standard deviation, range, norms, dead "
        "units and histogram.",
    )] = False,
    samples: Annotated[bool, typer.Option(
        "--samples", help="Also draw four samples (on a color terminal).",
    )] = False,
    sort: SortOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Show what made a checkpoint, its networks layer by layer, its losses, and what is wrong.

    Given two checkpoints, compare them; given a folder of runs, list them; given a picture, an
    animation, an .npz or an exported file, show how it was made.

    Examples:

    ganctl inspect runs/mnist-fast --weights

    ganctl inspect runs/mnist-fast/best.pt runs/mnist-fast

    ganctl inspect walk.gif

    ganctl inspect ckpt.pt --json
    """
    if len(paths) > 2:
        raise UsageError(
            f"{len(paths)} checkpoints are too many: one is shown, two are compared",
            "To see many runs side by side, give the folder that they are in.",
        )
    if samples and json:
        raise UsageError("--samples shows pictures, which --json cannot hold")
    terminal = Terminal(json_wanted=json, quiet=quiet)
    with terminal.progress() as progress:
        from ganctl import inspection

        if samples and (len(paths) == 2 or inspection.find_runs(paths[0])):
            raise UsageError("--samples needs a single checkpoint")
        found = inspection.inspect(*paths, weights=weights, sort=sort, on_progress=progress)
        if samples and "made_with" in found:
            raise UsageError("--samples needs a checkpoint")
    if json:
        terminal.document(found)
        return
    from ganctl.cli.inspection import show

    show(found, terminal)
    if samples:
        _show_samples(Path(found["path"]), terminal)


def _show_samples(path: Path, terminal: Terminal) -> None:
    """Show seeds 0 to 3, as large as the terminal is wide."""
    if not terminal.shows_pictures:
        terminal.note(
            "No samples shown: this needs a terminal with colors. "
            f"Try 'ganctl sample {pasteable(path)}'."
        )
        return
    from ganctl import model
    from ganctl.cli.live.preview import contact_sheet, half_blocks

    pixels = model.load(path).sample(range(4)).pixels
    terminal.heading("samples: seeds 0 to 3")
    picture, shown = contact_sheet(pixels, terminal.out.width, _MAX_HEIGHT)
    height = -(-shown.any(axis=1).sum() // 2) * 2
    terminal.content(half_blocks(picture[:height], shown[:height]))
