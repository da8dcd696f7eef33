"""The survey of a source of images on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganctl.text import counted, counted_images

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ganctl.cli.terminal import Terminal
    from ganctl.datasets.local.loading import Prepared
    from ganctl.training.augmented_sheet import AugmentedSheet

_MAX_CLASSES, _MAX_FILES = 50, 50
"""Classes and files of each list that are shown; --json has all."""
_BAR = 30
"""Characters of the longest bar of the histogram."""


def show_survey(
    prepared: Prepared, out: Path, augmented: AugmentedSheet | None, terminal: Terminal
) -> None:
    """Show the survey of `prepared` images, whose sheet in the file `out` may be `augmented`."""
    survey = prepared.survey
    terminal.heading(prepared.path)
    rows = [("images", f"{survey.num_images:,} of {counted(survey.num_files, 'file')}")]
    if survey.num_images:
        rows += [
            ("formats", _most_common(survey.formats)),
            ("modes", _most_common(survey.modes)),
            ("sizes, width x height", _most_common(survey.sizes, survey.num_sizes)),
            ("training size", f"{prepared.training_size}, {survey.settings.fit}"),
            ("values", survey.describe_range()),
            ("classes from", survey.labels_from or ""),
            ("trained on", _trained_on(prepared)),
            ("enlarged", f"{survey.num_enlarged:,}" * bool(survey.num_enlarged)),
            ("augmented images" if augmented else "contact sheet", str(out)),
        ]
    terminal.table(("", ""), [row for row in rows if row[1]], left=2)
    for note in survey.notes:
        terminal.result(note)
    if survey.num_images:
        terminal.heading("short sides, in pixels")
        counts = survey.histogram()
        most = max(count for _, count in counts)
        bars = [(name, f"{n:,}", ("█" * -(-_BAR * n // most)).ljust(_BAR)) for name, n in counts]
        terminal.table(("", "images", ""), bars, left=0)
    if survey.classes:
        terminal.heading(counted(len(survey.classes), "class", "classes"))
        rows = [(name, f"{number:,}") for name, number in survey.classes.items()]
        terminal.table(("", "images"), rows[:_MAX_CLASSES])
        if len(rows) > _MAX_CLASSES:
            terminal.result(f"... and {len(rows) - _MAX_CLASSES:,} more")
    remarks = survey.remarks
    for title, files in (
        ("cannot be used", [(problem.name, problem.reason) for problem in survey.problems]),
        ("several pages or frames, only the first is used",
         [(name, f"{number:,}") for name, number in remarks.frames]),
        ("JPEGs without their last bytes, used", [(name, "") for name in remarks.lacking_end]),
        ("duplicates of other images, used",
         [(name, f"is {first}") for name, first in survey.duplicates]),
        ("other files", [(problem.name, problem.reason) for problem in survey.ignored]),
    ):  # fmt: skip
        if files:
            terminal.heading(f"{title}: {len(files):,}")
            terminal.lines(files[:_MAX_FILES])
        if len(files) > _MAX_FILES:
            terminal.result(f"... and {len(files) - _MAX_FILES:,} more, which --json lists")
    terminal.notes([*prepared.advice(), *remarks.messages()])
    if augmented:
        terminal.note(augmented.describe(prepared.num_training))


def _trained_on(prepared: Prepared) -> str:
    """Return how many images are trained on, if that is not all of them."""
    if not prepared.num_held_out:
        return ""
    images = counted_images(prepared.num_training, prepared.num_held_out)
    return images if prepared.has_test_images else f"{images}; --holdout 0 trains on all"


def _most_common(counts: Mapping[str, int], num_kinds: int = 0) -> str:
    shown = [f"{name} {number:,}" for name, number in list(counts.items())[:6]]
    others = max(num_kinds, len(counts)) - len(shown)
    return ", ".join(shown) + (f", {others:,} others" if others else "")
