"""ganctl data: what images there are, and what networks will see of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import (
    BackgroundOption,
    ChannelsOption,
    FitOption,
    ImageKeyOption,
    JsonOption,
    QuietOption,
    SizeOption,
    check_suffix,
    image_settings,
)
from ganctl.cli.terminal import Terminal
from ganctl.config import presets, schema
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ganctl.datasets.local.loading import Prepared
    from ganctl.datasets.local.survey import Survey

_SHOWN = 50
"""Files named on the screen; --json names all."""
_MAX_CLASSES = 50
_BAR = 30


def data(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH|NAME", show_default=False, help="As train's --data takes it.",
            autocompletion=completion.data,
        ),
    ] = None,
    size_: SizeOption = None,
    channels: ChannelsOption = None,
    fit: FitOption = None,
    background: BackgroundOption = None,
    image_key: ImageKeyOption = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Report unusable files, but exit with 0.")
    ] = False,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="File of the contact sheet, a .png.")
    ] = Path("contact-sheet.png"),
    clear_cache: Annotated[
        bool,
        typer.Option("--clear-cache", help="Remove all decoded images from the cache."),
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Check every image before training and draw a contact sheet of the preprocessed images.

    The exit code is 1 if files would stop a training run; they are listed, with the reason. The
    images are decoded once: a training run with the same options starts at once.

    Two further commands prepare images for streaming: 'ganctl data pack' writes them into tar
    shards, and 'ganctl data index' indexes shards that exist. Each has a --help of its own.

    Examples:

    ganctl data photos

    ganctl data photos.zip --size 64 --fit pad --background black -o sheet.png

    ganctl data pack photos -o 'shards/{000..}.tar'

    ganctl data index 'shards/{000..127}.tar'

    ganctl data --clear-cache
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if clear_cache:
        if path is not None:
            raise UsageError("--clear-cache takes no path: it removes what is stored of all images")
        _clear_cache(terminal)
        return
    if path is None:
        raise UsageError(
            "missing argument: a folder, an archive or the name of a data set",
            "For example: ganctl data photos",
        )
    check_suffix(out, (".png",))
    changes = image_settings(size_, channels, fit, background, image_key)
    settings = schema.override(presets.preset(presets.DEFAULT_PRESET), changes).images

    with terminal.progress() as progress:
        from ganctl import places
        from ganctl.datasets import loading
        from ganctl.datasets.local.loading import require_usable
        from ganctl.datasets.local.paths import require_apart

        path = loading.resolve(path)
        require_apart(path, out)
        terminal.notes(places.notices())
        prepared = loading.prepare(path, settings, progress=progress)
    survey = prepared.survey
    if survey.num_images:
        _draw(prepared, out)
    if json:
        terminal.document(
            {
                "path": path,
                **survey.to_dict(),
                "image_shape": [*prepared.images.shape[3:], *prepared.images.shape[1:3]],
                "digest": prepared.digest,
                "contact_sheet": str(out) if survey.num_images else None,
            }
        )
    else:
        _show(prepared, out, terminal)
    require_usable(prepared, skip_bad=skip_bad, is_listed=True)


def _clear_cache(terminal: Terminal) -> None:
    from ganctl.datasets.local import cache

    removed, in_use = cache.clear()
    if terminal.json_wanted:
        terminal.document({"removed_bytes": removed, "in_use": in_use})
        return
    terminal.result(f"Removed {in_bytes(removed)} of decoded images from {cache.folder()}.")
    if in_use:
        terminal.result(f"Left {in_use:,} in place that a training or another ganctl is using.")


def _draw(prepared: Prepared, out: Path) -> None:
    from ganctl import files, images

    chosen, columns = prepared.examples()
    factor = images.preview_factor(prepared.images.shape[1])
    picture = images.grid(images.enlarge(prepared.images[chosen], factor), columns)
    files.write_atomic(out, images.png(picture))


def _show(prepared: Prepared, out: Path, terminal: Terminal) -> None:
    survey = prepared.survey
    terminal.heading(prepared.path)
    rows = [("images", f"{survey.num_images:,} of {counted(survey.num_files, 'file')}")]
    if survey.num_images:
        sizes = _counts(survey.sizes)
        others = survey.num_sizes - len(survey.sizes)
        rows += [
            ("formats", _counts(survey.formats)),
            ("modes", _counts(survey.modes)),
            ("sizes, width x height", sizes + (f", {others:,} others" if others else "")),
            ("training size", f"{prepared.training_size}, {survey.settings.fit}"),
        ]
        if survey.labels_from:
            rows.append(("classes from", survey.labels_from))
        if survey.num_held_out:
            rows.append(("held out", f"{survey.num_held_out:,}"))
        if survey.num_enlarged:
            rows.append(("enlarged to that", f"{survey.num_enlarged:,}"))
        rows.append(("contact sheet", str(out)))
    terminal.table(("", ""), rows, left=2)
    for note in survey.notes:
        terminal.result(note)
    if survey.num_images:
        _show_histogram(survey, terminal)
    if survey.classes:
        _show_classes(survey.classes, terminal)
    _show_files(
        "cannot be used", ((problem.name, problem.reason) for problem in survey.problems), terminal
    )
    _show_files(
        "several pages or frames, the first is used",
        ((name, f"{number:,}") for name, number in survey.remarks.frames), terminal,
    )  # fmt: skip
    _show_files(
        "JPEGs without their last bytes, used",
        ((name, "") for name in survey.remarks.lacking_end), terminal,
    )  # fmt: skip
    _show_files(
        "the same as another, and used",
        ((name, f"is {first}") for name, first in survey.duplicates), terminal,
    )  # fmt: skip
    _show_files(
        "other files", ((problem.name, problem.reason) for problem in survey.ignored), terminal
    )
    for line in survey.remarks.messages():
        terminal.note(line)


def _show_histogram(survey: Survey, terminal: Terminal) -> None:
    terminal.heading("short sides, in pixels")
    rows = survey.histogram()
    most = max(count for _, count in rows)
    terminal.table(
        ("", "images", ""),
        [(name, f"{n:,}", ("█" * -(-_BAR * n // most)).ljust(_BAR)) for name, n in rows],
        left=0,
    )


def _show_classes(classes: Mapping[str, int], terminal: Terminal) -> None:
    terminal.heading(counted(len(classes), "class", "classes"))
    rows = [(name, f"{number:,}") for name, number in classes.items()]
    terminal.table(("", "images"), rows[:_MAX_CLASSES])
    if len(rows) > _MAX_CLASSES:
        terminal.result(f"... and {len(rows) - _MAX_CLASSES:,} more")


def _show_files(title: str, files: Iterable[tuple[str, str]], terminal: Terminal) -> None:
    rows = list(files)
    if rows:
        terminal.heading(f"{title}: {len(rows):,}")
        terminal.lines(rows[:_SHOWN])
    if len(rows) > _SHOWN:
        terminal.result(f"... and {len(rows) - _SHOWN:,} more, which --json names")


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {number:,}" for name, number in list(counts.items())[:6]]
    return ", ".join(shown) + (f", {len(counts) - 6:,} others" if len(counts) > 6 else "")
