"""Features of published networks by name: classifiers of torchvision, and DINOv2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganctl.errors import DataError, PackageError, Setting, Text, UsageError
from ganctl.features.base import FeatureNetwork
from ganctl.features.preparing import (
    as_rgb,
    batch_size,
    cache_folder,
    file_digest,
    published,
    read_weights,
    resized,
)
from ganctl.text import suggestion

_DINOV2 = {
    "vits14": "vit_small_patch14_dinov2",
    "vitb14": "vit_base_patch14_dinov2",
    "vitl14": "vit_large_patch14_dinov2",
}
"""Names in timm of DINOv2's networks (Oquab et al. 2023)."""
_DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{0}/dinov2_{0}_pretrain.pth"
_SIDE = 224
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_AUXILIARY = {"googlenet", "inception_v3"}
"""Networks whose published weights expect other inputs than their transforms make."""


class NamedFeatures(FeatureNetwork):
    """A published network as a feature network."""

    def __init__(
        self,
        name: str,
        digest: str,
        device: torch.device,
        prepare: Callable[[Tensor], Tensor],
        extract: Callable[[Tensor], Tensor],
    ) -> None:
        """Use two functions: from RGB, float32 (N, 3, H, W) in [0, 255], to inputs of one shape,
        and from those to features (N, D).
        """
        self.name, self.digest = name, f"{digest} {device.type}"
        self.batch_size = batch_size(device)
        self._device, self._prepare, self._extract = device, prepare, extract

    def prepare(self, images: Tensor) -> Tensor:
        """Return images as the network's publishers prepare them."""
        return self._prepare(as_rgb(images.to(self._device)))

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map prepared images to features (N, D) and no logits (N, 0)."""
        features = self._extract(inputs)
        return features, features[:, :0]


def is_named(choice: str) -> bool:
    """Whether `choice` is meant as a network by name, such as 'torchvision:resnet50'."""
    return choice.partition(":")[0] in _LOADERS and ":" in choice


def load(choice: str, device: torch.device) -> NamedFeatures:
    """Return the network 'LIBRARY:NAME', or 'LIBRARY:NAME:PATH' with the weights in a file.

    Raises UsageError for an unknown name, DataError where weights are not available, PackageError.
    """
    library, name, path = [*choice.split(":", 2), ""][:3]
    return _LOADERS[library](name, Path(path) if path else None, device)


def _torchvision(name: str, path: Path | None, device: torch.device) -> NamedFeatures:
    """Return a classifier of torchvision: the inputs of its last linear layer, at its own size."""
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise UsageError(f"torchvision has no classifier '{name[:40]}'", suggestion(name, names))
    weights = models.get_model_weights(name).DEFAULT
    more = {"transform_input": True, "init_weights": False} if name in _AUXILIARY else {}
    network = models.get_model(name, weights=None, **more)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise UsageError(f"torchvision's {name} has no linear layer, whose inputs are features")
    choice = f"torchvision:{name}"
    digest = _fill(network, choice, weights.url, path)
    transform = weights.transforms(antialias=True)
    inputs: list[Tensor] = []
    layers[-1].register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    network = network.eval().requires_grad_(False).to(device)

    def prepare(rgb: Tensor) -> Tensor:
        prepared: Tensor = transform(rgb / 255)
        return prepared

    def extract(images: Tensor) -> Tensor:
        inputs.clear()
        network(images)
        return inputs[0]

    return NamedFeatures(f"torchvision {name}", digest, device, prepare, extract)


def _dinov2(name: str, path: Path | None, device: torch.device) -> NamedFeatures:
    """Return a network of DINOv2, through timm: the class token of images of 224 pixels."""
    if name not in _DINOV2:
        raise UsageError(f"there is no DINOv2 '{name[:40]}'", suggestion(name, _DINOV2))
    choice = f"dinov2:{name}"
    try:
        import timm
        from timm.models.vision_transformer import checkpoint_filter_fn
    except ImportError:
        raise PackageError.missing(Setting("features", choice), "timm", "dinov2") from None
    network: Any = timm.create_model(
        _DINOV2[name], num_classes=0, img_size=_SIDE, global_pool="token"
    )
    digest = _fill(
        network, choice, _DINOV2_URL.format(name), path,
        lambda weights: checkpoint_filter_fn(weights, network),
    )  # fmt: skip
    network = network.eval().requires_grad_(False).to(device)
    mean, deviation = (
        torch.tensor(values, device=device).view(3, 1, 1) for values in (_MEAN, _DEVIATION)
    )

    def prepare(rgb: Tensor) -> Tensor:
        return (resized(rgb, _SIDE, _SIDE) / 255 - mean) / deviation

    return NamedFeatures(f"dinov2 {name} at {_SIDE} pixels", digest, device, prepare, network)


_LOADERS = {"torchvision": _torchvision, "dinov2": _dinov2}


def _fill(
    network: nn.Module,
    choice: str,
    url: str,
    path: Path | None,
    convert: Callable[[Any], Any] = lambda weights: weights,
) -> str:
    """Load the weights at `path`, or else those published at `url`; return their SHA-256."""
    what = f"the weights of {choice}"
    hint = Text(
        "Without internet access, download {} elsewhere and put it into {}, or name the file: {}",
        url,
        cache_folder(),
        Setting("features", f"{choice}:PATH"),
    )
    # A name such as resnet50-11ad3fa6.pth ends with the beginning of the file's SHA-256.
    digits = Path(url).stem.rpartition("-")[2]
    is_digest = len(digits) == 8 and set(digits) <= set("0123456789abcdef")
    found = path or published(url, what, hint, digits if is_digest else None)
    weights = read_weights(found, what, hint)
    try:
        network.load_state_dict(convert(weights))
    except Exception:  # other names, shapes, or no tensors at all
        raise DataError(f"{found} does not hold {what}", hint) from None
    return file_digest(found)
