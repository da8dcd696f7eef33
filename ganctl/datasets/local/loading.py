"""Loading of images from a path, or from the cache if they were decoded before."""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganctl import text
from ganctl.config.image_settings import RGBA, ImageSettings
from ganctl.config.resolve import find_holdout
from ganctl.config.schema import TrainConfig, override
from ganctl.datasets import detection, holdout
from ganctl.datasets.dataset import Dataset, Progress, digest_of
from ganctl.datasets.decoding.decode import PASSING
from ganctl.datasets.decoding.formats import READABLE, optional_formats
from ganctl.datasets.detection import LARGEST_DETECTED
from ganctl.datasets.local import cache, preparing
from ganctl.datasets.local.paths import fingerprint
from ganctl.datasets.local.survey import Remarks, Survey, describe_classes, describe_problems
from ganctl.datasets.sources import hub
from ganctl.datasets.sources.base import Problem, Source
from ganctl.datasets.sources.folder import Folder
from ganctl.datasets.sources.opening import open_folder, open_source
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.rng import Stream
from ganctl.text import counted, printable

FEW = 500
"""Number of images below which a notice says what to expect."""
_EXAMPLES, _ROW = 64, range(4, 13)
"""Images of a contact sheet, and how many of a class can make a row."""


@dataclass(frozen=True)
class Prepared:
    """Decoded images with a survey of the files they come from."""

    path: str
    images: NDArray[np.uint8]
    """(N, H, W, C), mapped from the cache."""
    labels: NDArray[np.int64]
    """(N,), indices of the survey's classes; 0 without classes."""
    digest: str
    """SHA-256 of the images, as of a `Dataset`."""
    survey: Survey
    asked: ImageSettings
    """The settings before size and channels were detected."""
    has_test_images: bool = False
    """Whether there are test images beside these."""
    num_held_out: int = 0
    """Number of images that `hold_out` took, or of test images, as far as it is known."""

    @property
    def training_size(self) -> str:
        """The training size in words: '64x64 RGB (size and channels detected)'."""
        return detection.describe(self.images.shape[1:], self.asked)

    def advice(self) -> list[Text]:
        """Return what other settings would keep more of the images."""
        lines = []
        side = self.survey.median_side
        is_detected = self.asked.size is None and self.images.shape[1] == LARGEST_DETECTED
        if is_detected and side >= 2 * LARGEST_DETECTED:
            lines.append(
                Text(
                    f"Half of the images have {side:,} pixels or more on the short side: {{}} "
                    "keeps more detail and takes about four times as long.",
                    Setting("image_size", str(2 * LARGEST_DETECTED)),
                )
            )
        if dark := self.survey.range_advice():
            lines.append(dark)
        remarks, settings = self.survey.remarks, self.survey.settings
        if lost := remarks.lost_transparency(settings):
            lines.append(lost)
        elif settings.channels == RGBA and not remarks.num_transparent:
            lines.append(
                Text(
                    "No image has transparent parts: {} gives the same images.",
                    Setting("image_channels", 3),
                )
            )
        return lines

    def hold_out(self, config: TrainConfig) -> Prepared:
        """Return the same images and the number of those that `config` holds out.

        Raises UsageError if its share does not fit the images.
        """
        count = len(self.images)
        if not count:
            return self
        share, _ = find_holdout(config, count, has_test_images=self.has_test_images)
        if not share:
            return self
        held_out = override(config, {"holdout": share}).num_held_out(count)
        return dataclasses.replace(self, num_held_out=held_out)

    @property
    def num_training(self) -> int:
        """Number of images that are trained on."""
        return len(self.images) - (0 if self.has_test_images else self.num_held_out)

    def examples(self) -> tuple[NDArray[np.intp], int | None]:
        """Return the indices of images for a contact sheet, and its columns if a row is a class.

        They are evenly spaced within each class, with the same number of each if there are enough.
        """
        classes = self.survey.classes
        if not classes:
            return spread(np.arange(len(self.images)), _EXAMPLES), None
        each = max(1, _EXAMPLES // len(classes))
        members = [np.flatnonzero(self.labels == k) for k in range(len(classes))]
        chosen = [spread(some, each) for some in members if len(some)]
        chosen = [chosen[index] for index in spread(np.arange(len(chosen)), _EXAMPLES)]
        is_even = each in _ROW and all(len(some) == each for some in chosen)
        return np.concatenate(chosen), each if is_even else None


def load(
    path: str,
    settings: ImageSettings,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    held_out: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Return the images to train on at `path`, or those `held_out` to compare samples with.

    The latter are in random order, so that the first ones stand for all. Images are decoded once,
    and mapped from the cache afterwards. With a `limit`, that many are drawn at random, always the
    same: the first ones could be all of one class. Raises UsageError, and DataError if there are
    not two images, or if some cannot be used, unless `skip_bad`.
    """
    import torch

    prepared = prepare(path, settings, limit=limit, held_out=held_out, progress=progress)
    survey = prepared.survey
    if held_out and not survey.num_held_out:
        raise UsageError(
            f"{printable(path)} has no test images",
            "Those in a folder 'test' or 'val' are held out.",
        )
    require_usable(prepared, skip_bad=skip_bad)
    found = Dataset(
        path,
        torch.from_numpy(prepared.images),
        torch.from_numpy(prepared.labels),
        tuple(survey.classes),
        prepared.digest,
        is_mapped=True,
        notices=tuple(notices(prepared)),
        has_test_images=prepared.has_test_images,
        num_held_out=survey.num_held_out,
        labels_problem=survey.labels_problem,
        value_range=None if survey.found_range is None else survey.settings.value_range,
    )
    return found.select(holdout.shuffled(len(found))) if held_out else found


def prepare(
    path: str,
    settings: ImageSettings,
    *,
    limit: int | None = None,
    held_out: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Return the usable images at `path`, and a survey of all. Raises UsageError, DataError."""
    detection.require_color(settings.background)
    report = progress or (lambda *_: None)
    is_folder = os.path.isdir(path) and settings.image_key is None  # noqa: PTH112
    folder = Folder(path) if is_folder else None
    if hub.is_hub(path):
        report(f"opening {path}, which may have to be downloaded", 0, 0)
    files = [fingerprint(path, folder), held_out]
    key = _key(files, settings, limit)
    stored = cache.find(key)
    if stored is None:
        waiting = "waiting for another ganctl process to decode these images"
        with cache.reserve(key, lambda: report(waiting, 0, 0)) as slot:
            stored = cache.find(key)  # decoded by another process meanwhile
            if stored is None:
                source = open_folder(folder, settings) if folder else open_source(path, settings)
                stored = _decode(source, files, settings, limit, slot, report, held_out)
    survey = Survey.from_dict(stored.meta["survey"])
    return Prepared(
        path,
        stored.images,
        stored.labels,
        stored.meta["digest"],
        survey,
        settings,
        has_test_images=survey.num_held_out > 0,
        num_held_out=survey.num_held_out,
    )


def require_usable(prepared: Prepared, *, skip_bad: bool, is_listed: bool = False) -> None:
    """Raise DataError if these images cannot be trained on.

    The error lists the unusable files, unless `is_listed` says that this was done before.
    """
    require_intact(prepared.survey, prepared.path, skip_bad=skip_bad, is_listed=is_listed)
    if prepared.survey.num_images == 1:
        raise DataError(
            f"only one image in {printable(prepared.path)}",
            "A generator learns from hundreds of images or more.",
        )


def require_intact(survey: Survey, path: str, *, skip_bad: bool, is_listed: bool = False) -> None:
    """Raise DataError if there are no images at `path`, or bad ones that may not be skipped.

    The error lists the unusable files, unless `is_listed` says that this was done before.
    """
    if survey.problems and not (skip_bad and survey.num_images):
        count, files = len(survey.problems), counted(survey.num_files, "file")
        message = f"{count:,} of {files} in {printable(path)} cannot be used"
        hint: str | Text = READABLE
        if survey.num_images:
            hint = Text("Add {} to leave them out.", Setting("skip_bad", True))
        at_fault = survey.problems
    elif not survey.num_images:
        others = len(survey.ignored)
        found = counted(others, "other file") if others else "it is empty"
        message, hint = f"no images in {printable(path)}: {found}", READABLE
        at_fault = survey.ignored
    else:
        return
    raise DataError(message, hint, details=[] if is_listed else describe_problems(at_fault))


def notices(prepared: Prepared) -> list[str | Text]:
    """Return what a user should know about the images before training."""
    survey = prepared.survey
    lines: list[str | Text] = [
        f"{counted(survey.num_images, 'image')} in {printable(prepared.path)}"
        + describe_classes(len(survey.classes), survey.labels_from)
        + f"; training at {prepared.training_size}",
        *survey.notes,
    ]
    if survey.num_held_out:
        lines.append("Held-out images are only compared with samples, by 'ganctl evaluate'.")
    if survey.found_range is not None:
        lines.append(f"Values of more than 8 bits: {survey.describe_range()}.")
    lines += prepared.advice()
    if count := survey.num_enlarged:
        lines.append(f"{counted(count, 'image')} smaller than that will be enlarged.")
    if count := len(survey.duplicates):
        lines.append(f"{counted(count, 'duplicate image')} will be used like all others.")
    lines += survey.remarks.messages()
    if empty := [name for name, count in survey.classes.items() if not count]:
        lines.append(f"Classes without any usable image: {len(empty):,} ({text.listed(empty)}).")
    if survey.problems:
        lines.append("Skipped files that cannot be used:")
        lines += [f"  {line}" for line in describe_problems(survey.problems)]
    if _is_incomplete(survey):
        lines.append(
            "Some files could not be read this time, so all will be decoded again next time."
        )
    if survey.num_images < FEW:
        lines.append(
            Text(
                "{} images are few: expect samples that are near copies of them. More images help "
                "most; then {}, if left and right do not matter.",
                f"{survey.num_images:,}",
                Setting("mirror", True),
            )
        )
    return lines


def _decode(
    source: Source,
    files: Any,
    settings: ImageSettings,
    limit: int | None,
    slot: cache.Slot,
    progress: Progress,
    held_out: bool,
) -> cache.Stored:
    """Decode the images of `source` into `slot`, unless they are stored at the detected size."""
    # Listing a folder's entries takes longer: it is done while other processes start.
    num_files = len(source.found if isinstance(source, Folder) else source.entries)
    with preparing.open_pool(source, min(num_files, limit or num_files)) as pool:
        entries = source.contents.held_out if held_out else source.entries
        if limit is not None and limit < len(entries):
            chosen = Stream.LIMIT.generator().permutation(len(entries))[:limit]
            entries = [entries[index] for index in sorted(chosen)]
        measured = preparing.measure_all(source, entries, settings, pool, progress)
        damaged: list[Problem] = []
        remarks = Remarks()
        if measured.facts:
            key = _key(files, measured.settings, limit)
            if (stored := cache.find(key)) is not None:
                slot.link(key)
                return stored
            slot.require_room(
                len(measured.facts) * math.prod(detection.array_shape(measured.settings))
            )
            with slot.images.open("w+b", buffering=0) as file:
                labels, damaged, remarks, digest = preparing.decode_all(
                    source, measured, file, pool, progress
                )
                cache.sync(file)
    survey = Survey.of_source(source, measured, damaged, remarks)
    if survey.num_images:
        meta = {"digest": digest, "survey": survey.to_dict()}
        return slot.store(labels, meta, None if _is_incomplete(survey) else key)
    images = np.empty((0, 1, 1, 1), np.uint8)  # nothing to store but the reasons
    meta = {"digest": digest_of(images), "survey": survey.to_dict()}
    return cache.Stored(images, np.empty(0, np.int64), meta)


def _is_incomplete(survey: Survey) -> bool:
    """Return whether another start may find more images, though no file has changed."""
    return any(problem.reason.startswith(PASSING) for problem in survey.problems)


def spread(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return `count` of `indices`, or all, evenly from the first to the last."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(np.intp)
    chosen: NDArray[np.intp] = indices[places]
    return chosen


def _key(files: Any, settings: ImageSettings, limit: int | None) -> str:
    return cache.key_of(files, dataclasses.astuple(settings), limit, optional_formats())
