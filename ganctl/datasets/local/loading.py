"""Images of one's own: a path → decoded images, from the cache where they were decoded before."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from ganctl import text
from ganctl.config.images import ImageSettings
from ganctl.datasets.base import Dataset, Progress, digest_of
from ganctl.datasets.decoding import PASSING
from ganctl.datasets.decoding.formats import READABLE, optional
from ganctl.datasets.local import cache, preparing
from ganctl.datasets.local.survey import Remarks, Survey
from ganctl.datasets.sources import KINDS, Problem, Source, open_source, shards
from ganctl.datasets.sources.folder import File, Folder
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.rng import Stream
from ganctl.text import counted, printable

_EXAMPLES, _ROW = 64, range(4, 13)
FEW = 500
"""With fewer images a training is warned of what to expect."""
_LISTED = 20
_ARCHIVES = (".json", ".npy", ".npz", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class Prepared:
    """Images as a network sees them, and what is known of the files they come from."""

    path: str
    images: NDArray[np.uint8]
    """(N, H, W, C), mapped from the cache."""
    labels: NDArray[np.int64]
    """(N,), which count the survey's classes; 0 where there are none."""
    digest: str
    """As `Dataset.digest`."""
    survey: Survey
    asked: ImageSettings
    """What of the settings was not to be chosen."""
    was_cached: bool
    is_kept: bool
    """Whether another start finds them decoded."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(self.survey.classes)

    @property
    def seen_as(self) -> str:
        """How a network sees the images: '64x64 RGB, chosen from the images'."""
        _, height, width, channels = self.images.shape
        chosen = [
            name for name, value in (("size", self.asked.size), ("colour", self.asked.channels))
            if value is None
        ]  # fmt: skip
        by = {0: "", 1: f", {''.join(chosen)} chosen from the images"}
        return f"{height}x{width} {'RGB' if channels == 3 else 'grey'}" + by.get(
            len(chosen), ", chosen from the images"
        )

    def examples(self) -> tuple[NDArray[np.intp], int | None]:
        """Which images show best what there is; and how many to a row, if a row is to be a class.

        Spread evenly, and as many of each class.
        """
        if not self.classes:
            return _spread(np.arange(len(self.images)), _EXAMPLES), None
        each = max(1, _EXAMPLES // len(self.classes))
        members = [np.flatnonzero(self.labels == k) for k in range(len(self.classes))]
        chosen = [_spread(some, each) for some in members if len(some)]
        chosen = [chosen[index] for index in _spread(np.arange(len(chosen)), _EXAMPLES)]
        is_even = each in _ROW and all(len(some) == each for some in chosen)
        return np.concatenate(chosen), each if is_even else None


def is_path(name: str) -> bool:
    """Whether `name` is written like a path of images, or is one."""
    separated = "/" in name or os.sep in name
    return separated or name.lower().endswith(_ARCHIVES) or os.path.exists(name)  # noqa: PTH110


def resolve(path: str) -> str:
    """Return `path` made absolute, so that a run is resumed from any folder.

    A ~ that no shell has expanded, as in a file of settings, is the home folder. Raises DataError
    where nothing is there.
    """
    if not os.path.lexists(path):
        path = os.path.expanduser(path)  # noqa: PTH111 - which fails without a home folder
    for part in shards(path):
        if not os.path.lexists(part):
            raise DataError(f"there is nothing at '{printable(part)}'", f"Give {KINDS}.")
    return os.path.abspath(path)  # noqa: PTH100 - links stay as they were named


def stem(path: str) -> str:
    """The last part of `path`, fit for a folder's name: of '/my photos.tar.gz', 'my-photos'."""
    name = Path(path).name
    while name.lower().endswith(_ARCHIVES):
        name = Path(name).stem
    return re.sub(r"[^\w.]+", "-", name)[:60].strip("-.") or "images"


def load(
    path: str,
    settings: ImageSettings,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    held_out: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """The images at `path`, decoded once and mapped from the cache afterwards.

    Those to be trained on, or those `held_out` to compare samples with.

    With a `limit`, so many drawn evenly by chance, always the same ones: the first ones could be
    all of one class. Raises UsageError, and DataError where there are not two images, or where some
    cannot be used, unless `skip_bad`.
    """
    import torch

    prepared = prepare(path, settings, limit=limit, held_out=held_out, progress=progress)
    if held_out and not prepared.survey.num_held_out:
        raise UsageError(
            f"{printable(path)} has no test images",
            "Those in a folder 'test' or 'val' are held out.",
        )
    require_usable(prepared, skip_bad=skip_bad)
    return Dataset(
        path,
        torch.from_numpy(prepared.images),
        torch.from_numpy(prepared.labels),
        prepared.classes,
        prepared.digest,
        is_mapped=True,
        notices=tuple(notices(prepared)),
        num_held_out=prepared.survey.num_held_out,
        labels_problem=prepared.survey.labels_problem,
    )


def prepare(
    path: str,
    settings: ImageSettings,
    *,
    limit: int | None = None,
    held_out: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """The images at `path` that can be used, from the cache or, the first time, decoded into it.

    Those to be trained on, or those `held_out` to compare samples with.

    `progress` is told what takes its time. Raises UsageError and DataError.
    """
    require_colour(settings.background)
    told = progress or (lambda *_: None)
    is_folder = os.path.isdir(path) and settings.image_key is None  # noqa: PTH112
    folder = Folder(path) if is_folder else None
    files = [_stamp(path, folder), held_out]
    key = _key(files, settings, limit)
    stored = cache.find(key)
    was_cached, is_kept = stored is not None, True
    if stored is None:
        waiting = "waiting for another ganctl that decodes these images"
        with cache.place(key, lambda: told(waiting, 0, 0)) as place:
            stored = cache.find(key)  # by another, while this one waited
            if stored is None:
                source: Source = folder or open_source(path, settings.image_key)
                stored = _decoded(source, files, settings, limit, place, told, held_out=held_out)
            is_kept = place.is_lasting
    return Prepared(
        path,
        stored.images,
        stored.labels,
        stored.meta["digest"],
        Survey.from_dict(stored.meta["survey"]),
        settings,
        was_cached,
        is_kept,
    )


def require_apart(path: str, out: Path) -> None:
    """UsageError where pictures written to `out` would become some of the images at `path`."""
    folder = os.path.realpath(path)
    if Path(os.path.realpath(out)).is_relative_to(folder) and os.path.isdir(folder):  # noqa: PTH112
        raise UsageError(
            f"'{out}' lies in the folder of the images, and pictures there would become some",
            Text("Give another place with {}.", Setting("out")),
        )


def require_usable(prepared: Prepared, *, skip_bad: bool, is_listed: bool = False) -> None:
    """DataError where no training can be made of these images; it names the files at fault.

    But not where they were `is_listed` already.
    """
    survey, path = prepared.survey, prepared.path
    if survey.problems and not (skip_bad and survey.num_images):
        count = len(survey.problems)
        raise DataError(
            f"{count:,} of {counted(survey.num_files, 'file')} in {printable(path)} cannot be used",
            Text("{} trains without them.", Setting("skip_bad", True))
            if survey.num_images
            else READABLE,
            details=[] if is_listed else listed(survey.problems),
        )
    if not survey.num_images:
        others = len(survey.ignored)
        found = (
            f"{others:,} other {'file' if others == 1 else 'files'}" if others else "it is empty"
        )
        raise DataError(
            f"no images in {printable(path)}: {found}",
            READABLE,
            details=[] if is_listed else listed(survey.ignored),
        )
    if survey.num_images == 1:
        raise DataError(
            f"only one image in {printable(path)}",
            "A generator learns from hundreds of images, or more.",
        )


def listed(problems: Sequence[Problem]) -> list[str]:
    """The first of `problems`, a line each, and how many more there are."""
    lines = [f"{problem.name}: {problem.reason}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"... and {len(problems) - _LISTED:,} more, which ganctl data shows")
    return lines


def notices(prepared: Prepared) -> list[str | Text]:
    """What a user should know of the images before a training."""
    survey = prepared.survey
    num_classes = len(survey.classes)
    lines: list[str | Text] = [
        f"{counted(survey.num_images, 'image')} in {printable(prepared.path)}"
        + classes_from(num_classes, survey.labels_from)
        + f", seen as {prepared.seen_as}",
        *survey.notes,
    ]
    if survey.num_held_out:
        lines.append(
            "Held-out images are not trained on: an evaluation compares samples with them."
        )
    facts = [
        (survey.num_enlarged, "smaller than that, and enlarged"),
        (len(survey.duplicates), "the same as another, and used like all"),
    ]
    lines += [
        f"{count:,} {'is' if count == 1 else 'are'} {what}." for count, what in facts if count
    ]
    lines += survey.remarks.lines()
    if unseen := [name for name, count in survey.classes.items() if not count]:
        lines.append(
            f"Classes without an image to learn from: {len(unseen):,} ({text.listed(unseen)})."
        )
    if survey.problems:
        count = len(survey.problems)
        lines.append(f"Left out, since {'it' if count == 1 else 'they'} cannot be used:")
        lines += [f"  {line}" for line in listed(survey.problems)]
    if not prepared.is_kept:
        lines.append("They will be decoded again next time: some cannot be read.")
    if survey.num_images < FEW:
        lines.append(
            Text(
                "{} images are few: expect samples that are near copies of them. More "
                "images help most; then {}, where left and right do not matter.",
                f"{survey.num_images:,}",
                Setting("mirror", True),
            )
        )
    return lines


def classes_from(count: int, told_by: str | None) -> str:
    """', 2 classes from dataset.json', or nothing where there are none."""
    if not count:
        return ""
    return f", {counted(count, 'class', 'classes')}" + (f" from {told_by}" if told_by else "")


def require_colour(background: str) -> None:
    """UsageError where Pillow knows no such colour."""
    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise UsageError(
            f"'{background[:40]}' is not a colour",
            "Give one by name, as white or grey, or as '#ff8800'.",
        ) from None


def _decoded(
    source: Source,
    files: Any,
    settings: ImageSettings,
    limit: int | None,
    place: cache.Place,
    progress: Progress,
    *,
    held_out: bool,
) -> cache.Stored:
    """The images of `source`, put into `place` unless stored in the size chosen for them."""
    # A folder's files are told apart while other processes start.
    num_files = len(source.found if isinstance(source, Folder) else source.entries)
    with preparing.reading(source, min(num_files, limit or num_files)) as reader:
        entries = source.contents.held_out if held_out else source.entries
        if limit is not None and limit < len(entries):
            chosen = Stream.LIMIT.generator().permutation(len(entries))[:limit]
            entries = [entries[index] for index in sorted(chosen)]
        measured = preparing.measure_all(source, entries, settings, reader, progress)
        damaged: list[Problem] = []
        remarks = Remarks()
        if measured.facts:
            key = _key(files, measured.settings, limit)
            if (stored := cache.find(key)) is not None:
                place.refer(key)
                return stored
            place.require_room(measured.num_bytes)
            with place.images.open("w+b", buffering=0) as file:
                labels, damaged, remarks, digest = preparing.decode_all(
                    source, measured, file, reader, progress
                )
                cache.sync(file)
    survey = preparing.survey_of(source, measured, damaged, remarks)
    if survey.num_images:
        lasting = None if _is_passing(survey) else key
        return place.keep(labels, {"digest": digest, "survey": survey.to_dict()}, lasting)
    images = np.empty((0, 1, 1, 1), np.uint8)  # nothing to keep, but for the reasons
    meta = {"digest": digest_of(images), "survey": survey.to_dict()}
    return cache.Stored(images, np.empty(0, np.int64), meta)


def _is_passing(survey: Survey) -> bool:
    """Whether another start may find more images, though no file has changed."""
    return any(problem.reason.startswith(PASSING) for problem in survey.problems)


def _spread(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """`count` of `indices`, or all, from the first to the last."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(np.intp)
    chosen: NDArray[np.intp] = indices[places]
    return chosen


def _key(files: Any, settings: ImageSettings, limit: int | None) -> str:
    return cache.key_of(files, dataclasses.astuple(settings), limit, optional())


def _stamp(path: str, folder: Folder | None) -> Any:
    """What tells, by names, sizes and times alone, whether the files at `path` are as they were.

    `folder` is what lies there, if it is one.
    """
    if folder is not None:
        found = sorted(one for one in folder.found if isinstance(one, File))
        wrong = sorted((one.name, one.reason) for one in folder.found if isinstance(one, Problem))
        return [os.path.realpath(path), [*found, *wrong]]
    return [[os.path.realpath(part), *_changed(part)] for part in shards(path)]


def _changed(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # whoever opens it says why
        return ()
    return status.st_size, status.st_mtime_ns
