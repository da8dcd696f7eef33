"""Samples beside the training images that are nearest to them, to see what was memorized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl import files, images, metrics
from ganctl.datasets.dataset import Rows
from ganctl.images import Pixels
from ganctl.model import Model

NEIGHBORS = 3
"""Number of training images beside each sample."""
_NUM_ROWS = 8
"""Number of samples of each kind: the first ones, and those closest to training images."""
_GAP = 12
"""Pixels of white between both halves of a sheet."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Samples with their nearest training images in the features of a network.

    The first half of the samples are the first seeds. The others are those that are closest to
    training images, the closest one first.
    """

    seeds: Sequence[int]
    """The seed of each sample, (N,)."""
    samples: Pixels
    """uint8 (N, H, W, C)."""
    neighbors: Pixels
    """The training images nearest to each, the nearest first: uint8 (N, NEIGHBORS, H, W, C)."""
    distances: NDArray[np.float64]
    """Distances of their features from the sample's, (N, NEIGHBORS)."""
    num_searched: int
    """Number of training images that were searched: all, or random ones if all would take hours."""
    num_training: int
    """Number of all training images."""
    text: Mapping[str, str] = field(default_factory=dict)
    """Text stored in the sheet: where the samples come from."""

    @property
    def searched(self) -> str:
        """The training images that were searched, in words."""
        if self.num_searched == self.num_training:
            return f"{self.num_training:,} training images"
        return f"{self.num_searched:,} of {self.num_training:,} training images"

    def picture(self) -> Pixels:
        """Return a sheet (H, W, C): a row for each sample, the first seeds in its left half.

        Below each sample is its seed, and below each training image its distance.
        """
        rows = np.concatenate([self.samples[:, None], self.neighbors], 1)
        shown = images.over_white(images.previews(rows.reshape(-1, *rows.shape[2:])))
        captions = [
            caption
            for seed, distances in zip(self.seeds, self.distances, strict=True)
            for caption in (f"seed {seed}", *(f"{distance:.2f}" for distance in distances))
        ]
        cells = np.split(images.add_captions(shown, captions), 2)
        halves = np.stack([images.grid(half, 1 + NEIGHBORS) for half in cells])
        titled = images.add_captions(halves, ["the first seeds", "closest to training images"])
        left, right = (np.pad(one, ((_GAP, 0), (_GAP, _GAP), (0, 0)), constant_values=255)
                       for one in titled)  # fmt: skip
        return np.concatenate([left, right], 1)

    def save(self, path: str | Path, *, command: str | None = None) -> None:
        """Write the sheet as a PNG that says how it was made. Raises RunError if writing fails."""
        text = {**self.text, **({"command": command} if command else {})}
        files.write_atomic(Path(path), images.png(self.picture(), text))


def find(
    model: Model,
    features: Tensor,
    searched: Sequence[tuple[Pixels | Rows, Tensor]],
    num_training: int,
) -> Nearest:
    """Return samples of `model` with their nearest training images.

    `features`, (N, D), are those of seeds 0 to N - 1; at least 8. `searched` has training images,
    uint8 (M, H, W, C), and their features, (M, D), which are `num_training` images or some of them.
    """
    others = torch.cat([part for _, part in searched])
    closest = metrics.nearest_distances(features, others).argsort(stable=True)
    chosen = torch.cat([torch.arange(_NUM_ROWS), closest[:_NUM_ROWS]])
    distances, places = metrics.nearest_neighbors(features[chosen], others, NEIGHBORS)
    seeds: list[int] = chosen.tolist()
    drawn = model.sample(seeds)
    found = [_image(searched, place) for place in places.flatten().tolist()]
    neighbors = np.stack(found).reshape(len(seeds), NEIGHBORS, *drawn.shape[1:])
    return Nearest(
        seeds, drawn.pixels, neighbors, distances.numpy(), len(others), num_training, drawn.text
    )


def _image(searched: Sequence[tuple[Pixels | Rows, Tensor]], place: int) -> Pixels:
    """Return the image at `place` among all that were searched, (H, W, C)."""
    for pixels, features in searched:
        if place < len(features):
            image: Pixels = pixels[place : place + 1][0]
            return image
        place -= len(features)
    raise AssertionError(place)
