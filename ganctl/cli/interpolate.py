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
    UpscaleOption,
    check_suffix,
    check_upscale,
    parse_seeds,
)
from ganctl.cli.terminal import Terminal, pasteable
from ganctl.errors import UsageError, listed, nearest

_MODES = ("slerp", "lerp")
_VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")
_MAX_FRAMES = 10_000
_SEEDS = (0, 1, 2, 3)


def interpolate(
    ckpt: CheckpointArgument,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="A,B,...", show_default="0,1,2,3; between classes 0",
            help="The seeds to walk through.",
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
            "--frames", metavar="N", show_default="8 in a strip, 24 in an animation",
            help="Steps from one seed to the next.",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option("--mode", metavar="slerp|lerp", help="Along the sphere, or straight through."),
    ] = "slerp",
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first seed.")] = False,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT",
            help="A .png (a strip), a .gif or a .webp (an animation).",
        ),
    ] = Path("walk.gif"),
    fps: Annotated[
        int, typer.Option("--fps", metavar="N", help="Frames a second in an animation.")
    ] = 25,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Walk through latent space from seed to seed; each seed's picture is the one `sample` gives.

    Examples:

    ganctl interpolate runs/mnist-fast --seeds 3,7,12 --loop -o walk.gif

    ganctl interpolate runs/mnist-fast --class 3,8 -o strip.png

    ganctl interpolate ckpt.pt --seeds 0,1 --frames 10 -o strip.png
    """
    terminal = Terminal(json_wanted=json)
    if out.suffix.lower() in _VIDEOS:
        raise UsageError(
            f"{out.suffix[1:]} is not supported: ganctl writes no videos",
            f"Make an animation, .gif or .webp: -o {pasteable(out.with_suffix('.gif'))}",
        )
    suffix = check_suffix(out, (".png", ".gif", ".webp"))
    check_upscale(upscale)
    stops = None if seeds is None else parse_seeds(seeds)
    if stops is not None and len(stops) < 2 and of_classes is None:
        raise UsageError("a walk needs at least two seeds", "For example: --seeds 3,7")
    if mode not in _MODES:
        raise UsageError(f"unknown mode '{mode}'", nearest(mode, _MODES))
    if not 1 <= fps <= 50:
        raise UsageError(f"--fps must be 1 to 50, not {fps}")
    steps = frames if frames is not None else 8 if suffix == ".png" else 24
    if steps < 1:
        raise UsageError(f"--frames must be at least 1, not {steps}")
    _check_length(steps * len(stops or ()))

    from ganctl import files, images, latents
    from ganctl.classes import find_several
    from ganctl.cli.loading import load_generator, require_room
    from ganctl.sampling import inputs_of, sample_latents

    loaded = load_generator(ckpt, ema)
    labels = None
    if of_classes is not None:
        labels = find_several(of_classes, loaded.require_classes())
    stops, labels = _keyframes(stops, labels)
    names = None if labels is None else [loaded.classes[label] for label in labels]
    length = steps * len(stops)
    _check_length(length)
    upscale = upscale or images.preview_factor(loaded.network.height)
    require_room(length, loaded.network, upscale)
    points = latents.path(
        inputs_of(stops, loaded.network, labels), loaded.network.latent_dim,
        frames=steps, mode=mode, loop=loop,
    )  # fmt: skip
    pictures = images.concatenate(
        images.enlarge(chunk, upscale) for chunk in sample_latents(loaded.generator, points)
    )
    if suffix == ".png":
        text = {"seeds": ",".join(map(str, stops)), "mode": mode}
        if names:
            text["classes"] = listed(names)
        content = images.png(images.strip(pictures), {**loaded.text, **text})
    else:
        content = images.animation(list(pictures), suffix[1:], milliseconds=round(1000 / fps))
    files.clear_abandoned(out.parent)
    files.write_atomic(out, content)
    if json:
        terminal.document(
            {
                "out": str(out),
                "kind": suffix[1:],
                "seeds": stops,
                "classes": labels,
                "class_names": names,
                "mode": mode,
                "loop": loop,
                "frames": len(points),
                "ema": loaded.ema,
                "checkpoint": str(loaded.path),
                "digest": loaded.digest,
            }
        )
    else:
        route = f"seeds {_route(stops, loop)}" if len(set(stops)) > 1 else f"seed {stops[0]}"
        if names:
            several = len(set(names)) > 1
            route += f", classes {_route(names, loop)}" if several else f", class {names[0]}"
        terminal.result(f"{out}: {len(points)} frames, {route} ({mode})")


def _keyframes(
    seeds: list[int] | None, labels: list[int] | None
) -> tuple[list[int], list[int] | None]:
    """The seed and the class of each keyframe; no classes: each seed has its own.

    Raises UsageError where there are neither as many classes as seeds, nor one of either.
    """
    if labels is None:
        return seeds or [*_SEEDS], None
    if seeds is None:
        seeds = [*_SEEDS] if len(labels) == 1 else [_SEEDS[0]]
    count = max(len(seeds), len(labels))
    if count < 2:
        raise UsageError(
            "a walk needs at least two seeds or two classes", "For example: --seeds 3,7"
        )
    if len(seeds) not in (1, count) or len(labels) not in (1, count):
        raise UsageError(
            f"{len(labels)} classes do not fit {len(seeds)} seeds",
            "Name one class, or one for each seed, or a single seed: --seeds 3",
        )
    return seeds * (count // len(seeds)), labels * (count // len(labels))


def _check_length(length: int) -> None:
    if length > _MAX_FRAMES:
        raise UsageError(f"a walk of {length} frames is too long ({_MAX_FRAMES} at most)")


def _route(stops: Sequence[object], loop: bool) -> str:
    return " → ".join(map(str, [*stops, stops[0]] if loop else stops))
