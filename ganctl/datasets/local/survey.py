"""What there is in a source of images, in numbers and by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

import numpy as np

from ganctl.config.images import SIZES, ImageSettings
from ganctl.datasets.decoding import Facts, Found, white_of
from ganctl.datasets.sources import Entry, Problem, Source

SIDES = (1, *SIZES, 256, 512, 1024, 2048)
"""Where the bars of the histogram of short sides begin."""
_COMMON_SIZES = 20
_DARK = 4
"""Images whose brightest value is less than such a part of white are nearly black."""


@dataclass
class Remarks:
    """What is to be said of images that are used all the same."""

    frames: list[tuple[str, int]] = field(default_factory=list)
    """(name, how many pages or frames it has) of files with several; the first one is used."""
    lacking_end: list[str] = field(default_factory=list)
    """Names of JPEGs whose last bytes are missing, without which all of the picture is there."""
    brightest: dict[str, int] = field(default_factory=dict)
    """The largest value in the images of each mode: white is 65,535 in modes of 16 bits, 255 in
    others."""

    def add(self, name: str, facts: Facts, found: Found) -> None:
        """Take in what is known of one image."""
        if facts.frames > 1:
            self.frames.append((name, facts.frames))
        if found.lacks_end:
            self.lacking_end.append(name)
        self.brightest[facts.mode] = max(found.brightest, self.brightest.get(facts.mode, 0))

    def lines(self) -> list[str]:
        """Return a line for each kind of remark, with what to do about it."""
        lines = []
        if count := len(self.frames):
            left_out = sum(number - 1 for _, number in self.frames)
            lines.append(
                f"{count:,} {'file has' if count == 1 else 'files have'} several pages or frames: "
                f"the first is used, {left_out:,} are left out. To use them, save each as a file."
            )
        if count := len(self.lacking_end):
            lines.append(
                f"{count:,} {'JPEG lacks its' if count == 1 else 'JPEGs lack their'} last bytes, "
                "but the whole picture is there and is used."
            )
        for mode, value in self.brightest.items():
            white = white_of(mode)
            if value * _DARK < white:
                which = "16-bit images" if white > 255 else f"images (mode {mode})"
                lines.append(
                    f"The {which} are nearly black: their largest value is {value:,} of {white:,}. "
                    f"Multiply all values by {white // max(value, 1):,} and save the images again "
                    "before training: docs/your-own-images.md shows how."
                )
        return lines


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found in a source of images."""

    num_files: int
    """That should be images by their names."""
    num_images: int
    """That are: the rest is among `problems`."""
    sizes: dict[str, int]
    """How many images there are of the most common sizes, as 'WIDTHxHEIGHT'."""
    num_sizes: int
    short_sides: dict[int, int]
    """How many have a short side of at least so many pixels, and less than the next of SIDES."""
    median_side: int
    """Of the short sides."""
    num_enlarged: int
    """How many are smaller than a network sees them."""
    modes: dict[str, int]
    formats: dict[str, int]
    classes: dict[str, int]
    """How many images each class has, in the order of their numbers; none: no classes."""
    labels_from: str | None
    """What tells the classes, such as 'folders' or 'dataset.json'; None: no classes."""
    labels_problem: str | None
    """Why labels that are there cannot be used."""
    num_held_out: int
    """Images that are kept to compare samples with, and not counted elsewhere."""
    notes: tuple[str, ...]
    """What a user should know of how the files were told apart."""
    problems: tuple[Problem, ...]
    """Images that cannot be used."""
    ignored: tuple[Problem, ...]
    """Other files."""
    duplicates: tuple[tuple[str, str], ...]
    """(name, the first file with the same content). They are used: many copies may be meant."""
    remarks: Remarks
    settings: ImageSettings
    """With size and channels set, unless there are no images to choose them by."""

    @classmethod
    def of_array(
        cls,
        count: int,
        height: int,
        width: int,
        mode: str,
        classes: dict[str, int],
        settings: ImageSettings,
    ) -> Survey:
        """Of images that are alike, nothing wrong with them."""
        side = min(height, width)
        enlarged = _is_enlarged(Facts(width, height, mode, "array"), settings)
        return cls(
            num_files=count,
            num_images=count,
            sizes={f"{width}x{height}": count},
            num_sizes=1,
            short_sides=_histogram([side] * count),
            median_side=side,
            num_enlarged=count if enlarged else 0,
            modes={mode: count},
            formats={"array": count},
            classes=classes,
            labels_from="the data set" if classes else None,
            labels_problem=None,
            num_held_out=0,
            notes=(),
            problems=(),
            ignored=(),
            duplicates=(),
            remarks=Remarks(),
            settings=settings,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-like values, read back by `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Survey:
        """The inverse of `to_dict`, also of what came through JSON."""
        settings = dict(data["settings"])
        size = settings["size"]
        settings["size"] = None if size is None else (int(size[0]), int(size[1]))
        return cls(
            **{
                **data,
                "short_sides": {int(side): n for side, n in data["short_sides"].items()},
                "notes": tuple(data["notes"]),
                "problems": tuple(Problem(**problem) for problem in data["problems"]),
                "ignored": tuple(Problem(**problem) for problem in data["ignored"]),
                "duplicates": tuple((name, first) for name, first in data["duplicates"]),
                "remarks": Remarks(
                    **data["remarks"]
                    | {"frames": [(name, n) for name, n in data["remarks"]["frames"]]}
                ),
                "settings": ImageSettings(**settings),
            }
        )


def summarize(
    source: Source,
    facts: Mapping[Entry, Facts],
    duplicates: Sequence[tuple[str, str]],
    bad: Sequence[Problem],
    remarks: Remarks,
    settings: ImageSettings,
) -> Survey:
    """The survey of those images of `source` whose `facts` are known; the `bad` cannot be used."""
    sides = [min(fact.width, fact.height) for fact in facts.values()]
    sizes = Counter(f"{fact.width}x{fact.height}" for fact in facts.values())
    labels = Counter(entry.label for entry in facts)
    problems = [*source.problems, *bad]
    broken = sorted((p for p in problems if not p.harmless), key=lambda problem: problem.name)
    return Survey(
        num_files=len(facts) + len(broken),
        num_images=len(facts),
        sizes=dict(sizes.most_common(_COMMON_SIZES)),
        num_sizes=len(sizes),
        short_sides=_histogram(sides),
        median_side=median_low(sides) if sides else 0,
        num_enlarged=sum(_is_enlarged(fact, settings) for fact in facts.values()),
        modes=dict(Counter(fact.mode for fact in facts.values()).most_common()),
        formats=dict(Counter(fact.format for fact in facts.values()).most_common()),
        classes={name: labels[name] for name in source.classes},
        labels_from=source.contents.labels_from,
        labels_problem=source.contents.labels_problem,
        num_held_out=len(source.contents.held_out),
        notes=tuple(source.contents.notes),
        problems=tuple(broken),
        ignored=tuple(problem for problem in problems if problem.harmless),
        duplicates=tuple(duplicates),
        remarks=remarks,
        settings=settings,
    )


def _histogram(sides: Sequence[int]) -> dict[int, int]:
    counts, _ = np.histogram(sides, [*SIDES, np.inf])
    return {side: int(count) for side, count in zip(SIDES, counts, strict=True) if count}


def _is_enlarged(fact: Facts, settings: ImageSettings) -> bool:
    assert settings.size is not None
    height, width = settings.size
    factors = (height / fact.height, width / fact.width)
    return (min(factors) if settings.fit == "pad" else max(factors)) > 1
