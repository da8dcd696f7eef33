"""ganctl directions: directions in latent space that change one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import CheckpointArgument, EmaOption, JsonOption, QuietOption
from ganctl.cli.provenance import command_of
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.text import counted, listed


def directions(
    context: typer.Context,
    ckpt: CheckpointArgument,
    out: Annotated[Path, typer.Option(
        "-o", "--out", metavar="DIR", show_default=False,
        help="The folder for directions.npz and directions.png.",
    )],
    method: Annotated[str, typer.Option(
        "--method", metavar="activations|weights", autocompletion=completion.methods,
        help="Find the principal components of the first layer's activations, or of its weights.",
    )] = "activations",
    count: Annotated[int | None, typer.Option(
        "-n", "--count", metavar="N", show_default="8", help="Number of directions.",
    )] = None,
    start: Annotated[str | None, typer.Option(
        "--from", metavar="IMAGES", show_default=False, autocompletion=completion.data,
        help="Find the one direction from these pictures to those of --to. They are projected "
        "first, unless they are a file of latents.",
    )] = None,
    end: Annotated[str | None, typer.Option(
        "--to", metavar="IMAGES", show_default=False, autocompletion=completion.data,
        help="Pictures that --from leads to.",
    )] = None,
    seed: Annotated[int, typer.Option(
        "--seed", metavar="S", help="The seed whose image the sheet shows moved.",
    )] = 0,
    of_class: Annotated[str | None, typer.Option(
        "--class", metavar="NAME|K", show_default="the seed's own",
        autocompletion=completion.classes,
        help="The class of that image, and of the pictures, by name or number (conditional runs).",
    )] = None,
    ema: EmaOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Find directions in latent space that change one thing, such as width or slant.

    The sheet DIR/directions.png shows an image moved along each direction, in a row from -3 to +3
    standard deviations. `sample --move 3=+2` and `interpolate --along 3` use the directions of the
    default method; give --directions DIR/directions.npz for others.

    Examples:

    ganctl directions runs/mnist-fast -o directions/

    ganctl directions runs/mnist-fast --from thin/ --to thick/ -o thickness/
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if count is not None and count < 1:
        raise UsageError(f"-n must be at least 1, not {count}")
    if (start is None) != (end is None):
        raise UsageError("--from and --to belong together", "For example: --from thin/ --to thick/")
    if start is not None and count is not None:
        raise UsageError("--from and --to give one direction", "Leave out -n.")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed must be 0 to {MAX_SEED:,}, not {seed}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is not a folder", "Give another one with -o.")
    with terminal.progress() as progress:
        from ganctl.model import load

        model = load(ckpt, ema=ema)
        found = model.directions(
            method=method, count=count or 8, start=start, end=end, seed=seed, classes=of_class,
            progress=progress,
        )  # fmt: skip
        found.save(out, command=command_of(context))
    if json:
        terminal.document({
            "out": str(out), "method": method if start is None else None, "from": start, "to": end,
            "names": list(found.names), "path_lengths": list(found.path_lengths) or None,
            "seed": seed, "ema": model.ema,
            "checkpoint": str(model.path), "digest": model.digest, "step": model.step,
        })  # fmt: skip
        return
    terminal.result(f"{out}: {counted(len(found), 'direction')}: {listed(found.names)}")
    if found.path_lengths:
        terminal.table(
            ("direction", "path length"),
            [
                (name, "all alike" if length is None else f"{length:.2f}")
                for name, length in zip(found.names, found.path_lengths, strict=True)
            ],
        )
        terminal.result(
            "path length: 1 if images change evenly along a direction, more if in places suddenly"
        )
