"""WebDataset's samples: which files of a tar belong together, and which of them is the image.

The files of a sample have a name in common up to its first dot; what follows is a field. Numbers
between dots belong to the name: '000.seg.png' is the field 'seg.png' of the sample '000', and
'frame.0001.png' is the field 'png' of 'frame.0001'.
"""

from __future__ import annotations

from collections import Counter

from ganctl import limits
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import is_hidden, unused

_NAMED = 5


def split(name: str) -> tuple[str, str]:
    """Return the sample that the file called `name` belongs to, and its field, in lower case.

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
    """Whether a file of `size` bytes may tell the class of its sample."""
    parts = name.split("/")
    if parts[-1] in labels.LISTS or any(map(is_hidden, parts)):
        return False
    return split(name)[1] in labels.BESIDE and size <= limits.LABEL_BYTES


def is_image(name: str) -> bool:
    """Whether a file is an image by its name, be it of a kind that cannot be read."""
    problem = unused(name, 0)
    return problem is None or not problem[1]


def rank(field: str, image_key: str | None) -> int | None:
    """Return the rank of an image in its sample by its `field`; None where it is never used.

    Of those with the lowest rank the first in the tar is used: an image with a plain suffix, unless
    there is none; with an `image_key`, that field alone.
    """
    if image_key is not None:
        return 0 if field == image_key.lower() else None
    return int("." in field)


def left_out(fields: Counter[str]) -> list[str]:
    """Return what a user should know of images that are not used, counted by their fields."""
    if not fields:
        return []
    named = ", ".join(f"{count:,} {field}" for field, count in fields.most_common(_NAMED))
    more = f", and {len(fields) - _NAMED:,} other fields" if len(fields) > _NAMED else ""
    return [f"Of each sample one image is used. Left out: {named}{more}."]
