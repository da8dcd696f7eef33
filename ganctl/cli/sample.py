"""ganctl sample: images from a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from ganctl.cli.terminal import Terminal, count
from ganctl.config import MAX_SEED
from ganctl.errors import UsageError

if TYPE_CHECKING:
    from ganctl.cli.loading import Loaded
    from ganctl.images import Pixels

_MAX_GRID = 10_000


def sample(
    ckpt: CheckpointArgument,
    num: Annotated[
        int | None,
        typer.Option("-n", "--num", metavar="N", help="How many.", show_default="16"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="S", show_default="0",
            help="Seed of the first; the next ones are S+1, S+2, ...",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="LIST", show_default=False, help="These seeds, for example 0-15,40."
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "-o", "--out", metavar="OUT",
            help="A .png (a grid), an .npz (arr_0, uint8 (N, H, W, C)), or a folder: it exists or "
            "ends in / (one PNG a sample).",
        ),
    ] = "samples.png",
    label: Annotated[
        int | None,
        typer.Option(
            "--class", metavar="K", show_default="each seed's own",
            help="All of this class, where the run knows classes.",
        ),
    ] = None,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Draw samples. A seed's picture is the same whatever else is drawn beside it.

    Examples:

    ganctl sample runs/mnist-fast -n 100 -o grid.png

    ganctl sample ckpt.pt --seeds 3,7,20-29 -o picked/
    """
    terminal = Terminal(json_wanted=json)
    wanted = _wanted_seeds(num, seed, seeds)
    if not out:
        raise UsageError("-o needs a file or a folder")
    path = Path(out)
    kind = "folder" if _is_folder(out) else check_suffix(path, (".png", ".npz"), folder_too=True)
    check_upscale(upscale)
    if kind == "folder" and len(set(wanted)) < len(wanted):
        raise UsageError(
            "--seeds names a seed twice, and a folder holds one file a seed",
            "Name each seed once, or draw a grid: -o samples.png",
        )
    if kind == ".png" and len(wanted) > _MAX_GRID:
        raise UsageError(
            f"{len(wanted)} samples are too many for one picture ({_MAX_GRID} at most)",
            "Write them as an array: -o samples.npz",
        )

    from ganctl import files, images
    from ganctl.cli.loading import load_generator, require_room
    from ganctl.sampling import sample_seeds

    loaded = load_generator(ckpt, ema)
    _check_class(label, loaded)
    text = {**loaded.text, **({} if label is None else {"class": str(label)})}
    upscale = upscale or (images.preview_factor(loaded.network.height) if kind == ".png" else 1)
    if kind == ".png":
        require_room(len(wanted), loaded.network, upscale)
    chunks = (
        images.enlarge(chunk, upscale)
        for chunk in sample_seeds(loaded.generator, wanted, loaded.network, label)
    )
    files.clear_abandoned(path if kind == "folder" else path.parent)
    if kind == "folder":
        files.make_folder(path)
        _write_folder(path, chunks, wanted, text)
    elif kind == ".npz":
        height, width = loaded.network.height * upscale, loaded.network.width * upscale
        shape = (len(wanted), height, width, loaded.network.channels)
        with files.atomic_writer(path) as file:
            images.write_npz(file, chunks, shape)
    else:
        text["seeds"] = _ranges(wanted)
        files.write_atomic(path, images.png(images.grid(images.concatenate(chunks)), text))
    if json:
        terminal.document(
            {
                "out": str(path),
                "kind": kind.removeprefix("."),
                "num_samples": len(wanted),
                "seeds": _ranges(wanted),
                "class": label,
                "ema": loaded.ema,
                "checkpoint": str(loaded.path),
                "digest": loaded.digest,
                "step": loaded.step,
            }
        )
    else:
        weights = "moving average" if loaded.ema else "weights as trained"
        of_class = "" if label is None else f" of class {label}"
        terminal.result(
            f"{path}: {count(len(wanted), 'sample')}{of_class}, "
            f"seeds {_ranges(wanted)} ({weights}, step {loaded.step:,})"
        )


def _wanted_seeds(num: int | None, seed: int | None, seeds: str | None) -> Sequence[int]:
    if seeds is not None:
        if num is not None or seed is not None:
            raise UsageError("give either --seeds, or -n and --seed")
        return parse_seeds(seeds)
    count, first = 16 if num is None else num, seed or 0
    if count < 1:
        raise UsageError(f"-n must be at least 1, not {count}")
    if first < 0 or first + count - 1 > MAX_SEED:
        raise UsageError(f"seeds must be from 0 to {MAX_SEED}")
    return range(first, first + count)


def _check_class(label: int | None, loaded: Loaded) -> None:
    count = loaded.network.num_classes
    if label is None:
        return
    if not count:
        raise UsageError(
            f"{loaded.path} knows no classes", "Train with --conditional, or leave out --class."
        )
    if not 0 <= label < count:
        raise UsageError(f"--class must be 0 to {count - 1}, not {label}")


def _is_folder(out: str) -> bool:
    separators = ("/", os.sep)
    return out.endswith(separators) or Path(out).is_dir()


def _ranges(seeds: Sequence[int]) -> str:
    """[0, 1, 2, 40] → '0-2,40', what --seeds takes."""
    if isinstance(seeds, range):
        return f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _write_folder(
    folder: Path, chunks: Iterator[Pixels], seeds: Sequence[int], text: dict[str, str]
) -> None:
    from ganctl import files, images

    numbers = iter(seeds)
    for chunk in chunks:
        for picture in chunk:
            seed = next(numbers)
            content = images.png(picture, {**text, "seeds": str(seed)})
            files.write_atomic(folder / f"seed-{seed:06d}.png", content)
