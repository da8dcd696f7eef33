"""ganctl sample: images from a checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    MAX_LISTED,
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
from ganctl.text import counted, listed

if TYPE_CHECKING:
    from ganctl.cli.drawn import Plan
    from ganctl.datasets.base import Progress
    from ganctl.images import Pixels
    from ganctl.model import Model

_MAX_GRID = 10_000


def sample(
    ckpt: CheckpointArgument,
    num: Annotated[
        int | None,
        typer.Option("-n", "--num", metavar="N", help="Number of samples.", show_default="16"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="S", show_default="0",
            help="Seed of the first sample; the next ones are S+1, S+2, ...",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="LIST", show_default=False, autocompletion=completion.seeds,
            help="Draw these seeds, for example 0-15,40."
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "-o", "--out", metavar="OUT",
            help="A .png (a grid); an .npz (arr_0, uint8 (N, H, W, C), with seeds and, if there "
            "are classes, labels and classes); or a folder, which exists or ends in / (one PNG per "
            "sample, with --per-class in one folder per class).",
        ),
    ] = "samples.png",
    of_class: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME|K", show_default="each seed's own",
            autocompletion=completion.classes,
            help="Draw this class only, by its name or number (conditional runs).",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(
            "--per-class", metavar="N", show_default=False,
            help="N samples of each class, from the same N seeds: a row per class in a grid.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--grid", metavar="CxR", show_default="as square as can be",
            help="Columns and rows of the grid, such as 8x4; also the number of samples.",
        ),
    ] = None,
    label_seeds: Annotated[
        bool, typer.Option("--label-seeds", help="Write each sample's seed below it in the grid.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace the samples of an earlier call in the folder."),
    ] = False,
    truncation: TruncationOption = 1.0,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Draw samples. A seed's picture is the same whatever else is drawn beside it.

    Examples:

    ganctl sample runs/mnist-fast -n 100 -o grid.png

    ganctl sample runs/mnist-fast --class 7 -o sevens.png

    ganctl sample runs/mnist-fast --per-class 8 -o classes.png

    ganctl sample ckpt.pt --seeds 3,7,20-29 -o picked/

    ganctl sample runs/mnist-fast --grid 8x4 --label-seeds --truncation 0.7 -o typical.png
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if per_class is not None:
        _refuse_beside_per_class({"-n": num, "--seeds": seeds, "--class": of_class})
        num = per_class
    columns, rows = (None, None) if layout is None else _parse_grid(layout)
    if columns and rows:
        if per_class is not None:
            raise UsageError("give either --per-class or --grid", "Each class has a row already.")
        _check_grid(".png", columns * rows)
        num = columns * rows if num is None and seeds is None else num
    check_truncation(truncation)
    wanted = _wanted_seeds(num, seed, seeds, "-n" if per_class is None else "--per-class")
    if not out:
        raise UsageError("-o needs a file or a folder")
    path = Path(out)
    kind = "folder" if _is_folder(out) else check_suffix(path, (".png", ".npz"), folder_too=True)
    check_upscale(upscale)
    is_listed = not isinstance(wanted, range)  # of which there can be any number
    if kind == "folder" and is_listed and len(set(wanted)) < len(wanted):
        raise UsageError(
            "--seeds names a seed twice, and a folder holds one file a seed",
            "Name each seed once, or draw a grid: -o samples.png",
        )
    for option, given in (("--grid", layout is not None), ("--label-seeds", label_seeds)):
        if given and kind != ".png":
            raise UsageError(f"{option} is for a picture", "Write one: -o samples.png")
    if columns and rows and len(wanted) > columns * rows:
        raise UsageError(f"{len(wanted)} samples do not fit --grid {columns}x{rows}")
    _check_grid(kind, len(wanted))

    with terminal.progress() as progress:
        from ganctl import files, images
        from ganctl.cli import drawn
        from ganctl.model import load

        loaded = load(ckpt, ema=ema)
        plan = _plan(loaded, wanted, of_class, per_class)
        total, names = len(plan.seeds), loaded.classes
        _check_grid(kind, total)
        upscale = upscale or (images.preview_factor(loaded.network.height) if kind == ".png" else 1)
        if kind == ".png":
            require_room(max(total, (columns or 0) * (rows or 0)), loaded.network, upscale)
        chunks = (
            images.enlarge(chunk, upscale)
            for chunk in _counted(
                loaded.chunks(plan.seeds, plan.labels, truncation), total, progress
            )
        )
        made = loaded.text | ({"truncation": f"{truncation:g}"} if truncation < 1 else {})
        files.clear_abandoned(path if kind == "folder" else path.parent)
        folders: list[str] = []
        if kind == "folder":
            folders = drawn.write_folder(path, chunks, plan, made, force=force)
        elif kind == ".npz":
            drawn.write_array(path, chunks, plan, loaded.network, upscale)
        else:
            pictures = images.concatenate(chunks)
            if label_seeds:
                pictures = images.captioned(pictures, [str(seed) for seed in plan.seeds])
            picture = images.grid(pictures, columns=columns or per_class, rows=rows)
            text = {"seeds": _ranges(wanted)}
            if plan.label is not None:
                text["class"] = names[plan.label]
            elif per_class:
                text["classes"] = listed(names)
            files.write_atomic(path, images.png(picture, {**made, **text}))
    if json:
        terminal.document(
            {
                "out": str(path),
                "kind": kind.removeprefix("."),
                "num_samples": total,
                "seeds": _ranges(wanted),
                "class": plan.label,
                "class_name": None if plan.label is None else names[plan.label],
                "per_class": per_class,
                "truncation": truncation,
                "classes": names if per_class else None,
                "ema": loaded.ema,
                "checkpoint": str(loaded.path),
                "digest": loaded.digest,
                "step": loaded.step,
            }
        )
        return
    weights = "moving average" if loaded.ema else "weights as trained"
    which = "" if plan.label is None else f" of class {names[plan.label]}"
    if per_class:
        which = f", {per_class} of each of {counted(len(names), 'class', 'classes')}"
    terminal.result(
        f"{path}: {counted(total, 'sample')}{which}, "
        f"{'seed' if len(wanted) == 1 else 'seeds'} {_ranges(wanted)} "
        f"({weights}, step {loaded.step:,})"
    )
    if per_class:
        where = {".png": "classes, row by row", "folder": "folders, one per class"}
        terminal.result(f"{where.get(kind, 'classes')}: {listed(folders or names)}")


def _counted(chunks: Iterable[Pixels], total: int, progress: Progress) -> Iterator[Pixels]:
    """Yield `chunks`, and tell `progress` how many images they have had so far."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress("drawing samples", done, total)


def _plan(
    loaded: Model, wanted: Sequence[int], of_class: str | None, per_class: int | None
) -> Plan:
    import numpy as np

    from ganctl.cli.drawn import Plan

    names = loaded.classes
    if per_class is not None:
        rows = len(loaded.require_classes())
        if rows * per_class > MAX_LISTED:
            raise UsageError(
                f"{per_class:,} of each of {counted(rows, 'class', 'classes')} are more than "
                f"{MAX_LISTED:,}"
            )
        labels = np.repeat(np.arange(rows), per_class)
        return Plan([*wanted] * rows, names, labels, is_per_class=True)
    if of_class is not None:
        numbers = loaded.numbers(of_class, len(wanted))
        return Plan(wanted, names, numbers, None if numbers is None else int(numbers[0]))
    return Plan(wanted, names)


def _parse_grid(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower(), re.ASCII)
    if match is None or not (int(match[1]) and int(match[2])):
        raise UsageError(f"--grid must be columns x rows, as 8x4, not '{text[:40]}'")
    return int(match[1]), int(match[2])


def _refuse_beside_per_class(others: dict[str, object]) -> None:
    for name, value in others.items():
        if value is not None:
            raise UsageError(
                f"give either --per-class or {name}",
                "--per-class 8 draws 8 of every class, seeds 0 to 7; --seed S begins elsewhere.",
            )


def _check_grid(kind: str, num: int) -> None:
    if kind == ".png" and num > _MAX_GRID:
        raise UsageError(
            f"{num} samples are too many for one picture ({_MAX_GRID} at most)",
            "Write them as an array: -o samples.npz",
        )


def _wanted_seeds(
    num: int | None, seed: int | None, seeds: str | None, option: str
) -> Sequence[int]:
    if seeds is not None:
        if num is not None or seed is not None:
            raise UsageError("give either --seeds, or -n and --seed")
        return parse_seeds(seeds)
    count, first = 16 if num is None else num, seed or 0
    if count < 1:
        raise UsageError(f"{option} must be at least 1, not {count}")
    if first < 0 or first + count - 1 > MAX_SEED:
        raise UsageError(f"seeds must be from 0 to {MAX_SEED}")
    return range(first, first + count)


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
