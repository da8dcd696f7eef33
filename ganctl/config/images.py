"""The sizes that images may have, and what is done to them before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass

from ganctl.errors import Setting, Text, UsageError

FITS = ("crop", "pad", "stretch")
"""How an image of another shape is made to fit: its middle, all of it on a background, or all of it
out of proportion."""
AUGMENTATIONS = ("color", "translation", "cutout")
ALL_AUGMENTATIONS = ",".join(AUGMENTATIONS)
"""As a config's `augment` names them."""
SIZES = (28, 32, 48, 64, 96, 128)
"""Heights and widths of images that suit the networks; other multiples of 4 will do."""
MIN_SIZE, MAX_SIZE = 8, 256
MIN_STAGES, MAX_STAGES = 2, 5


def parse_size(text: str) -> tuple[int, int]:
    """'64' or '48x64' (height x width) → (height, width). UsageError names the nearest that fits.

    >>> parse_size("48x64")
    (48, 64)
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"'{text[:40]}' is not a size", "Write it as 64, or as 48x64: HxW.")
    height, width = int(parts[0]), int(parts[-1])
    if not (is_side(height) and is_side(width)):
        near = format_size(_nearest_side(height), _nearest_side(width))
        raise UsageError(
            f"images of {text} do not fit the networks: sizes are multiples of 4 from {MIN_SIZE} "
            f"to {MAX_SIZE}",
            Text("The nearest is {}.", Setting("image_size", near)),
        )
    return height, width


def format_size(height: int, width: int) -> str:
    """The inverse of `parse_size`: '64' for a square."""
    return str(height) if height == width else f"{height}x{width}"


def normalize_size(text: str) -> str:
    """'64x64' → '64', as a config has it. Raises UsageError.

    >>> normalize_size("64x64"), normalize_size("48X64")
    ('64', '48x64')
    """
    return format_size(*parse_size(text))


def stages_for(height: int, width: int) -> int:
    """How often images of that size are halved: down to 4 pixels, as far as it goes evenly.

    >>> stages_for(28, 28), stages_for(64, 64), stages_for(48, 128), stages_for(100, 100)
    (2, 4, 3, 2)
    """
    fitting = [
        stages
        for stages in range(MIN_STAGES + 1, MAX_STAGES + 1)
        if height % 2**stages == width % 2**stages == 0 and min(height, width) >= 4 * 2**stages
    ]
    return max(fitting, default=MIN_STAGES)


def normalize_augment(text: str) -> str:
    """'cutout,color' → 'color,cutout', in the order in which they are applied. UsageError."""
    if text in ("auto", "none"):
        return text
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(
                f"unknown augmentation '{name[:40]}'",
                f"Known: auto, none, or any of {ALL_AUGMENTATIONS}.",
            )
    return ",".join(name for name in AUGMENTATIONS if name in names)


def is_side(length: int) -> bool:
    return MIN_SIZE <= length <= MAX_SIZE and length % 4 == 0


def _nearest_side(length: int) -> int:
    return min(max(MIN_SIZE, 4 * round(length / 4)), MAX_SIZE)


@dataclass(frozen=True)
class ImageSettings:
    """What becomes of images before a network sees them."""

    size: tuple[int, int] | None = None
    """(height, width); None: chosen from the images."""
    channels: int | None = None
    """1 (grey) or 3 (RGB); None: chosen from the images."""
    fit: str = "crop"
    background: str = "white"
    """What shows through where an image is transparent, and beside it where it is padded: a colour
    as Pillow names it, 'white' or '#ff8800'."""
    image_key: str | None = None
    """The field of the image in each of WebDataset's samples, such as 'jpg' or 'seg.png'; None: the
    first with a plain suffix."""
