"""ganctl sample: images from a checkpoint."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    MAX_LISTED,
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
from ganctl.errors import UsageError, listed

if TYPE_CHECKING:
    import numpy as np

    from ganctl.cli.loading import Loaded
    from ganctl.images import Pixels
    from ganctl.sampling import Labels

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
            "--seeds", metavar="LIST", show_default=False, autocompletion=completion.seeds,
            help="These seeds, for example 0-15,40."
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "-o", "--out", metavar="OUT",
            help="A .png (a grid), an .npz (arr_0, uint8 (N, H, W, C); with --per-class labels and "
            "classes, too), or a folder: it exists or ends in / (one PNG a sample).",
        ),
    ] = "samples.png",
    of_class: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME|K", show_default="each seed's own",
            autocompletion=completion.classes,
            help="All of this class, by its name or number, where the run knows classes.",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(
            "--per-class", metavar="N", show_default=False,
            help="N of each class, a row each in a grid: the same N seeds in every class.",
        ),
    ] = None,
    ema: EmaOption = None,
    upscale: UpscaleOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Draw samples. A seed's picture is the same whatever else is drawn beside it.

    Examples:

    ganctl sample runs/mnist-fast -n 100 -o grid.png

    ganctl sample runs/mnist-fast --class 7 -o sevens.png

    ganctl sample runs/mnist-fast --per-class 8 -o classes.png

    ganctl sample ckpt.pt --seeds 3,7,20-29 -o picked/
    """
    terminal = Terminal(json_wanted=json)
    if per_class is not None:
        _refuse_beside_per_class({"-n": num, "--seeds": seeds, "--class": of_class})
        num = per_class
    wanted = _wanted_seeds(num, seed, seeds, "-n" if per_class is None else "--per-class")
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
    _check_grid(kind, len(wanted))

    from ganctl import files, images
    from ganctl.cli.loading import load_generator, require_room
    from ganctl.sampling import sample_seeds

    loaded = load_generator(ckpt, ema)
    plan = _plan(loaded, wanted, of_class, per_class)
    total, names = len(plan.seeds), loaded.classes
    _check_grid(kind, total)
    upscale = upscale or (images.preview_factor(loaded.network.height) if kind == ".png" else 1)
    if kind == ".png":
        require_room(total, loaded.network, upscale)
    chunks = (
        images.enlarge(chunk, upscale)
        for chunk in sample_seeds(loaded.generator, plan.seeds, loaded.network, plan.labels)
    )
    files.clear_abandoned(path if kind == "folder" else path.parent)
    if kind == "folder":
        files.make_folder(path)
        for seed, number, picture in plan.one_by_one(chunks):
            # By number: what a class is called need not be the name of a file.
            prefix = "" if per_class is None else f"class-{number:03d}-"
            text = {"seeds": str(seed), **({} if number is None else {"class": names[number]})}
            content = images.png(picture, {**loaded.text, **text})
            files.write_atomic(path / f"{prefix}seed-{seed:06d}.png", content)
    elif kind == ".npz":
        height, width = loaded.network.height * upscale, loaded.network.width * upscale
        shape = (total, height, width, loaded.network.channels)
        with files.atomic_writer(path) as file:
            images.write_npz(file, chunks, shape, plan.arrays(names) if per_class else {})
    else:
        picture = images.grid(images.concatenate(chunks), columns=per_class)
        text = {"seeds": _ranges(wanted)}
        if plan.label is not None:
            text["class"] = names[plan.label]
        elif per_class:
            text["classes"] = listed(names)
        files.write_atomic(path, images.png(picture, {**loaded.text, **text}))
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
        which = f", {per_class} of each of {count(len(names), 'class', 'classes')}"
    terminal.result(
        f"{path}: {count(total, 'sample')}{which}, "
        f"seeds {_ranges(wanted)} ({weights}, step {loaded.step:,})"
    )
    if per_class:
        terminal.result(f"classes, row by row: {listed(names)}")


@dataclass(frozen=True)
class _Plan:
    """What is drawn: each picture's seed and its class, None where each seed has its own."""

    seeds: Sequence[int]
    labels: Labels | None = None
    label: int | None = None
    """The class of all, if it is one."""

    def one_by_one(self, chunks: Iterator[Pixels]) -> Iterator[tuple[int, int | None, Pixels]]:
        """Each picture's seed, class and pixels."""
        numbers = itertools.repeat(None) if self.labels is None else map(int, self.labels)
        pictures = itertools.chain.from_iterable(chunks)
        yield from zip(self.seeds, numbers, pictures, strict=False)

    def arrays(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """For an .npz, so that it can be trained on."""
        import numpy as np

        return {"labels": np.asarray(self.labels), "classes": np.array(names)}


def _plan(
    loaded: Loaded, wanted: Sequence[int], of_class: str | None, per_class: int | None
) -> _Plan:
    import numpy as np

    from ganctl.classes import find

    if per_class is not None:
        rows = len(loaded.require_classes())
        if rows * per_class > MAX_LISTED:
            raise UsageError(f"{per_class} of each of {rows} classes are more than {MAX_LISTED:,}")
        return _Plan([*wanted] * rows, np.repeat(np.arange(rows), per_class))
    if of_class is not None:
        label = find(of_class, loaded.require_classes())
        # However many there are, it takes no memory.
        return _Plan(wanted, np.broadcast_to(np.int64(label), len(wanted)), label)
    return _Plan(wanted)


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
