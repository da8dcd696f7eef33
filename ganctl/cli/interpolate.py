"""ganctl interpolate: a walk through latent space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    CheckpointArgument,
    EmaOption,
    JsonOption,
    QuietOption,
    TruncationOption,
    UpscaleOption,
    check_suffix,
    check_truncation,
    check_upscale,
    parse_seeds,
    require_room,
)
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.text import counted, listed, nearest

_MODES = ("slerp", "lerp")
_EASINGS = ("linear", "smooth")
_ANIMATED = (".gif", ".webp", ".apng", ".mp4")
_MAX_FRAMES = 10_000


def interpolate(
    ckpt: CheckpointArgument,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="A,B,...", show_default="0,1,2,3; between classes 0",
            help="The seeds to walk through.",
        ),
    ] = None,
    walk: Annotated[
        int | None,
        typer.Option(
            "--walk", metavar="N", show_default=False,
            help="Walk through N random seeds instead of --seeds.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", show_default="0", help="Random seed for --walk."),
    ] = None,
    corners: Annotated[
        str | None,
        typer.Option(
            "--corners", metavar="A,B,C,D", show_default=False,
            help="A square sheet between four seeds, instead of a walk: top left, top right, "
            "bottom left, bottom right.",
        ),
    ] = None,
    of_classes: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="A,B,...", show_default="each seed's own",
            autocompletion=completion.classes,
            help="The class of all, or one for each seed, by names or numbers. One seed goes "
            "through several classes.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", metavar="N", show_default="8 in a .png, 24 in an animation",
            help="Steps from one seed to the next.",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            "--mode", metavar="slerp|lerp",
            help="slerp: along the hypersphere; lerp: a straight line.",
        ),
    ] = "slerp",
    ease: Annotated[
        str,
        typer.Option(
            "--ease", metavar="linear|smooth", help="smooth: ease in and out at each seed."
        ),
    ] = "linear",
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first seed.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="OUT", show_default="walk.gif; sheet.png with --corners",
            help="A .png (a strip or a sheet); a .gif, .webp, .apng, or .mp4 (extra 'video').",
        ),
    ] = None,
    fps: Annotated[
        int, typer.Option("--fps", metavar="N", help="Frames per second of an animation.")
    ] = 25,
    truncation: TruncationOption = 1.0,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Walk through latent space from seed to seed; each seed's picture is the one `sample` gives.

    Examples:

    ganctl interpolate runs/mnist-fast --seeds 3,7,12 --loop -o walk.gif

    ganctl interpolate runs/mnist-fast --class 3,8 -o strip.png

    ganctl interpolate ckpt.pt --walk 8 --seed 3 --ease smooth --loop -o walk.mp4

    ganctl interpolate ckpt.pt --corners 0,1,2,3 --class 3 -o sheet.png
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    out = out or Path("walk.gif" if corners is None else "sheet.png")
    suffix = check_suffix(out, (".png", *_ANIMATED) if corners is None else (".png",))
    check_upscale(upscale)
    check_truncation(truncation)
    _refuse_together({"--seeds": seeds, "--walk": walk, "--corners": corners})
    if corners is not None and loop:
        raise UsageError("a sheet has no --loop", "Leave out --loop, or --corners.")
    if seed is not None and walk is None:
        raise UsageError("--seed is for --walk only", "For example: --walk 8 --seed 3")
    stops = None
    if seeds is not None or corners is not None:
        stops = parse_seeds(seeds or corners or "")
    if corners is not None and len(stops or ()) != 4:
        raise UsageError(f"--corners must be four seeds, not {len(stops or ())}")
    if stops is not None and len(stops) < 2 and of_classes is None:
        raise UsageError("a walk needs at least two seeds", "For example: --seeds 3,7")
    if walk is not None and not 2 <= walk <= _MAX_FRAMES:
        raise UsageError(f"--walk must be 2 to {_MAX_FRAMES:,}, not {walk}")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed must be 0 to {MAX_SEED}, not {seed}")
    for name, word, known in (("mode", mode, _MODES), ("easing", ease, _EASINGS)):
        if word not in known:
            raise UsageError(f"unknown {name} '{word}'", nearest(word, known))
    if not 1 <= fps <= 50:
        raise UsageError(f"--fps must be 1 to 50, not {fps}")
    steps = frames if frames is not None else 8 if suffix == ".png" else 24
    if steps < 1:
        raise UsageError(f"--frames must be at least 1, not {steps}")

    with terminal.progress() as progress:
        from ganctl import files, images, latents, videos
        from ganctl.classes import find_several
        from ganctl.model import load
        from ganctl.samples import Walk

        if suffix == ".mp4":
            videos.require_encoder()
        if walk is not None:
            stops = latents.random_seeds(walk, seed or 0)
        model = load(ckpt, ema=ema)
        chosen = None if of_classes is None else find_several(of_classes, model.require_classes())
        stops, labels = model.keyframes(stops, chosen)
        names = None if labels is None else [model.classes[label] for label in labels]
        length = (
            latents.num_frames(len(stops), steps, loop=loop)
            if corners is None
            else (steps + 1) ** 2
        )
        if length > _MAX_FRAMES:
            kind = "walk" if corners is None else "sheet"
            raise UsageError(
                f"a {kind} of {length:,} images is too large ({_MAX_FRAMES:,} at most)",
                "Give a smaller --frames" + (", or fewer seeds." if corners is None else "."),
            )
        upscale = upscale or images.preview_factor(model.network.height)
        require_room(length, model.network, upscale)
        progress("drawing frames", 0, length)
        if corners is not None:
            drawn = model.sheet(stops, classes=labels, frames=steps, mode=mode, ease=ease,
                                truncation=truncation)  # fmt: skip
        else:
            drawn = model.interpolate(stops, classes=labels, frames=steps, mode=mode, ease=ease,
                                      loop=loop, truncation=truncation)  # fmt: skip
        progress("drawing frames", length, length)
        progress("writing frames", 0, length)
        if isinstance(drawn, Walk) and suffix in _ANIMATED:
            content = drawn.animation(suffix[1:], fps=fps, upscale=upscale)
        else:
            text = {"seeds": ",".join(map(str, stops)), "mode": mode}
            if names:
                text["classes"] = listed(names)
            if truncation < 1:
                text["truncation"] = f"{truncation:g}"
            content = images.png(drawn.picture(upscale=upscale), {**model.text, **text})
        files.clear_abandoned(out.parent)
        files.write_atomic(out, content)
    if json:
        terminal.document(
            {
                "out": str(out),
                "kind": suffix[1:],
                "sheet": corners is not None,
                "seeds": stops,
                "classes": labels,
                "class_names": names,
                "mode": mode,
                "ease": ease,
                "loop": loop,
                "truncation": truncation,
                "frames": len(drawn),
                "ema": model.ema,
                "checkpoint": str(model.path),
                "digest": model.digest,
            }
        )
        return
    route = f"seeds {_route(stops, loop)}" if len(set(stops)) > 1 else f"seed {stops[0]}"
    if corners is not None:
        route = f"between seeds {', '.join(map(str, stops))}"
    if names:
        several = len(set(names)) > 1
        between = ", ".join(names) if corners is not None else _route(names, loop)
        route += f", classes {between}" if several else f", class {names[0]}"
    what = counted(len(drawn), "image" if corners is not None else "frame")
    terminal.result(f"{out}: {what}, {route} ({mode})")


def _refuse_together(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"give either {given[0]} or {given[1]}")


def _route(stops: Sequence[object], loop: bool) -> str:
    return " → ".join(map(str, [*stops, stops[0]] if loop else stops))
