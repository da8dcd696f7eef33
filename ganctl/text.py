"""Values as text: counts, sizes, durations, lists of names, and strings that are safe to print."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence
from statistics import fmean

_MAX_NAMES, _MAX_NAME_CHARS = 50, 40
_BLOCKS = "▁▂▃▄▅▆▇█"


def printable(text: str, max_chars: int | None = None) -> str:
    r"""Return `text` with characters that could steer a terminal escaped, as '\x1b' or '\u202e'.

    Every text from a file or a user goes through here before it is shown: it must not change
    colors, reverse the text beside it or begin a line of its own. With `max_chars`, a longer text
    is cut and ends in '…'.

    >>> printable("a\x1b[2J\n"), printable("generator", 4)
    ('a\\x1b[2J\\n', 'gen…')
    """
    if max_chars is not None:
        text = text[: max_chars + 1]
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    return text if max_chars is None or len(text) <= max_chars else text[: max_chars - 1] + "…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown `word`: the closest `known` one, or all of them."""
    names = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"Did you mean '{names[match[0]]}'?" if match else f"Known: {listed(names.values())}."


def listed(names: Iterable[str], at_most: int = _MAX_NAMES) -> str:
    """Return `names` separated by commas: the first `at_most`, long ones shortened."""
    shown = [
        name if len(name) <= _MAX_NAME_CHARS else f"{name[: _MAX_NAME_CHARS - 3]}..."
        for name in names
    ]
    more = f" and {len(shown) - at_most:,} more" if len(shown) > at_most else ""
    return ", ".join(shown[:at_most]) + more


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun; `plural` is needed unless it is the noun and an s.

    >>> counted(1, "image"), counted(1234, "image"), counted(0, "class", "classes")
    ('1 image', '1,234 images', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def counted_images(number: int, num_held_out: int) -> str:
    """Return a number of training images, and how many others are held out if any are.

    >>> counted_images(5400, 600), counted_images(60000, 0)
    ('5,400 images, 600 held out', '60,000 images')
    """
    others = f", {num_held_out:,} held out" if num_held_out else ""
    return counted(number, "image") + others


def in_bytes(number: float) -> str:
    """Return a number of bytes with a decimal unit.

    >>> in_bytes(512), in_bytes(12_345), in_bytes(784e9)
    ('512 B', '12.3 kB', '784.0 GB')
    """
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def duration(seconds: float) -> str:
    """Return seconds as '45 s', '3 min 20 s' or '2 h 05 min'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def sparkline(values: Sequence[float], width: int = 80, low: float | None = None) -> str:
    """Return values as a row of block characters that begin at `low`, the smallest value if None.

    More than `width` values are averaged in groups.

    >>> sparkline([0, 7, 14]), sparkline([0, 1, 2, 3], 2), sparkline([7, 14], low=0)
    ('▁▅█', '▁█', '▅█')
    """
    count = min(len(values), max(1, width))
    ends = [index * len(values) // count for index in range(count + 1)]
    means = [fmean(values[first:end]) for first, end in itertools.pairwise(ends)]
    low, high = min(means) if low is None else low, max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)
