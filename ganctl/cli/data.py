"""ganctl data: check images before training and show how they are preprocessed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    AugmentOption,
    BackgroundOption,
    ChannelsOption,
    FitOption,
    HoldoutOption,
    ImageColumnOption,
    ImageKeyOption,
    JsonOption,
    LabelColumnOption,
    QuietOption,
    RangeOption,
    SizeOption,
    check_suffix,
    data_config,
)
from ganctl.cli.survey import show_survey
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes


def data(
    path: Annotated[str | None, typer.Argument(
        metavar="PATH|NAME", show_default=False, help="As train's --data takes it.",
        autocompletion=completion.data,
    )] = None,
    size_: SizeOption = None,
    channels: ChannelsOption = None,
    fit: FitOption = None,
    background: BackgroundOption = None,
    range_: RangeOption = None,
    image_key: ImageKeyOption = None,
    image_column: ImageColumnOption = None,
    label_column: LabelColumnOption = None,
    holdout: HoldoutOption = None,
    augment: AugmentOption = None,
    skip_bad: Annotated[bool, typer.Option(
        "--skip-bad", help="Report unusable files, but exit with 0.",
    )] = False,
    out: Annotated[Path | None, typer.Option(
        "-o", "--out", metavar="OUT", help="File of the sheet, a .png.",
        show_default="contact-sheet.png, or augmented.png with --augment",
    )] = None,
    clear_cache: Annotated[bool, typer.Option(
        "--clear-cache", help="Remove all decoded images from the cache.",
    )] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Check every image before training and draw a contact sheet of the preprocessed images.

    The exit code is 1 if files would stop a training run; they are listed, with the reason. The
    images are decoded once: a training run with the same options starts at once.

    With --augment the sheet shows instead how the discriminator sees augmented images: each row is
    one image, unchanged and then augmented six times.

    Two further commands prepare images for streaming: 'ganctl data pack' writes them into tar
    shards, and 'ganctl data index' indexes shards that exist. Each has a --help of its own.

    Examples:

    ganctl data photos

    ganctl data photos.zip --size 64 --fit pad --background black -o sheet.png

    ganctl data photos --augment auto -o augmented.png

    ganctl data pack photos -o 'shards/{000..}.tar'

    ganctl data --clear-cache
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if clear_cache:
        if path is not None:
            raise UsageError("--clear-cache takes no path: it clears the whole cache")
        _clear_cache(terminal)
        return
    if path is None:
        raise UsageError(
            "missing argument: a folder, an archive or the name of a dataset",
            "For example: ganctl data photos",
        )
    out = out or Path("augmented.png" if augment else "contact-sheet.png")
    check_suffix(out, (".png",))
    config = data_config(
        image_size=size_, image_channels=channels, fit=fit, background=background,
        value_range=range_, image_key=image_key, image_column=image_column,
        label_column=label_column, holdout=holdout, augment=augment,
    )  # fmt: skip

    with terminal.progress() as progress:
        from ganctl import files, images, private_folders
        from ganctl.datasets import loading
        from ganctl.datasets.detection import require_range_used
        from ganctl.datasets.local.loading import require_usable
        from ganctl.datasets.local.paths import require_apart

        path = loading.resolve(path)
        require_apart(path, out)
        terminal.notes(private_folders.notices())
        prepared = loading.prepare(path, config.image_settings, progress=progress).hold_out(config)
        survey, augmented = prepared.survey, None
        require_range_used(config.value_range, is_used=survey.found_range is not None)
        if survey.num_images:
            if augment:
                from ganctl.training import augmented_sheet

                augmented = augmented_sheet.draw(prepared, config)
                picture = augmented.picture
            else:
                chosen, columns = prepared.examples()
                picture = images.sheet((prepared.images[index] for index in chosen), columns)
            files.write_atomic(out, images.png(picture))
    if json:
        terminal.document({
            "path": path, **survey.to_dict(),
            "num_training": prepared.num_training, "num_held_out": prepared.num_held_out,
            "image_shape": [*prepared.images.shape[3:], *prepared.images.shape[1:3]],
            "digest": prepared.digest,
            "contact_sheet": str(out) if survey.num_images and not augment else None,
            "augmented_sheet": augmented and {"path": str(out), **augmented.facts()},
        })  # fmt: skip
    else:
        show_survey(prepared, out, augmented, terminal)
    require_usable(prepared, skip_bad=skip_bad, is_listed=True)


def _clear_cache(terminal: Terminal) -> None:
    from ganctl.datasets.local import cache

    removed, in_use = cache.clear()
    if terminal.json_wanted:
        terminal.document({"removed_bytes": removed, "in_use": in_use})
        return
    terminal.result(f"Removed {in_bytes(removed)} of decoded images from {cache.folder()}.")
    if in_use:
        sets = counted(in_use, "set of images that is", "sets of images that are")
        terminal.result(f"Kept {sets} in use by a running ganctl process.")
