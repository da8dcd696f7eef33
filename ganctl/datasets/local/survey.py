"""The survey of a source of images: counts, sizes, classes, problems."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low
from typing import Any

import numpy as np

from ganctl.config.image_settings import RGBA, SIZES, ImageSettings, parse_range
from ganctl.datasets.decoding.decode import Facts, Found
from ganctl.datasets.decoding.levels import is_wide
from ganctl.datasets.detection import array_shape
from ganctl.datasets.sources.base import Entry, Problem, Source
from ganctl.errors import Setting, Text
from ganctl.text import counted, printable

_SIDES = (1, *SIZES, 256, 512, 1024, 2048)
"""Lower bounds of the bars of the histogram of short sides, in pixels."""
_COMMON_SIZES = 20
"""Number of sizes that are counted by name."""
_WHITE, _DARK = 255, 4
"""White, and the largest value in a nearly black image times this is below it."""
_NAMED = 20
"""Number of problems that are listed."""


@dataclass
class Remarks:
    """Peculiarities of images that are used nevertheless."""

    frames: list[tuple[str, int]] = field(default_factory=list)
    """(name, number of pages or frames) of files with several, of which the first is used."""
    lacking_end: list[str] = field(default_factory=list)
    """Names of JPEGs without their last bytes, whose pictures are complete."""
    num_transparent: int = 0
    """Number of images that are not opaque everywhere."""
    brightest: dict[str, int] = field(default_factory=dict)
    """Largest value, of which 255 is white, in the images of each mode with 8 bits."""

    def add(self, name: str, facts: Facts, found: Found) -> None:
        """Record what is peculiar about one image."""
        if facts.frames > 1:
            self.frames.append((name, facts.frames))
        if found.lacks_end:
            self.lacking_end.append(name)
        self.num_transparent += found.is_transparent
        if not is_wide(facts.mode):
            self.brightest[facts.mode] = max(found.brightest, self.brightest.get(facts.mode, 0))

    def lost_transparency(self, settings: ImageSettings) -> Text | None:
        """Return how many images `settings` make opaque, and what keeps them as they are."""
        count = self.num_transparent
        if not count or settings.channels == RGBA:
            return None
        return Text(
            f"{counted(count, 'image')} {'has' if count == 1 else 'have'} transparent parts, which "
            f"are shown over {printable(settings.background)}; {{}} keeps them transparent.",
            Setting("image_channels", RGBA),
        )

    def messages(self) -> list[str]:
        """Return a line for each kind of peculiarity, with what to do about it."""
        lines = []
        if count := len(self.frames):
            left_out = sum(number - 1 for _, number in self.frames)
            lines.append(
                f"{counted(count, 'file')} with several pages or frames, of which only the first "
                f"is used ({left_out:,} left out). To use the others, save each as its own file."
            )
        if count := len(self.lacking_end):
            lines.append(
                f"{counted(count, 'JPEG')} without the last bytes: used, because the picture is "
                "complete."
            )
        for mode, value in self.brightest.items():
            if value * _DARK < _WHITE:
                lines.append(
                    f"The images (mode {mode}) are nearly black: their largest value is {value:,} "
                    f"of {_WHITE}. Multiply all values by {_WHITE // max(value, 1):,} and save the "
                    "images again before training."
                )
        return lines


@dataclass(frozen=True)
class Measured:
    """Files whose headers were read."""

    facts: dict[Entry, Facts]
    problems: list[Problem]
    duplicates: list[tuple[str, str]]
    settings: ImageSettings
    """Preprocessing, with size and channels set unless there are no images to detect them in."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Facts about a source of images."""

    num_files: int
    """Number of files that are images by their names."""
    num_images: int
    """Number of images that can be used; the other files are among `problems`."""
    sizes: dict[str, int]
    """Number of images of each of the most common sizes, as 'WIDTHxHEIGHT'."""
    num_sizes: int
    short_sides: dict[int, int]
    """Histogram of the short sides: number of images by each bar's lower bound, in pixels."""
    median_side: int
    """Median of the short sides, in pixels."""
    num_enlarged: int
    """Number of images that are smaller than the training size."""
    found_range: tuple[float, float] | None
    """Smallest and largest value of the images with more than 8 bits; None without such images."""
    modes: dict[str, int]
    formats: dict[str, int]
    classes: dict[str, int]
    """Number of images of each class, in the order of the labels; empty without classes."""
    labels_from: str | None = None
    """Source of the classes, such as 'folders' or 'dataset.json'; None without classes."""
    labels_problem: str | None = None
    """Reason why labels that are there cannot be used."""
    num_held_out: int = 0
    """Number of images held out to compare samples with, which are not counted elsewhere."""
    notes: tuple[str, ...] = ()
    """Notes for a user on how the files were understood."""
    problems: tuple[Problem, ...] = ()
    """Images that cannot be used."""
    ignored: tuple[Problem, ...] = ()
    """Files that are not used, without any image being lost."""
    duplicates: tuple[tuple[str, str], ...] = ()
    """(name, first file with the same content); they are used, as copies may be intended."""
    remarks: Remarks = field(default_factory=Remarks)
    settings: ImageSettings
    """Preprocessing, with size and channels set unless there are no images to detect them in."""

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
        """Return the survey of `count` intact images of the same size, mode and settings."""
        facts = [Facts(width, height, mode, "array")] * count
        return cls(
            num_files=count,
            classes=classes,
            labels_from="the data set" if classes else None,
            settings=settings,
            **_statistics(facts, settings),
        )

    @classmethod
    def of_source(
        cls, source: Source, measured: Measured, damaged: Sequence[Problem], remarks: Remarks
    ) -> Survey:
        """Return the survey of `measured` files, of which the `damaged` could not be decoded."""
        unusable = {problem.name for problem in damaged}
        usable = {e: fact for e, fact in measured.facts.items() if e.name not in unusable}
        labels = Counter(entry.label for entry in usable)
        problems = [*source.problems, *measured.problems, *damaged]
        broken = sorted((p for p in problems if not p.harmless), key=lambda problem: problem.name)
        contents = source.contents
        return cls(
            num_files=len(usable) + len(broken),
            classes={name: labels[name] for name in source.classes},
            labels_from=contents.labels_from,
            labels_problem=contents.labels_problem,
            num_held_out=len(contents.held_out),
            notes=tuple(contents.notes),
            problems=tuple(broken),
            ignored=tuple(problem for problem in problems if problem.harmless),
            duplicates=tuple(
                pair for pair in measured.duplicates if not unusable.intersection(pair)
            ),
            settings=measured.settings,
            remarks=remarks,
            **_statistics([*usable.values()], measured.settings),
        )

    def describe_range(self) -> str:
        """Return the values found in the images with more than 8 bits, and their gray levels."""
        if self.found_range is None:
            return ""
        low, high = (f"{value:,.6g}" for value in self.found_range)
        chosen = self.settings.value_range
        if chosen == "full":
            return f"{low} to {high} found; black and white are the lowest and highest possible"
        black, white = (f"{value:,.6g}" for value in parse_range(chosen))
        return f"{low} to {high} found; {black} is black, {white} is white"

    def range_advice(self) -> Text | None:
        """Return what to do if images of 16 bits are nearly black."""
        if self.found_range is None:
            return None
        high, chosen = self.found_range[1], self.settings.value_range
        white = 2**16 - 1 if chosen == "full" else parse_range(chosen)[1]
        is_known = chosen != "full" or all(not is_wide(m) or m == "I;16" for m in self.modes)
        if high * _DARK >= white or not is_known:
            return None
        return Text(
            f"The images of more than 8 bits are nearly black: their largest value is {high:,.6g}, "
            f"and white is {white:,.6g}. {{}} makes the largest value white.",
            Setting("value_range", "auto"),
        )

    def histogram(self) -> list[tuple[str, int]]:
        """Return (range of short sides in pixels, number of images), the shortest sides first."""
        ranges = [f"{low} to {high - 1}" for low, high in pairwise(_SIDES)]
        return [
            (text, self.short_sides.get(side, 0))
            for side, text in zip(_SIDES, [*ranges, f"{_SIDES[-1]} and more"], strict=True)
            if min(self.short_sides) <= side <= max(self.short_sides)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like values, which `from_dict` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Survey:
        """Rebuild the survey that `to_dict` returned, also after a round trip through JSON."""
        settings, remarks = data["settings"], data["remarks"]
        size = {"size": settings["size"] and tuple(settings["size"])}
        frames = {"frames": [*map(tuple, remarks["frames"])]}
        return cls(
            **{
                **data,
                "short_sides": {int(side): n for side, n in data["short_sides"].items()},
                "notes": tuple(data["notes"]),
                "problems": tuple(Problem(**problem) for problem in data["problems"]),
                "ignored": tuple(Problem(**problem) for problem in data["ignored"]),
                "duplicates": tuple(map(tuple, data["duplicates"])),
                "remarks": Remarks(**remarks | frames),
                "settings": ImageSettings(**settings | size),
                "found_range": data["found_range"] and tuple(data["found_range"]),
            }
        )


def describe_classes(count: int, labels_from: str | None) -> str:
    """Return ', 2 classes from dataset.json', or nothing without classes."""
    source = f" from {labels_from}" if labels_from else ""
    return f", {counted(count, 'class', 'classes')}{source}" if count else ""


def describe_problems(problems: Sequence[Problem]) -> list[str]:
    """Return a line for each of the first `problems`, and one that counts the others."""
    lines = [f"{problem.name}: {problem.reason}" for problem in problems[:_NAMED]]
    if len(problems) > _NAMED:
        lines.append(f"... and {len(problems) - _NAMED:,} more, which ganctl data lists")
    return lines


def _statistics(facts: Sequence[Facts], settings: ImageSettings) -> dict[str, Any]:
    sides = [min(fact.width, fact.height) for fact in facts]
    sizes = Counter(f"{fact.width}x{fact.height}" for fact in facts)
    counts, _ = np.histogram(sides, [*_SIDES, np.inf])
    return {
        "num_images": len(facts),
        "sizes": dict(sizes.most_common(_COMMON_SIZES)),
        "num_sizes": len(sizes),
        "short_sides": {
            side: int(count) for side, count in zip(_SIDES, counts, strict=True) if count
        },
        "median_side": median_low(sides) if sides else 0,
        "num_enlarged": sum(_is_enlarged(fact, settings) for fact in facts),
        "found_range": _found_range(facts),
        "modes": dict(Counter(fact.mode for fact in facts).most_common()),
        "formats": dict(Counter(fact.format for fact in facts).most_common()),
    }


def _found_range(facts: Iterable[Facts]) -> tuple[float, float] | None:
    extents = [fact.extent for fact in facts if fact.extent is not None]
    if not extents:
        return None
    return min(low for low, _ in extents), max(high for _, high in extents)


def _is_enlarged(fact: Facts, settings: ImageSettings) -> bool:
    height, width, _ = array_shape(settings)
    factors = (height / fact.height, width / fact.width)
    return (min(factors) if settings.fit == "pad" else max(factors)) > 1
