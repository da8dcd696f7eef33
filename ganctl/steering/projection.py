"""Projection: the latents whose images are nearest to given ones."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganctl import files, images, latents_file, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.datasets.dataset import Progress
from ganctl.datasets.pictures import Pictures
from ganctl.errors import Text
from ganctl.features import FeatureNetwork, extract
from ganctl.images import Pixels
from ganctl.latents_file import Latents
from ganctl.steering.search import Search
from ganctl.text import counted, listed

LATENTS, SHEET, TABLE = "latents.npz", "projection.png", "projection.csv"
"""The files that `Projection.save` writes."""
_MAX_SHOWN = 256
"""Number of pairs on the sheet."""
_CAPTION_CHARS = 16
_LOST = 15.0
"""PSNR in dB below which an image counts as not found: another kind of picture."""
_NUM_NAMED = 3
_GAP = 2
"""Pixels of white beside each pair on the sheet."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Given images, and for each the nearest that the generator draws."""

    latents: Latents
    """Latents of the images that were found, with their classes if there are any."""
    names: tuple[str, ...]
    """Names of the given images: file names, or 'images[3]'."""
    given: Pixels
    """The given images, uint8 (N, H, W, C), as they were fitted to the generator's."""
    found: Pixels
    """The images that the generator draws from the latents, uint8 (N, H, W, C)."""
    psnr: NDArray[np.float64]
    """Peak signal-to-noise ratio of each image that was found, in dB; infinite for equal ones."""
    classes: tuple[str, ...] = ()
    """Names of the generator's classes; none if it is unconditional."""
    notes: tuple[str | Text, ...] = ()
    """What a user should know: which images were fitted, left out, or not found."""
    feature_error: NDArray[np.float64] | None = None
    """Relative error of each image in the features of a network; None without one."""

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return (
            f"Projection({counted(len(self), 'image')}, median PSNR {np.median(self.psnr):.1f} dB)"
        )

    @property
    def class_names(self) -> list[str | None]:
        """The name of each image's class; None if there are no classes."""
        if self.latents.classes is None:
            return [None] * len(self)
        return [self.classes[number] for number in self.latents.classes]

    @property
    def feature_errors(self) -> list[float | None]:
        """The error of each image in features; None without a feature network."""
        if self.feature_error is None:
            return [None] * len(self)
        return [float(error) for error in self.feature_error]

    def picture(self) -> Pixels:
        """Return the first 256 pairs, the given image on the left, in one picture (H, W, C)."""
        shown = slice(_MAX_SHOWN)
        pairs = np.concatenate([self.given[shown], self.found[shown]], 2)
        pairs = images.over_white(images.enlarge(pairs, images.preview_factor(pairs.shape[1])))
        framed = np.pad(pairs, ((0, 0), (_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=255)
        errors = self.feature_errors
        captions = [
            f"{name[-_CAPTION_CHARS:]}  {_in_db(psnr)}"
            + ("" if error is None else f"  {error:.2f}")
            for name, psnr, error in zip(self.names[shown], self.psnr, errors, strict=False)
        ]
        return images.grid(images.add_captions(framed, captions))

    def save(self, folder: str | Path, *, command: str | None = None) -> None:
        """Write latents.npz, projection.png and projection.csv to `folder`, made if need be.

        The first two say how they were made: by a `command`, if it is given. Files of these names
        are replaced. Raises RunError if writing fails.
        """
        folder = Path(folder)
        files.make_folder(folder)
        text = {**self.latents.provenance, **({"command": command} if command else {})}
        latents_file.write(folder / LATENTS, replace(self.latents, provenance=text))
        files.write_atomic(folder / SHEET, images.png(self.picture(), text))
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["name", "class", "psnr_db", "feature_error"])
        columns = (self.names, self.class_names, self.psnr, self.feature_errors)
        for name, class_name, psnr, error in zip(*columns, strict=True):
            shown = "" if error is None else f"{error:.4f}"
            rows.writerow([name, class_name or "", f"{psnr:.2f}", shown])
        files.write_atomic(folder / TABLE, table.getvalue().encode())


def project(
    generator: nn.Module,
    network: NetworkConfig,
    pictures: Pictures,
    labels: Sequence[int] | None,
    *,
    classes: tuple[str, ...],
    features: FeatureNetwork | None,
    provenance: Mapping[str, str],
    progress: Progress,
) -> Projection:
    """Return the projection of `pictures`, which have the size and channels of the generator.

    With `labels`, (N,), the image that is found is of that class; otherwise the class is searched
    for, too. With `features` the error is also measured in these. Raises DeviceError if there is
    too little memory.
    """
    targets = images.to_tensor(torch.from_numpy(pictures.pixels))
    task, count = "projecting", len(pictures)
    progress(task, 0, count)
    inputs = Search(generator, network).run(
        targets, labels, lambda done: progress(task, done, count)
    )
    found = images.concatenate(sampling.sample_latents(generator, inputs, network))
    points, one_hot = torch.tensor_split(inputs, [network.latent_dim], 1)
    numbers = one_hot.argmax(1).numpy() if network.num_classes else None
    ratios = psnr(pictures.pixels, found)
    return Projection(
        Latents(points.numpy(), numbers, names=pictures.names, provenance=provenance),
        pictures.names, pictures.pixels, found, ratios, classes,
        (*pictures.notes, *_notes(pictures.names, ratios)),
        None if features is None else relative_error(features, pictures.pixels, found),
    )  # fmt: skip


def psnr(given: Pixels, found: Pixels) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each pair of images (N, H, W, C), in dB.

    10 log10(255^2 / mean squared difference), infinite for equal images. Colors of RGBA images are
    multiplied by alpha before.
    """
    first, second = (images.to_tensor(torch.from_numpy(each)) for each in (given, found))
    errors = (first - second).square().flatten(1).mean(1, dtype=torch.float64).numpy()
    with np.errstate(divide="ignore"):
        ratios: NDArray[np.float64] = 10 * np.log10(4 / errors)  # the values are in [-1, 1]
    return ratios


def relative_error(network: FeatureNetwork, given: Pixels, found: Pixels) -> NDArray[np.float64]:
    """Return the error of each image found, (N, H, W, C), in the features of a network, (N,).

    The distance of its features from those of the given image, as a share of the length of these:
    0 for equal images, around 1 for others.
    """
    first, second = (extract(network, [each]).features.double() for each in (given, found))
    error: NDArray[np.float64] = ((second - first).norm(dim=1) / first.norm(dim=1)).numpy()
    return error


def _notes(names: Sequence[str], ratios: NDArray[np.float64]) -> list[str]:
    lost = [name for name, ratio in zip(names, ratios, strict=True) if ratio < _LOST]
    if not lost:
        return []
    return [
        f"{counted(len(lost), 'picture')} not found, with a PSNR below {_LOST:g} dB: "
        f"{listed(lost, _NUM_NAMED)}. The generator draws nothing like them. Pictures should have "
        "the background of its training images."
    ]


def _in_db(psnr: float) -> str:
    return "equal" if math.isinf(psnr) else f"{psnr:.1f} dB"
