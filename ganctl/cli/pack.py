"""ganctl data pack, ganctl data index: tar shards of images for streaming."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.option_names import pasteable
from ganctl.cli.options import (
    BackgroundOption,
    ChannelsOption,
    FitOption,
    ImageColumnOption,
    ImageKeyOption,
    JsonOption,
    LabelColumnOption,
    QuietOption,
    RangeOption,
    image_settings,
    parse_bytes,
)
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import MAX_SEED
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes

if TYPE_CHECKING:
    from ganctl.datasets.streaming.index import Index


def data_pack(
    path: Annotated[str, typer.Argument(
        metavar="PATH", show_default=False, autocompletion=completion.data,
        help="A folder, .zip, .tar, .npz, .npy or .parquet of images.",
    )],
    out: Annotated[str, typer.Option(
        "-o", "--out", metavar="PATTERN", show_default=False,
        help="Names of the shards, such as 'shards/{000..}.tar'; or in an object store, "
        "'s3://bucket/{000..}.tar'.",
    )],
    shard_size: Annotated[str, typer.Option(
        metavar="SIZE", help="Maximum size of a shard.",
    )] = "256MB",
    per_shard: Annotated[int | None, typer.Option(
        metavar="N", show_default=False, min=1,
        help="Number of images per shard, instead of --shard-size.",
    )] = None,
    seed: Annotated[int, typer.Option(
        metavar="N", help="Random seed of the order of the images.", min=0, max=MAX_SEED,
    )] = 0,
    size_: Annotated[str | None, typer.Option(
        "--size", metavar="N|HxW", show_default="files as they are",
        help="Resize and store as PNGs of this size, in pixels.",
    )] = None,
    channels: ChannelsOption = None,
    fit: FitOption = None,
    background: BackgroundOption = None,
    range_: RangeOption = None,
    image_key: ImageKeyOption = None,
    image_column: ImageColumnOption = None,
    label_column: LabelColumnOption = None,
    skip_bad: Annotated[bool, typer.Option(
        "--skip-bad", help="Leave out files that cannot be used.",
    )] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Write images into tar shards with an index, for training runs that stream them.

    The shards are in WebDataset's format. Files are stored as they are; with --size they are
    decoded, resized and stored as PNGs. Images are shuffled first, so that each shard has all
    classes.

    Examples:

    ganctl data pack photos -o 'shards/{000..}.tar'

    ganctl data pack photos.zip -o 'small/{0000..}.tar' --size 64 --shard-size 1GB
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    shard_bytes = parse_bytes(shard_size)
    if shard_bytes < 1:
        raise UsageError(f"--shard-size must be more than 0 bytes, not {shard_size}")
    settings = image_settings(
        image_size=size_, image_channels=channels, fit=fit, background=background,
        value_range=range_, image_key=image_key, image_column=image_column,
        label_column=label_column,
    )  # fmt: skip
    if settings.size is None and (channels, fit, background, range_) != (None,) * 4:
        raise UsageError(
            "--channels, --fit, --background and --range need --size: files are stored as they are",
            "Add a size, such as --size 64, or leave them out.",
        )

    with terminal.progress() as progress:
        from ganctl.datasets import loading
        from ganctl.datasets.streaming import packing

        if path in loading.NAMES:
            raise UsageError(
                f"{path} cannot be packed: it is a built-in dataset",
                f"Train on it by its name: ganctl train --data {path}",
            )
        pattern = packing.Pattern.parse(out)
        packed = packing.pack(
            loading.resolve(path), pattern, settings=settings, shard_bytes=shard_bytes,
            per_shard=per_shard, seed=seed, skip_bad=skip_bad, progress=progress,
        )  # fmt: skip
    terminal.notes(packed.notices())
    for problem in packed.left_out:
        terminal.note(f"Left out: {problem.name}: {problem.reason}")
    _show(packed.index, terminal, left_out=[vars(problem) for problem in packed.left_out])


def data_index(
    shards: Annotated[str, typer.Argument(
        metavar="SHARDS", show_default=False, autocompletion=completion.data,
        help="One folder's tar shards, as 'shards/{000..127}.tar'.",
    )],
    image_key: ImageKeyOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Scan existing WebDataset shards once and write the index.json needed to stream them.

    The index is written beside the shards, and holds the names of their classes.

    Examples:

    ganctl data index 'shards/{000..127}.tar'
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)

    with terminal.progress() as progress:
        from ganctl.datasets.streaming import indexing

        index = indexing.index_shards(shards, progress, image_key)
    _show(index, terminal)


def _show(index: Index, terminal: Terminal, **more: object) -> None:
    from ganctl.datasets.local.survey import describe_classes

    if terminal.json_wanted:
        terminal.document({**index.summary(), **more})
        return
    terminal.notes(index.notes)
    classes = describe_classes(len(index.classes), index.labels_from)
    terminal.result(
        f"{counted(index.num_images, 'image')} in {counted(len(index.shards), 'shard')}, "
        f"{in_bytes(index.num_bytes)}{classes}: {index.address}"
    )
    address = index.address if "://" in index.address else pasteable(Path(index.address))
    terminal.result(f"  ganctl train --data {address}")
