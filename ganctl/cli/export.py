"""ganctl export: the generator as a file for other programs."""

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
from ganctl.text import counted, in_bytes


def export(
    context: typer.Context,
    ckpt: CheckpointArgument,
    out: Annotated[Path, typer.Option(
        "-o", "--out", metavar="OUT", show_default=False,
        help="An .onnx (extra onnx), a .pt2 (torch.export), a .safetensors (weights), or an .html: "
        "a page that draws in a browser.",
    )],
    uint8: Annotated[bool, typer.Option(
        "--uint8", help="Images are uint8 (N, H, W, C), not float32 (N, C, H, W) in [-1, 1].",
    )] = False,
    latents: LatentsOption = None,
    ema: EmaOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Export the generator as a file. The suffix of OUT chooses the format.

    A page (.html) is complete in itself. A .safetensors holds the weights; sample, interpolate,
    inspect, explore and export read it like a checkpoint. An .onnx and a .pt2 have as inputs
    latents, float32 (N, D), and, if there are classes, classes, int64 (N,).

    Examples:

    ganctl export runs/mnist-fast -o digits.onnx

    ganctl export runs/mnist-fast -o digits.pt2 --uint8

    ganctl export runs/mnist-fast -o digits.safetensors

    ganctl export runs/mnist-fast -o digits.html

    ganctl export runs/mnist-fast --latents found.npz -o found.html
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    from ganctl.export import SUFFIXES, require_possible

    suffix = check_suffix(out, SUFFIXES)
    require_possible(out, uint8=uint8, with_latents=latents is not None)
    with terminal.progress() as progress:
        from ganctl import latents_file
        from ganctl.model import load

        model = load(ckpt, ema=ema)
        progress("exporting", 0, 0)
        points = None if latents is None else latents_file.read(latents, model.network)
        num_bytes = model.export(out, uint8=uint8, latents=points, command=command_of(context))
    terminal.warnings(points.notices(model.digest) if points else ())
    network = model.network
    if json:
        terminal.document({
            "out": str(out), "kind": suffix.removeprefix("."), "bytes": num_bytes, "uint8": uint8,
            "latents": str(latents) if latents else None,
            "latent_dim": network.latent_dim, "image_shape": list(network.image_shape),
            "classes": list(model.classes), "ema": model.ema, "checkpoint": str(model.path),
            "digest": model.digest, "step": model.step,
        })  # fmt: skip
        return
    channels, height, width = network.image_shape
    shape = (height, width, channels) if uint8 else network.image_shape
    made = "moving average" if model.ema else "weights as trained"
    terminal.result(f"{out}: {in_bytes(num_bytes)} ({made}, step {model.step:,})")
    if suffix in (".html", ".safetensors"):
        return
    terminal.result(f"latents: float32 (N, {network.latent_dim})")
    if model.classes:
        terminal.result(
            f"classes: int64 (N,), {counted(len(model.classes), 'class', 'classes')} from 0"
        )
    kind, values = ("uint8", "") if uint8 else ("float32", " in [-1, 1]")
    terminal.result(f"images: {kind} (N, {', '.join(map(str, shape))}){values}")
