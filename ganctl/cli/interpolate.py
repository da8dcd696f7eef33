"""ganctl interpolate: a walk through latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from ganctl.errors import UsageError, nearest

_MODES = ("slerp", "lerp")
_VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")
_MAX_FRAMES = 10_000


def interpolate(
    ckpt: CheckpointArgument,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A,B,...", help="The seeds to walk through.")
    ] = "0,1,2,3",
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
    stops = parse_seeds(seeds)
    if len(stops) < 2:
        raise UsageError("a walk needs at least two seeds", "For example: --seeds 3,7")
    if mode not in _MODES:
        raise UsageError(f"unknown mode '{mode}'", nearest(mode, _MODES))
    if not 1 <= fps <= 50:
        raise UsageError(f"--fps must be 1 to 50, not {fps}")
    steps = frames if frames is not None else 8 if suffix == ".png" else 24
    if steps < 1:
        raise UsageError(f"--frames must be at least 1, not {steps}")
    length = steps * len(stops)
    if length > _MAX_FRAMES:
        raise UsageError(f"a walk of {length} frames is too long ({_MAX_FRAMES} at most)")

    from ganctl import files, images, latents
    from ganctl.cli.loading import load_generator, require_room
    from ganctl.sampling import inputs_of, sample_latents

    loaded = load_generator(ckpt, ema)
    upscale = upscale or images.preview_factor(loaded.network.height)
    require_room(length, loaded.network, upscale)
    points = latents.path(
        inputs_of(stops, loaded.network), loaded.network.latent_dim,
        frames=steps, mode=mode, loop=loop,
    )  # fmt: skip
    pictures = images.concatenate(
        images.enlarge(chunk, upscale) for chunk in sample_latents(loaded.generator, points)
    )
    if suffix == ".png":
        content = images.png(images.strip(pictures), {**loaded.text, "seeds": seeds, "mode": mode})
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
                "mode": mode,
                "loop": loop,
                "frames": len(points),
                "ema": loaded.ema,
                "checkpoint": str(loaded.path),
                "digest": loaded.digest,
            }
        )
    else:
        route = " → ".join(map(str, [*stops, stops[0]] if loop else stops))
        terminal.result(f"{out}: {len(points)} frames, seeds {route} ({mode})")
