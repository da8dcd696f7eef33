"""ganctl sample: images from a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    CheckpointArgument,
    DirectionsOption,
    EmaOption,
    JsonOption,
    LatentsOption,
    QuietOption,
    TruncationOption,
    UpscaleOption,
    check_suffix,
    parse_grid,
    parse_moves,
    refuse_both,
    refuse_same_file,
    wanted_seeds,
)
from ganctl.cli.provenance import with_command
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError
from ganctl.text import counted, listed


def sample(
    context: typer.Context,
    ckpt: CheckpointArgument,
    num: Annotated[int | None, typer.Option(
        "-n", "--num", metavar="N", show_default="16", help="Number of samples.",
    )] = None,
    seed: Annotated[int | None, typer.Option(
        "--seed", metavar="S", show_default="0",
        help="Seed of the first sample; the next ones are S+1, S+2, ...",
    )] = None,
    seeds: Annotated[str | None, typer.Option(
        "--seeds", metavar="LIST", show_default=False, autocompletion=completion.seeds,
        help="Draw these seeds, for example 0-15,40.",
    )] = None,
    out: Annotated[str, typer.Option(
        "-o", "--out", metavar="OUT",
        help="A .png (a grid); an .npz (arr_0, uint8 (N, H, W, C), with seeds and, if there "
        "are classes, labels and classes); or a folder, which exists or ends in / (one PNG per "
        "sample, with --per-class in one folder per class).",
    )] = "samples.png",
    latents: LatentsOption = None,
    save_latents: Annotated[Path | None, typer.Option(
        "--save-latents", metavar="FILE", show_default=False,
        help="Also write the latents of the samples to an .npz file.",
    )] = None,
    of_class: Annotated[str | None, typer.Option(
        "--class", metavar="NAME|K", show_default="each one's own",
        autocompletion=completion.classes,
        help="Draw this class only, by its name or number (conditional runs).",
    )] = None,
    per_class: Annotated[int | None, typer.Option(
        "--per-class", metavar="N", show_default=False,
        help="N samples of each class, from the same N seeds: a row per class in a grid.",
    )] = None,
    grid: Annotated[str | None, typer.Option(
        "--grid", metavar="CxR", show_default="nearly square",
        help="Columns and rows of the grid, such as 8x4; also the number of samples.",
    )] = None,
    label_seeds: Annotated[bool, typer.Option(
        "--label-seeds", help="Write each sample's seed, or the number of its latent, below it in "
        "the grid.",
    )] = False,
    move: Annotated[list[str] | None, typer.Option(
        "--move", metavar="DIRECTION=F", show_default=False,
        help="Move all latents along a direction, by its number or name, F standard deviations: "
        "3=+2. Can be repeated.",
    )] = None,
    directions: DirectionsOption = None,
    channels: Annotated[int | None, typer.Option(
        "--channels", metavar="3", show_default="those of the run",
        help="Write gray images as RGB, for programs that read nothing else.",
    )] = None,
    force: Annotated[bool, typer.Option(
        "--force", help="Replace the samples of an earlier call in the folder.",
    )] = False,
    truncation: TruncationOption = 1.0,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Draw samples. A seed always gives the same image, however many are drawn.

    Examples:

    ganctl sample runs/mnist-fast -n 100 -o grid.png

    ganctl sample runs/mnist-fast --class 7 -o sevens.png

    ganctl sample runs/mnist-fast --per-class 8 -o classes.png

    ganctl sample ckpt.pt --seeds 3,7,20-29 -o picked/

    ganctl sample runs/mnist-fast -n 10000 --channels 3 -o digits/

    ganctl sample runs/mnist-fast -n 4 --save-latents four.npz

    ganctl sample runs/mnist-fast --latents four.npz --class 7

    ganctl sample runs/mnist-fast --seeds 0-9 --move 1=+2 --move 3=-1

    ganctl sample runs/mnist-fast --grid 8x4 --label-seeds --truncation 0.7 -o typical.png
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if latents is not None:
        refuse_both(
            "--latents",
            {"-n": num, "--seed": seed, "--seeds": seeds, "--per-class": per_class},
            "A file is drawn as a whole.",
        )
    if per_class is not None:
        refuse_both(
            "--per-class",
            {"-n": num, "--seeds": seeds, "--class": of_class, "--grid": grid},
            "--per-class 8 draws a row of 8 per class, seeds 0 to 7; --seed S starts at S.",
        )
        num = per_class
    columns, rows = (None, None) if grid is None else parse_grid(grid)
    if columns and rows and num is None and seeds is None:
        num = columns * rows
    wanted = wanted_seeds(num, seed, seeds, "-n" if per_class is None else "--per-class")
    if not out:
        raise UsageError("-o needs a file or a folder")
    is_folder = out.endswith(("/", os.sep)) or Path(out).is_dir()
    kind = "folder" if is_folder else check_suffix(Path(out), (".png", ".npz"), folder_too=True)
    for option, given in (("--grid", grid is not None), ("--label-seeds", label_seeds)):
        if given and kind != ".png":
            raise UsageError(f"{option} needs a PNG grid", "Write one: -o samples.png")
    if directions is not None and not move:
        raise UsageError("--directions needs --move", "For example: --move 1=+2")
    moves = parse_moves(move or ())
    if save_latents is not None:
        check_suffix(save_latents, (".npz",))
    refuse_same_file({"-o": Path(out), "--latents": latents, "--save-latents": save_latents})

    with terminal.progress() as progress:
        from ganctl import latents_file
        from ganctl.model import load
        from ganctl.sample_folder import class_folders
        from ganctl.seeds import as_ranges
        from ganctl.steering.directions import read

        model = load(ckpt, ema=ema)
        found = None if directions is None else read(directions, model.network)
        points = None if latents is None else latents_file.read(latents, model.network)
        samples = model.sample(
            None if points else wanted, latents=points, classes=of_class, truncation=truncation,
            every_class=per_class is not None, move=moves, directions=found,
        )  # fmt: skip
        if channels is not None:
            samples = samples.with_channels(channels)
        samples = with_command(samples, context)
        if save_latents is not None:
            samples.save_latents(save_latents)
        samples.save(out, columns=columns, rows=rows, upscale=upscale, captions=label_seeds,
                     force=force, progress=progress)  # fmt: skip
    names, drawn = model.classes, as_ranges(wanted)
    label = None if of_class is None or samples.labels is None else int(samples.labels[0])
    terminal.warnings(points.notices(model.digest) if points else ())
    terminal.warnings(found.notices(model.digest) if found else ())
    if json:
        terminal.document({
            "out": str(Path(out)), "kind": kind.removeprefix("."), "num_samples": len(samples),
            "channels": samples.shape[-1],
            "seeds": None if points else drawn, "latents": str(latents) if latents else None,
            "saved_latents": str(save_latents) if save_latents else None,
            "class": label, "class_name": None if label is None else names[label],
            "per_class": per_class, "truncation": truncation, "move": moves or None,
            "classes": names if per_class else None, "ema": model.ema,
            "checkpoint": str(model.path), "digest": model.digest, "step": model.step,
        })  # fmt: skip
        return
    which = "" if label is None else f" of class {names[label]}"
    if per_class:
        which = f", {per_class} of each of {counted(len(names), 'class', 'classes')}"
    origin = (
        f"latents of {latents}" if points else f"{'seed' if len(wanted) == 1 else 'seeds'} {drawn}"
    )
    if moves:
        origin += f", moved {samples.text['move']}"
    terminal.result(
        f"{Path(out)}: {counted(len(samples), 'sample')}{which}, {origin} "
        f"({'moving average' if model.ema else 'weights as trained'}, step {model.step:,})"
    )
    if save_latents is not None:
        terminal.result(f"{save_latents}: their latents")
    if per_class:
        where = {".png": "classes, row by row", "folder": "folders, one per class"}
        folders = class_folders(names) if is_folder else names
        terminal.result(f"{where.get(kind, 'classes')}: {listed(folders)}")
