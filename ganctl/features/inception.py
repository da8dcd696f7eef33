"""Features of Inception v3, which papers compare photographs in, through torch-fidelity."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganctl import private_folders
from ganctl.errors import DataError, PackageError, Setting, Text

URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
SHA256_PREFIX = "6726825d"


class InceptionFeatures:
    """Inception v3 with the weights of 2015 (Szegedy et al. 2016)."""

    name = "inception-v3-compat"
    is_fast = False
    num_classes = 0

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        """Read `weights`, or else the published ones from the cache or the network.

        Raises PackageError if the extra is not installed, DataError without weights.
        """
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise PackageError.missing(
                Setting("features", "inception"), "torch-fidelity", "inception"
            ) from None
        path = weights or _published()
        with tempfile.TemporaryDirectory() as folder:
            # torch-fidelity would run code in a pickle: it gets one written here.
            trusted = Path(folder) / "weights.pth"
            torch.save(_read(path), trusted)
            try:
                network = FeatureExtractorInceptionV3(
                    self.name, ["2048", "logits_unbiased"],
                    feature_extractor_weights_path=str(trusted),
                )  # fmt: skip
            except Exception:
                raise DataError(f"{path} does not hold Inception's weights", _BY_HAND) from None
        with path.open("rb") as file:
            self.digest = f"{hashlib.file_digest(file, 'sha256').hexdigest()} {device.type}"
        self._network = network.to(device)
        self._device = device

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 (N, H, W, C), C 1 or 3, to features (N, 2048) and logits (N, 1008)."""
        rgb = images.to(self._device).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
        features, logits = self._network(rgb)
        return features, logits


_BY_HAND = Text(
    "Without internet access, download {} elsewhere and give the file: {}",
    URL,
    Setting("features", "PATH"),
)


def _read(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", _BY_HAND) from None
    except Exception:  # torch raises many types
        raise DataError(f"{path} does not hold Inception's weights", _BY_HAND) from None


def _published() -> Path:
    path = private_folders.folder("features") / URL.rpartition("/")[2]
    if path.exists():
        return path
    try:
        # torch.hub renames a temporary file once its digest is verified.
        torch.hub.download_url_to_file(URL, str(path), SHA256_PREFIX, progress=False)
    except Exception as error:  # the network, the file system, or a wrong digest
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise DataError(
            f"Inception's weights could not be downloaded ({reason})", _BY_HAND
        ) from None
    return path
