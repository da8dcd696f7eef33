"""What a feature network is, and how images go through one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganctl.images import Pixels, over_white


class FeatureNetwork(ABC):
    """A network that extracts features of images."""

    name: str
    """Name shown beside metrics, which are comparable only for the same network."""
    digest: str
    """Identifies the weights and the kind of device."""
    is_fast: bool = False
    """Whether it takes less than a minute for a whole dataset."""
    num_classes: int = 0
    """Number of classes of such images that its logits distinguish; 0 if it knows none of them."""
    is_inception: bool = False
    """Whether its logits are those that the Inception score is made of."""
    image_shape: tuple[int, int, int] | None = None
    """Shape of the only images that it knows, (H, W, C); None if it takes any."""
    batch_size: int | None = None
    """Number of inputs in every batch, so that an image's features have the same bits whatever
    images are beside it; None if batches may be of any size."""

    def prepare(self, images: Tensor) -> Tensor:
        """Return what the network sees of opaque images of one size, uint8 (N, H, W, C): (N, ...).

        Inputs have one shape for images of all sizes if there is a `batch_size`.
        """
        return images

    @abstractmethod
    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map prepared images (N, ...) to features, float (N, D), and logits, float (N, K).

        K is 0 if its classes say nothing about such images.
        """


@dataclass(frozen=True)
class Activations:
    """Outputs of a feature network for N images."""

    features: Tensor
    """float32 (N, D), on the CPU."""
    logits: Tensor
    """float32 (N, K), on the CPU."""

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, which: slice | Tensor) -> Activations:
        return Activations(self.features[which], self.logits[which])


def extract(
    network: FeatureNetwork,
    chunks: Iterable[Pixels],
    progress: Callable[[int], None] = lambda _: None,
) -> Activations:
    """Return the activations of all images in `chunks`, each uint8 (n, H, W, C) of a size its own.

    Feature networks see RGBA images over white. `progress` gets the number of images done.
    """
    pairs, done = [], 0
    with torch.inference_mode():
        for inputs, count in _batches(network, chunks):
            pairs.append([output[:count] for output in network(inputs)])
            done += count
            progress(done)
    features, logits = zip(*pairs, strict=True)
    return Activations(torch.cat(features).float().cpu(), torch.cat(logits).float().cpu())


def _batches(network: FeatureNetwork, chunks: Iterable[Pixels]) -> Iterator[tuple[Tensor, int]]:
    """Yield prepared images and their number; a last batch that is not full is filled up."""
    prepared = _prepared(network, chunks)
    size = network.batch_size
    if size is None:
        yield from ((inputs, len(inputs)) for inputs in prepared)
        return
    waiting: list[Tensor] = []
    for inputs in prepared:
        waiting.append(inputs)
        if sum(map(len, waiting)) >= size:
            full, rest = torch.cat(waiting).tensor_split([size])
            yield full, size
            waiting = [rest] if len(rest) else []
    if waiting:
        last = torch.cat(waiting)
        yield torch.cat([last, last[-1:].expand(size - len(last), *last.shape[1:])]), len(last)


def _prepared(network: FeatureNetwork, chunks: Iterable[Pixels]) -> Iterator[Tensor]:
    """Yield prepared images, at most a batch at once."""
    for chunk in chunks:
        images = torch.from_numpy(over_white(chunk))
        for part in torch.split(images, network.batch_size or len(images)):
            yield network.prepare(part)
