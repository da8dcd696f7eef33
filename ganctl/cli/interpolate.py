"""ganctl interpolate: a walk through latent space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

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
    parse_move,
    parse_seeds,
    refuse_both,
    refuse_same_file,
)
from ganctl.cli.provenance import with_command
from ganctl.cli.terminal import Terminal
from ganctl.config.image_settings import RGBA
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.text import counted

_ANIMATED = (".gif", ".webp", ".apng", ".mp4")
_MAX_SEEDS = 10_000


def interpolate(
    context: typer.Context,
    ckpt: CheckpointArgument,
    seeds: Annotated[str | None, typer.Option(
        "--seeds", metavar="A,B,...", show_default="0,1,2,3; between classes 0",
        help="The seeds to walk through.",
    )] = None,
    walk: Annotated[int | None, typer.Option(
        "--walk", metavar="N", show_default=False,
        help="Walk through N random seeds instead of --seeds.",
    )] = None,
    seed: Annotated[int | None, typer.Option(
        "--seed", metavar="S", show_default="0", help="Random seed for --walk.",
    )] = None,
    corners: Annotated[str | None, typer.Option(
        "--corners", metavar="A,B,C,D", show_default=False,
        help="A square sheet between four seeds, instead of a walk: top left, top right, "
        "bottom left, bottom right. With --latents numbers of latents, from 0.",
    )] = None,
    latents: LatentsOption = None,
    along: Annotated[str | None, typer.Option(
        "--along", metavar="DIRECTION[=F]", show_default=False,
        help="Walk straight along a direction, by its number or name, through a single seed: from "
        "F standard deviations (3) before it to as many behind it.",
    )] = None,
    directions: DirectionsOption = None,
    of_classes: Annotated[str | None, typer.Option(
        "--class", metavar="A,B,...", show_default="each one's own",
        autocompletion=completion.classes,
        help="One class for all seeds, or one for each, by name or number. A single seed can go "
        "through several classes.",
    )] = None,
    frames: Annotated[int | None, typer.Option(
        "--frames", metavar="N", show_default="8 in a .png, 24 in an animation",
        help="Steps from one seed to the next.",
    )] = None,
    mode: Annotated[str, typer.Option(
        "--mode", metavar="slerp|lerp",
        help="slerp: along the hypersphere; lerp: a straight line.",
    )] = "slerp",
    ease: Annotated[str, typer.Option(
        "--ease", metavar="linear|smooth", help="smooth: ease in and out at each seed.",
    )] = "linear",
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first seed.")] = False,
    out: Annotated[Path | None, typer.Option(
        "-o", "--out", metavar="OUT", show_default="walk.gif; sheet.png with --corners",
        help="A .png (a strip or a sheet); a .gif, .webp, .apng, or .mp4 (extra 'video').",
    )] = None,
    fps: Annotated[int, typer.Option(
        "--fps", metavar="N", help="Frames per second of an animation.",
    )] = 25,
    truncation: TruncationOption = 1.0,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Walk through latent space from seed to seed; at each seed is the image that `sample` draws.

    Examples:

    ganctl interpolate runs/mnist-fast --seeds 3,7,12 --loop -o walk.gif

    ganctl interpolate runs/mnist-fast --class 3,8 -o strip.png

    ganctl interpolate ckpt.pt --walk 8 --seed 3 --ease smooth --loop -o walk.mp4

    ganctl interpolate ckpt.pt --corners 0,1,2,3 --class 3 -o sheet.png

    ganctl interpolate runs/mnist-fast --seeds 5 --along 3 -o thicker.gif

    ganctl interpolate ckpt.pt --latents faces.npz --loop -o walk.gif
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    is_sheet = corners is not None
    out = out or Path("sheet.png" if is_sheet else "walk.gif")
    suffix = check_suffix(out, (".png",) if is_sheet else (".png", *_ANIMATED))
    given = {"--seeds": seeds, "--walk": walk, "--corners": corners}
    given = {name: value for name, value in given.items() if value is not None}
    if latents is not None:
        refuse_both(
            "--latents",
            {"--seeds": seeds, "--walk": walk, "--seed": seed},
            "A walk goes through all latents of the file, in their order.",
        )
    refuse_same_file({"-o": out, "--latents": latents})
    if along is not None:
        refuse_both("--along", {"--walk": walk, "--corners": corners}, "It goes through one seed.")
    elif directions is not None:
        raise UsageError("--directions needs --along", "For example: --along 1")
    way = None if along is None else parse_move(along, 3.0)
    mode = "lerp" if way else mode
    if len(given) > 1:
        raise UsageError(f"give either {' or '.join([*given][:2])}")
    if is_sheet and loop:
        raise UsageError("a sheet has no --loop", "Leave out --loop, or --corners.")
    if seed is not None and walk is None:
        raise UsageError("--seed is for --walk only", "For example: --walk 8 --seed 3")
    if walk is not None and not 2 <= walk <= _MAX_SEEDS:
        raise UsageError(f"--walk must be 2 to {_MAX_SEEDS:,}, not {walk}")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed must be 0 to {MAX_SEED:,}, not {seed}")
    stops = None if seeds is None and corners is None else parse_seeds(seeds or corners or "")
    steps = frames if frames is not None else 8 if suffix == ".png" else 24

    with terminal.progress() as progress:
        from ganctl import latents_file
        from ganctl.classes import find_several
        from ganctl.latents import random_seeds
        from ganctl.model import load
        from ganctl.samples import Samples
        from ganctl.steering.directions import read

        if walk is not None:
            stops = random_seeds(walk, seed or 0)
        model = load(ckpt, ema=ema)
        found = None if directions is None else read(directions, model.network)
        points = None if latents is None else latents_file.read(latents, model.network)
        if points and stops:
            points, stops = points.picked(stops), None
        chosen = None if of_classes is None else find_several(of_classes, model.require_classes())
        how: dict[str, Any] = {"latents": points, "classes": chosen, "frames": steps, "mode": mode,
                               "ease": ease, "truncation": truncation}  # fmt: skip
        drawn: Samples
        if is_sheet:
            drawn = with_command(model.sheet(stops, **how), context)
            drawn.save(out, upscale=upscale, progress=progress)
        else:
            if way:
                how |= {"along": way[0], "reach": way[1], "directions": found}
            drawn = walked = with_command(model.interpolate(stops, loop=loop, **how), context)
            walked.save(out, upscale=upscale, fps=fps, progress=progress)
    if suffix == ".mp4" and drawn.shape[-1] == RGBA:
        terminal.note("An .mp4 has no transparency: its frames are shown over white.")
    terminal.warnings(points.notices(model.digest) if points else ())
    terminal.warnings(found.notices(model.digest) if found else ())
    labels = None if drawn.labels is None else [*drawn.labels]
    names = None if labels is None else [model.classes[label] for label in labels]
    if json:
        terminal.document({
            "out": str(out), "kind": suffix[1:], "sheet": is_sheet,
            "seeds": None if points else drawn.seeds, "latents": str(latents) if latents else None,
            "along": way[0] if way else None, "reach": way[1] if way else None,
            "classes": labels, "class_names": names, "mode": mode,
            "ease": ease, "loop": loop, "truncation": truncation, "frames": len(drawn),
            "ema": model.ema, "checkpoint": str(model.path), "digest": model.digest,
        })  # fmt: skip
        return
    route = _route("seed", "seeds", drawn.seeds, loop, is_sheet)
    if points:
        route = f"{counted(len(points), 'latent')} of {latents}"
    if names:
        route += f", {_route('class', 'classes', names, loop, is_sheet)}"
    if way:
        route += f", along direction {way[0]} from {-way[1]:g} to {way[1]:g}"
    between, noun = ("between ", "image") if is_sheet else ("", "frame")
    terminal.result(f"{out}: {counted(len(drawn), noun)}, {between}{route} ({mode})")


def _route(noun: str, plural: str, stops: Sequence[object], loop: bool, is_sheet: bool) -> str:
    if len(set(stops)) == 1:
        return f"{noun} {stops[0]}"
    names = map(str, [*stops, stops[0]] if loop else stops)
    return f"{plural} {(', ' if is_sheet else ' → ').join(names)}"
