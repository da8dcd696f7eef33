"""Files that ganctl drew or exported, and what they say about their origin."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ganctl import images, limits
from ganctl.datasets.sources.npy import read_array, read_headers
from ganctl.datasets.sources.zips import open_zip
from ganctl.errors import DataError, GanctlError, PackageError
from ganctl.export import reading
from ganctl.provenance import from_json
from ganctl.text import printable


def _of_image(path: Path) -> dict[str, str]:
    with (
        warnings.catch_warnings(action="ignore"),  # about sizes; no pixel is decoded
        Image.open(path, formats=["GIF", "PNG", "WEBP"]) as image,
    ):
        return images.text_of(image)


def _of_video(path: Path) -> dict[str, str]:
    try:
        import av
    except ImportError:
        raise PackageError.missing("reading an .mp4", "PyAV", "video") from None
    with av.open(str(path), format="mp4") as container:
        return from_json(container.metadata.get("comment"))


def _of_arrays(path: Path) -> dict[str, str]:
    with open_zip(str(path), limits.ARRAY_DIRECTORY_BYTES) as archive:
        header = read_headers(archive).get("provenance")
        if header is None or header.shape != () or header.dtype.kind != "U":
            return {}
        return from_json(read_array(archive, "provenance", header, limits.PROVENANCE_BYTES))


_READERS: Mapping[str, Callable[[Path], dict[str, str]]] = {
    ".png": _of_image, ".gif": _of_image, ".webp": _of_image, ".apng": _of_image,
    ".mp4": _of_video, ".npz": _of_arrays,
    ".onnx": reading.of_onnx, ".pt2": reading.of_pt2, ".html": reading.of_page,
}  # fmt: skip
"""Functions that read the text of a file, by its suffix."""


def is_drawn(path: Path) -> bool:
    """Return whether `path` is named like a picture, an animation, arrays, a program or a page."""
    return path.suffix.lower() in _READERS and not path.is_dir()


def describe_drawn(path: Path) -> dict[str, Any]:
    """Return what a file says about its origin: its kind, and the text that ganctl wrote into it.

    Raises DataError for a file that is missing, damaged or says nothing, PackageError for an .mp4
    without the extra `video`.
    """
    shown, suffix = f"'{printable(str(path))}'", path.suffix.lower()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{shown} is not a file")
        text = _READERS[suffix](path)
    except GanctlError:
        raise
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # parsers of damaged files can raise anything
        reason = printable(str(error))[:100]
        raise DataError(f"{shown} cannot be read as {suffix}: {reason}") from None
    if not text:
        raise DataError(
            f"{shown} does not say how it was made",
            "Files that ganctl draws and exports say so, unless another program has saved them "
            "since.",
        )
    return {"path": str(path), "kind": suffix[1:], "made_with": text}
