"""Option types shared by commands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ganctl.cli import completion
from ganctl.config.images import FITS, format_size, parse_size
from ganctl.config.schema import MAX_SEED, parse_setting
from ganctl.errors import UsageError
from ganctl.setting_help import HELP, IMAGES
from ganctl.text import nearest


def json_option(
    help_text: str = "Print one JSON document to stdout, and nothing else.", group: str = ""
) -> Any:
    """Return --json, shown in `group`."""
    return typer.Option("--json", help=help_text, rich_help_panel=group or None)


def quiet_option(group: str = "") -> Any:
    """Return --quiet, shown in `group`."""
    return typer.Option(
        "-q", "--quiet", rich_help_panel=group or None,
        help="Print only warnings and errors to stderr; the result still goes to stdout.",
    )  # fmt: skip


def config_option(group: str = "") -> Any:
    """Return --config, shown in `group`."""
    return typer.Option(
        "--config", metavar="FILE", show_default=False, autocompletion=completion.configs,
        rich_help_panel=group or None,
        help="Read settings from a TOML file, such as 'ganctl config --toml' writes.",
    )  # fmt: skip


def set_option(group: str = "") -> Any:
    """Return --set, shown in `group`."""
    return typer.Option(
        "--set", metavar="NAME=VALUE", show_default=False, autocompletion=completion.settings,
        rich_help_panel=group or None,
        help="Change any setting by its name, as 'ganctl config' lists them; can be repeated.",
    )  # fmt: skip


ImageKeyOption = Annotated[
    str | None,
    typer.Option(
        "--image-key", metavar="FIELD", show_default="the first with a plain suffix",
        help=HELP["image_key"],
        rich_help_panel=IMAGES,
    ),
]  # fmt: skip
CheckpointArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CKPT", help="A .pt file, or a run directory (its latest).", show_default=False,
        autocompletion=completion.checkpoints,
    ),
]  # fmt: skip
JsonOption = Annotated[bool, json_option()]
QuietOption = Annotated[bool, quiet_option()]
EmaOption = Annotated[
    bool | None,
    typer.Option(
        "--ema/--no-ema",
        help="Draw from the moving average of the generator's weights, or from the weights "
        "themselves.",
        show_default="the average, where there is one",
    ),
]
UpscaleOption = Annotated[
    int | None,
    typer.Option(
        "--upscale",
        metavar="N",
        help="Enlarge each pixel to N x N.",
        show_default="automatic in a picture, 1 in an .npz or a folder",
    ),
]
TruncationOption = Annotated[
    float,
    typer.Option(
        "--truncation", metavar="PSI",
        help="Truncation psi, more than 0 and up to 1: lower values give more typical but less "
        "varied samples.",
    ),
]  # fmt: skip
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="N|HxW", show_default="chosen from the images",
        help=HELP["image_size"],
        rich_help_panel=IMAGES,
    ),
]  # fmt: skip
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        "--channels", metavar="1|3|auto", show_default="auto",
        help="1 (grayscale), 3 (RGB) or auto (detected from the images).",
        rich_help_panel=IMAGES,
    ),
]  # fmt: skip
FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit", metavar="crop|pad|stretch", show_default="crop",
        autocompletion=completion.among(FITS),
        help=HELP["fit"],
        rich_help_panel=IMAGES,
    ),
]  # fmt: skip
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        "--background", metavar="COLOR", show_default="white",
        help=HELP["background"],
        rich_help_panel=IMAGES,
    ),
]  # fmt: skip
ConfigOption = Annotated[Path | None, config_option()]
SetOption = Annotated[list[str] | None, set_option()]

MAX_UPSCALE = 64
_MAX_DIGITS = len(str(MAX_SEED))
MAX_LISTED = 1_000_000
_UNITS = ("", "k", "m", "g", "t")


def parse_settings(given: Iterable[str] | None) -> dict[str, Any]:
    """What --set gives, by name. Raises UsageError."""
    changes: dict[str, Any] = {}
    for text in given or ():
        name, value = parse_setting(text)
        if name in changes:
            raise UsageError(f"{name} is set twice by --set")
        changes[name] = value
    return changes


def image_settings(
    size: str | None,
    channels: str | None,
    fit: str | None,
    background: str | None,
    image_key: str | None = None,
) -> dict[str, Any]:
    """The settings that these options change, by their names. Raises UsageError."""
    if channels not in (None, "1", "3", "auto"):
        raise UsageError(f"--channels must be 1, 3 or auto, not '{channels[:40]}'")
    given = {
        "image_size": format_size(*parse_size(size)) if size is not None else None,
        "image_channels": int(channels) if channels in ("1", "3") else None,
        "fit": fit,
        "background": background,
        "image_key": image_key,
    }
    return {name: value for name, value in given.items() if value is not None}


def parse_bytes(text: str) -> int:
    """'4GB', '500 MB', '1.5GiB' → bytes. Raises UsageError."""
    match = re.fullmatch(
        r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgt]?)(i?)b?", text.strip().lower(), re.ASCII
    )
    if match is None:
        raise UsageError(f"'{text[:40]}' is not a size", "Write it as 4GB or 500MB.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _UNITS.index(match[2]))


def parse_seeds(text: str) -> list[int]:
    """'0-15,40' → [0, 1, ..., 15, 40]. Raises UsageError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        shown = part.strip()[:40]
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"'{shown}' is not a seed", "Write seeds as 7 or 0-15,40.")
        if max(len(first), len(last)) > _MAX_DIGITS:
            raise UsageError(f"'{shown}' is not a range of seeds from 0 to {MAX_SEED}")
        start, end = int(first), int(last or first)
        if end < start or end > MAX_SEED:
            raise UsageError(f"'{shown}' is not a range of seeds from 0 to {MAX_SEED}")
        if end - start + len(seeds) >= MAX_LISTED:
            raise UsageError(
                f"more than {MAX_LISTED:,} seeds are too many for a list", "Use --seed S -n N."
            )
        seeds.extend(range(start, end + 1))
    return seeds


def check_suffix(out: Path, known: tuple[str, ...], folder_too: bool = False) -> str:
    """`out`'s suffix if it is a known one. Raises UsageError."""
    suffix = out.suffix.lower()
    if suffix not in known:
        or_folder = " Or give a folder, ending in /." if folder_too else ""
        if suffix:
            raise UsageError(
                f"cannot write '{suffix}' files: '{out}'",
                f"{nearest(suffix, known)}{or_folder}",
            )
        raise UsageError(
            f"'{out}' has no suffix that says what kind of file to write",
            f"Add one of: {', '.join(known)}.{or_folder}",
        )
    return suffix


def check_upscale(factor: int | None) -> None:
    """Raises UsageError for a factor that makes no picture; None is chosen later."""
    if factor is not None and not 1 <= factor <= MAX_UPSCALE:
        raise UsageError(f"--upscale must be 1 to {MAX_UPSCALE}, not {factor}")
