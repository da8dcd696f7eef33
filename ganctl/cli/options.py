"""Option types shared by commands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ganctl.cli import completion
from ganctl.cli.option_names import option, spelled
from ganctl.config.image_settings import ImageSettings
from ganctl.config.presets import DEFAULT_PRESET, PRESETS, preset
from ganctl.config.schema import (
    MAX_SEED,
    SETTINGS,
    TrainConfig,
    override,
    parse_setting,
    parse_value,
    settings,
)
from ganctl.config.spec import NOT_SET
from ganctl.errors import Setting, UsageError
from ganctl.text import suggestion

_METAVARS = {
    "data": "PATH|NAME", "image_size": "N|HxW", "image_channels": "1|3|4|auto",
    "background": "COLOR", "augment": "LIST", "image_key": "FIELD", "holdout": "SHARE",
    "value_range": "auto|full|MIN,MAX", "image_column": "COLUMN", "label_column": "COLUMN",
}  # fmt: skip
RUN_SORTS = ("quality", "date", "name")
"""Orders of runs. ganctl.inspection.runs has them too, but loads torch; a test compares them."""
_METAVARS_BY_KIND = {int: "N", float: "F", str: "NAME"}


def setting_option(name: str) -> Any:
    """Return the option for a setting, a bool or a text for `chosen_settings`."""
    spec = SETTINGS[name]
    complete = completion.data if name == "data" else completion.among(spec.choices)
    no = f"/{option(Setting(name, False))}" if spec.kind is bool else ""
    return typer.Option(
        option(Setting(name)) + no, help=spelled(spec.help), show_default=_shown_default(name),
        metavar=_METAVARS.get(name, "|".join(spec.choices) or _METAVARS_BY_KIND.get(spec.kind)),
        autocompletion=complete if name == "data" or spec.choices else None,
        rich_help_panel=spec.group,
    )  # fmt: skip


def _shown_default(name: str) -> str | bool:
    """Return a setting's default for --help, per preset if they differ; False if it has none."""
    shown = {}
    for each, config in PRESETS.items():
        value = settings(config)[name]
        if isinstance(value, bool):
            value = "yes" if value else "no"
        shown[each] = SETTINGS[name].unset if value is None else str(value)
    values = set(shown.values())
    if len(values) == 1:
        return values.pop().replace(NOT_SET, "") or False
    return ", ".join(f"{each}: {value}" for each, value in shown.items())


# fmt: off
SizeOption = Annotated[str | None, setting_option("image_size")]
ChannelsOption = Annotated[str | None, setting_option("image_channels")]
FitOption = Annotated[str | None, setting_option("fit")]
BackgroundOption = Annotated[str | None, setting_option("background")]
ImageKeyOption = Annotated[str | None, setting_option("image_key")]
RangeOption = Annotated[str | None, setting_option("value_range")]
ImageColumnOption = Annotated[str | None, setting_option("image_column")]
LabelColumnOption = Annotated[str | None, setting_option("label_column")]
AugmentOption = Annotated[str | None, typer.Option(
    "--augment", metavar="LIST", show_default=False,
    help="Draw a sheet of augmented images instead. LIST is as for train: auto, for example.")]
HoldoutOption = Annotated[str | None, setting_option("holdout")]
ConfigOption = Annotated[Path | None, typer.Option(
    "--config", metavar="FILE", show_default=False, autocompletion=completion.configs,
    help="Read settings from a TOML file, such as 'ganctl config --toml' writes.")]
SetOption = Annotated[list[str] | None, typer.Option(
    "--set", metavar="NAME=VALUE", show_default=False, autocompletion=completion.settings,
    help="Change any setting by its name, as 'ganctl config' lists them; can be repeated.")]
QuietOption = Annotated[bool, typer.Option(
    "-q", "--quiet", help="Print only warnings and errors (the result still goes to stdout).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
CheckpointArgument = Annotated[Path, typer.Argument(
    metavar="CKPT", show_default=False, autocompletion=completion.checkpoints,
    help="A .pt file, a run directory (its latest), or an exported .safetensors.")]
EmaOption = Annotated[bool | None, typer.Option(
    "--ema/--no-ema", show_default="the average, if there is one",
    help="Use the moving average of the generator's weights, or the weights themselves.")]
SortOption = Annotated[str | None, typer.Option(
    "--sort", metavar="|".join(RUN_SORTS), show_default="quality",
    autocompletion=completion.among(RUN_SORTS),
    help="Order of the runs: lowest Frechet distance first, newest first, or by name.")]
UpscaleOption = Annotated[int | None, typer.Option(
    "--upscale", metavar="N", min=1, max=64, help="Enlarge each pixel to N x N.",
    show_default="automatic in a picture, 1 in an .npz or a folder")]
LatentsOption = Annotated[Path | None, typer.Option(
    "--latents", metavar="FILE", show_default=False, autocompletion=completion.arrays,
    help="An .npz file of latents, which are used instead of seeds.")]
DirectionsOption = Annotated[Path | None, typer.Option(
    "--directions", metavar="FILE", show_default="the checkpoint's principal ones",
    autocompletion=completion.arrays,
    help="An .npz file of directions, as 'ganctl directions' writes it, or its folder.")]
TruncationOption = Annotated[float, typer.Option(
    "--truncation", metavar="PSI",
    help="Truncation psi in (0, 1]: lower values give more typical but less varied samples.")]
# fmt: on

_MAX_DIGITS = len(str(MAX_SEED))
MAX_LISTED = 1_000_000
_MAX_DISTANCE = 100
"""Longest way along a direction, in standard deviations of latents."""
_UNITS = ("", "k", "m", "g", "t")


def chosen_settings(assignments: Iterable[str] | None = None, **given: Any) -> dict[str, Any]:
    """Return the settings that options give (None: not given), and --set's `assignments`.

    Raises UsageError for a value of the wrong form, and for a setting that is given twice.
    """
    chosen = {
        name: parse_value(name, value) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }
    assigned: dict[str, Any] = {}
    for name, value in map(parse_setting, assignments or ()):
        if name in assigned:
            raise UsageError(f"{name} is set twice by --set")
        if name in chosen:
            raise UsageError(f"{name} is set both by --set and by {option(Setting(name))}")
        assigned[name] = value
    return chosen | assigned


def data_config(**given: str | None) -> TrainConfig:
    """Return the config that options about images ask for; the default preset has the rest."""
    return override(preset(DEFAULT_PRESET), chosen_settings(**given))


def image_settings(**given: str | None) -> ImageSettings:
    """Return the preprocessing that the options ask for; the default preset has the rest."""
    return data_config(**given).image_settings


def parse_bytes(text: str) -> int:
    """Return the bytes of '4GB', '500 MB' or '1.5GiB'. Raises UsageError."""
    match = re.fullmatch(
        r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgt]?)(i?)b?", text.strip().lower(), re.ASCII
    )
    if match is None:
        raise UsageError(f"'{text[:40]}' is not a size", "Write it as 4GB or 500MB.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _UNITS.index(match[2]))


def parse_seeds(text: str) -> list[int]:
    """Return the seeds [0, 1, ..., 15, 40] of '0-15,40'. Raises UsageError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        shown = part.strip()[:40]
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"'{shown}' is not a seed", "Write seeds as 7 or 0-15,40.")
        is_short = max(len(first), len(last)) <= _MAX_DIGITS
        start, end = (int(first), int(last or first)) if is_short else (0, -1)
        if not start <= end <= MAX_SEED:
            rule = f"Seeds are from 0 to {MAX_SEED:,}, and a range begins with the lower one: 3-9."
            raise UsageError(f"'{shown}' is not a range of seeds", rule)
        if end - start + len(seeds) >= MAX_LISTED:
            many = f"more than {MAX_LISTED:,} seeds are too many for a list"
            raise UsageError(many, "Use --seed S -n N.")
        seeds.extend(range(start, end + 1))
    return seeds


def wanted_seeds(
    num: int | None, seed: int | None, seeds: str | None, option: str
) -> Sequence[int]:
    """Return the seeds of a list, or `num` of them from `seed` on; `option` is the one of `num`.

    Raises UsageError.
    """
    if seeds is not None:
        if num is not None or seed is not None:
            raise UsageError("give either --seeds, or -n and --seed")
        return parse_seeds(seeds)
    count, first = 16 if num is None else num, seed or 0
    if count < 1:
        raise UsageError(f"{option} must be at least 1, not {count}")
    return range(first, first + count)


def refuse_same_file(given: Mapping[str, Path | None]) -> None:
    """Raise UsageError if two options name the same file; one would overwrite the other."""
    seen: dict[Path, str] = {}
    for name, path in given.items():
        if path is None:
            continue
        if (place := path.absolute()) in seen:
            raise UsageError(f"{seen[place]} and {name} are the same file", "Give two names.")
        seen[place] = name


def refuse_both(given: str, others: Mapping[str, object], hint: str) -> None:
    """Raise UsageError if one of `others`, values by their options, was given beside `given`."""
    for other in (name for name, value in others.items() if value is not None):
        raise UsageError(f"give either {given} or {other}", hint)


def parse_move(text: str, default: float | None = None) -> tuple[str, float]:
    """Return the direction and the distance ('3', 2.0) of '3=+2'.

    The distance may be left out if there is a `default`. Raises UsageError.
    """
    name, equals, amount = text.strip().rpartition("=")
    if not equals and default is not None and amount:
        return amount, default
    try:
        distance = float(amount)
    except ValueError:
        distance = math.nan
    if not name or not abs(distance) <= _MAX_DISTANCE:
        raise UsageError(
            f"'{text[:40]}' is not a direction and a distance of at most {_MAX_DISTANCE}",
            "For example: 3=+2, or thin-to-thick=-1.5",
        )
    return name.strip(), distance


def parse_moves(texts: Iterable[str]) -> dict[str, float]:
    """Return the distance of each direction in texts like '3=+2'. Raises UsageError."""
    moves: dict[str, float] = {}
    for name, distance in map(parse_move, texts):
        if name in moves:
            raise UsageError(f"direction '{name[:40]}' is given twice")
        moves[name] = distance
    return moves


def parse_grid(text: str) -> tuple[int, int]:
    """Return the columns and rows (8, 4) of '8x4'. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower(), re.ASCII)
    if match is None or not (int(match[1]) and int(match[2])):
        raise UsageError(f"--grid must be columns x rows, such as 8x4, not '{text[:40]}'")
    return int(match[1]), int(match[2])


def check_suffix(out: Path, known: tuple[str, ...], folder_too: bool = False) -> str:
    """Return `out`'s suffix if it is a `known` one. Raises UsageError."""
    suffix = out.suffix.lower()
    or_folder = " Or give a folder, ending in /." if folder_too else ""
    if not suffix:
        hint = f"Add one of: {', '.join(known)}.{or_folder}"
        raise UsageError(f"'{out}' has no suffix that says what kind of file to write", hint)
    if suffix not in known:
        hint = f"{suggestion(suffix, known)}{or_folder}"
        raise UsageError(f"cannot write '{suffix}' files: '{out}'", hint)
    return suffix


def check_folder(out: Path, what: str) -> None:
    """Raise UsageError unless the folder exists in which `what` is written after long work."""
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder '{out.parent}' for the {what}", "Make it first.")
