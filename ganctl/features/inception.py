"""Features of Inception v3, which papers compare photographs in, through torch-fidelity."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from ganctl.errors import DataError, PackageError, Setting, Text
from ganctl.features.base import FeatureNetwork
from ganctl.features.preparing import (
    as_rgb,
    batch_size,
    file_digest,
    published,
    read_weights,
    resized,
)

URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
SHA256_PREFIX = "6726825d"
_SIDE = 299


class InceptionFeatures(FeatureNetwork):
    """Inception v3 with the weights of 2015 (Szegedy et al. 2016), as torch-fidelity runs it."""

    name = "inception-v3-compat"
    is_inception = True

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
        path = weights or published(URL, "Inception's weights", _BY_HAND, SHA256_PREFIX)
        with tempfile.TemporaryDirectory() as folder:
            # torch-fidelity would run code in a pickle: it gets one written here.
            trusted = Path(folder) / "weights.pth"
            torch.save(read_weights(path, "Inception's weights", _BY_HAND), trusted)
            try:
                network = FeatureExtractorInceptionV3(
                    InceptionFeatures.name, ["2048", "logits_unbiased"],
                    feature_extractor_weights_path=str(trusted),
                )  # fmt: skip
            except Exception:
                raise DataError(f"{path} does not hold Inception's weights", _BY_HAND) from None
        self.digest = f"{file_digest(path)} {device.type}"
        self._network = network.to(device)
        self._device = device

    def prepare(self, images: Tensor) -> Tensor:
        """Return images as RGB, uint8 (N, 3, H, W), at their own size: the network resizes them."""
        return as_rgb(images.to(self._device)).to(torch.uint8)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map prepared images to features (N, 2048) and logits (N, 1008)."""
        features, logits = self._network(inputs)
        return features, logits


class CleanInceptionFeatures(InceptionFeatures):
    """The same network on images that are resized as clean-fid does (Parmar et al. 2022)."""

    name = "inception-v3-compat, resized as by clean-fid"

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        """Read the weights as `InceptionFeatures` does, and raise what it raises."""
        super().__init__(device, weights)
        self.batch_size = batch_size(device)
        # torch-fidelity's network takes nothing but bytes; its layers lie in their order.
        *layers, self._classes = self._network.children()
        self._layers = torch.nn.Sequential(*layers)

    def prepare(self, images: Tensor) -> Tensor:
        """Return images as RGB, float32 (N, 3, 299, 299) in [-1, 1], through a low-pass filter."""
        rgb = as_rgb(images.to(self._device))
        return (resized(rgb, _SIDE, _SIDE) - 128) / 128

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map prepared images to features (N, 2048) and logits (N, 1008)."""
        features = self._layers(inputs).flatten(1)
        return features, features @ self._classes.weight.T


_BY_HAND = Text(
    "Without internet access, download {} elsewhere and give the file: {}",
    URL,
    Setting("features", "PATH"),
)
