"""The text that a file carries about its origin, such as the checkpoint's digest and the seeds.

PNG files, also animated ones, have a text chunk per name. The other formats have one place for a
JSON object: a GIF's comment, the Exif description of a WebP, the comment of an MP4, and the array
`provenance` of an .npz.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

_MAX_CHARS = 2**16
"""Characters of a value. A list of a million seeds has more, which no reader would accept."""


def as_json(text: Mapping[str, str]) -> str:
    """Return `text` as a JSON object of ASCII characters; very long values are cut."""
    return json.dumps({key: _cut(value) for key, value in text.items()})


def from_json(content: object) -> dict[str, str]:
    """Return the text in what `as_json` returned; nothing if it is something else."""
    try:
        found = json.loads(str(content))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def encodable(value: str) -> str:
    """Return `value` without what no file can hold: the parts of a name that are not UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode()


def _cut(value: str) -> str:
    return value if len(value) <= _MAX_CHARS else f"{value[:_MAX_CHARS]}..."
