"""A user's own pictures of any origin, fitted to a generator's images and kept in memory.

Unlike training images, they may be single files, and are neither cached nor split.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganctl.config.image_settings import CHANNELS, ImageSettings
from ganctl.datasets import loading
from ganctl.datasets.decoding.decode import BadImage, Content, Facts, Pixels, decode, measure
from ganctl.datasets.decoding.formats import READABLE
from ganctl.datasets.detection import require_color
from ganctl.datasets.local.survey import describe_problems
from ganctl.datasets.sources.base import NOT_AN_IMAGE, Problem, Source, why_unused
from ganctl.datasets.sources.memory import Memory
from ganctl.datasets.sources.opening import open_source
from ganctl.datasets.sources.single import Single
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import counted, listed, printable

Origin = str | Path | NDArray[np.uint8]
"""A path, the name of a data set, or an array uint8 (N, H, W) or (N, H, W, C)."""
_FITTED = {"crop": "center-cropped", "pad": "padded", "stretch": "stretched"}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_NUM_NAMED = 3


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in order, of one size."""

    pixels: Pixels
    """uint8 (N, H, W, C)."""
    names: tuple[str, ...]
    """File names, safe to print; 'images[3]' for those of arrays and data sets."""
    notes: tuple[str | Text, ...] = ()
    """What a user should know: which pictures were fitted, and which were left out."""

    def __len__(self) -> int:
        return len(self.names)


def read(
    origins: Iterable[Origin],
    settings: ImageSettings,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
) -> Pictures:
    """Return the pictures at `origins`, fitted to `settings`, which have a size and channels.

    An origin is an image file, whatever training takes, an array, or the name of a data set, of
    which the test images are read. With a `limit` only the first pictures are. Raises DataError if
    there are none, or if some cannot be used, unless `skip_bad`; UsageError for an array of another
    shape and for streamed shards.
    """
    require_color(settings.background)
    pixels: list[Pixels] = []
    names: list[str] = []
    fitted: list[str] = []
    problems: list[Problem] = []
    contents = _contents(origins, problems)
    for name, content in islice(contents, limit):
        try:
            facts = measure(content)
            pixels.append(decode(content, settings))
        except BadImage as bad:
            problems.append(Problem(name, bad.reason))
            continue
        names.append(name)
        if _differs(facts, settings):
            mode = {"L": "grayscale"}.get(facts.mode, facts.mode)
            fitted.append(f"{name} ({facts.width}x{facts.height} {mode})")
    if problems and not (skip_bad and pixels):
        hint = Text("Add {} to leave them out.", Setting("skip_bad", True)) if pixels else READABLE
        raise DataError(
            f"{counted(len(problems), 'picture')} cannot be used", hint,
            details=describe_problems(problems),
        )  # fmt: skip
    if not pixels:
        raise DataError("there are no pictures", READABLE)
    return Pictures(np.stack(pixels), tuple(names), tuple(_notes(fitted, problems, settings)))


def _contents(origins: Iterable[Origin], problems: list[Problem]) -> Iterator[tuple[str, Content]]:
    """Yield the name and the content of each picture, and collect the files that are unusable."""
    for origin in origins:
        source = _opened(origin)
        entries = [*source.entries, *source.contents.held_out]
        problems += [problem for problem in source.problems if not problem.harmless]
        if not entries and not problems:
            what = "an array" if isinstance(origin, np.ndarray) else f"'{printable(str(origin))}'"
            raise DataError(f"there are no images in {what}", READABLE)
        for entry in entries:
            try:
                content = source.read(entry)
            except BadImage as bad:
                problems.append(Problem(entry.name, bad.reason))
                continue
            yield entry.name, content


def _opened(origin: Origin) -> Source:
    if isinstance(origin, np.ndarray):
        is_layout = origin.ndim == 3 or (origin.ndim == 4 and origin.shape[3] in CHANNELS)
        if origin.dtype != np.uint8 or not is_layout:
            raise UsageError(
                f"the array is {origin.dtype} {origin.shape}, not uint8 (N, H, W) or (N, H, W, C)"
            )
        return Memory("images", origin)
    path = str(origin)
    if path in loading.NAMES:
        return Memory(path, loading.load_test(path).images.numpy())
    if os.path.isfile(path) and _is_image(path):  # noqa: PTH113 - it accepts any string
        return Single(path)
    if _is_image(path) and not os.path.isdir(path):  # noqa: PTH112
        raise DataError(f"there is nothing at '{printable(path)}'", "Give the path of a picture.")
    path = loading.resolve(path)
    loading.require_whole(path)
    return open_source(path)


def _is_image(path: str) -> bool:
    """Return whether `path` ends like that of an image, even one of an unsupported format."""
    reason = why_unused("image" + Path(path).suffix, 0)
    return reason is None or (reason != NOT_AN_IMAGE and not reason[1])


def _differs(facts: Facts, settings: ImageSettings) -> bool:
    assert settings.size is not None
    assert settings.channels is not None
    height, width = settings.size
    shape = (facts.width, facts.height, facts.mode)
    return shape != (width, height, _MODES[settings.channels])


def _notes(
    fitted: list[str], problems: list[Problem], settings: ImageSettings
) -> Iterator[str | Text]:
    if fitted:
        assert settings.size is not None
        assert settings.channels is not None
        height, width = settings.size
        others = counted(len(fitted), "picture")
        yield (
            f"{others} {'was' if len(fitted) == 1 else 'were'} fitted to "
            f"{width}x{height} {CHANNELS[settings.channels]} ({_FITTED[settings.fit]}), as the "
            "training images were: "
            f"{listed(fitted, _NUM_NAMED)}."
        )
    if problems:
        yield "Left out, because they cannot be used:"
        yield from (f"  {line}" for line in describe_problems(problems))
