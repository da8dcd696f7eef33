"""Images as networks that were trained on photographs take them, and their weights as files."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import IO, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganctl import private_folders
from ganctl.errors import DataError, Text

_BATCH = {"cpu": 16}
"""Images per batch by kind of device; of few images, a CPU is fastest and the caches suffice."""
_LARGE_BATCH = 128


def batch_size(device: torch.device) -> int:
    """Return the number of images that a large network is given at once."""
    return _BATCH.get(device.type, _LARGE_BATCH)


def as_rgb(images: Tensor) -> Tensor:
    """Return uint8 (N, H, W, C), C 1 or 3, as float32 (N, 3, H, W) in [0, 255].

    Grayscale images get three equal channels.
    """
    return images.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Return float (N, C, H, W) in [0, 255] at another size, through a low-pass filter.

    The filter is Pillow's bicubic one on unrounded values, as in clean-fid (Parmar et al. 2022).
    """
    if images.shape[2:] == (height, width):
        return images
    larger = F.interpolate(images, (height, width), mode="bicubic", antialias=True)
    return larger.clamp_(0, 255)


def read_weights(path: Path | IO[bytes], what: str, hint: str | Text) -> Any:
    """Return the tensors in a file that torch wrote; no code in it is run. Raises DataError."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint) from None
    except Exception:  # torch raises many types
        raise DataError(f"{path} does not hold {what}", hint) from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def published(url: str, what: str, hint: str | Text, sha256_prefix: str | None = None) -> Path:
    """Return the file at `url`: from torch's cache, from ganctl's, or downloaded into the latter.

    Raises DataError if it is in neither and cannot be downloaded.
    """
    name = url.rpartition("/")[2]
    path = cache_folder() / name
    for place in (Path(torch.hub.get_dir()) / "checkpoints" / name, path):
        if place.is_file():
            return place
    try:
        # torch.hub renames a temporary file once its digest is verified.
        torch.hub.download_url_to_file(url, str(path), sha256_prefix, progress=False)
    except Exception as error:  # the network, the file system, or a wrong digest
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise DataError(f"{what} could not be downloaded ({reason})", hint) from None
    return path


def cache_folder() -> Path:
    """Return the folder of downloaded weights."""
    return private_folders.folder("features")
