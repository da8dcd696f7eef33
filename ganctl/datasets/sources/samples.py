"""WebDataset's samples: which files in a tar belong together, and which one is the image.

The files of a sample have the same name up to the first dot, and what follows is a field. Numbers
between dots belong to the name: '000.seg.png' is the field 'seg.png' of the sample '000', and
'frame.0001.png' is the field 'png' of 'frame.0001'.
"""

from __future__ import annotations

from collections import Counter

from ganctl import limits
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import is_hidden, why_unused

_NUM_NAMED = 5


def split(name: str) -> tuple[str, str]:
    """Return the sample that the file called `name` belongs to, and its field in lower case.

    >>> split("cats/000.seg.png"), split("frame.0001.png")
    (('cats/000', 'seg.png'), ('frame.0001', 'png'))
    """
    folder, slash, file = name.rpartition("/")
    parts = file.split(".")
    end = 1
    while end < len(parts) - 1 and parts[end].isdecimal():
        end += 1
    return folder + slash + ".".join(parts[:end]), ".".join(parts[end:]).lower()


def is_label(name: str, size: int) -> bool:
    """Return whether a file of `size` bytes may hold the class of its sample."""
    parts = name.split("/")
    if parts[-1] in labels.LISTS or any(map(is_hidden, parts)):
        return False
    return split(name)[1] in labels.BESIDE and size <= limits.LABEL_BYTES


def is_image(name: str) -> bool:
    """Return whether a file is an image by its name, even one of an unsupported format."""
    reason = why_unused(name, 0)
    return reason is None or not reason[1]


def rank(field: str, image_key: str | None) -> int | None:
    """Return the rank of an image in its sample by its `field`; None if it is never used.

    The first image with the lowest rank is used: one with a plain suffix if possible. With an
    `image_key` it is the image of that field.
    """
    if image_key is not None:
        return 0 if field == image_key.lower() else None
    return int("." in field)


def describe_others(fields: Counter[str]) -> list[str]:
    """Return a note on the images that are not used, counted by their fields, if there are any."""
    if not fields:
        return []
    named = ", ".join(f"{count:,} {field}" for field, count in fields.most_common(_NUM_NAMED))
    more = f", and {len(fields) - _NUM_NAMED:,} other fields" if len(fields) > _NUM_NAMED else ""
    return [f"One image per sample is used. Left out: {named}{more}."]
