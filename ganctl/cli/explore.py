"""ganctl explore: a page that draws what a checkpoint draws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli.options import (
    CheckpointArgument,
    EmaOption,
    JsonOption,
    LatentsOption,
    QuietOption,
    check_suffix,
)
from ganctl.cli.provenance import command_of
from ganctl.cli.terminal import Terminal
from ganctl.text import in_bytes


def explore(
    context: typer.Context,
    ckpt: CheckpointArgument,
    out: Annotated[Path | None, typer.Option(
        "-o", "--out", metavar="OUT", help="The .html file to write.",
        show_default="a temporary file",
    )] = None,
    open_: Annotated[bool, typer.Option(
        "--open/--no-open", help="Open the page in a browser.",
    )] = True,
    latents: LatentsOption = None,
    ema: EmaOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Explore a generator in a browser: seeds, classes, directions, a sheet, a walk and a grid.

    The page is one file with the generator inside. It makes no network requests, needs no Python,
    and can be sent to anyone.

    Examples:

    ganctl explore runs/mnist-fast

    ganctl explore runs/mnist-fast -o digits.html --no-open
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if out is not None:
        check_suffix(out, (".html",))

    with terminal.progress() as progress:
        import tempfile

        from ganctl import latents_file
        from ganctl.model import load

        model = load(ckpt, ema=ema)
        progress("exporting", 0, 0)
        path = out or Path(tempfile.mkdtemp(prefix="ganctl-")) / "generator.html"
        points = None if latents is None else latents_file.read(latents, model.network)
        num_bytes = model.export(path, latents=points, command=command_of(context))
    terminal.warnings(points.notices(model.digest) if points else ())
    if open_:
        terminal.open_in_browser(path)
    if json:
        terminal.document({
            "out": str(path), "bytes": num_bytes, "latents": str(latents) if latents else None,
            "ema": model.ema, "checkpoint": str(model.path), "digest": model.digest,
            "step": model.step,
        })  # fmt: skip
        return
    terminal.result(f"{path}: {in_bytes(num_bytes)}")
