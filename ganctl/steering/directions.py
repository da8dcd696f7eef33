"""Directions in latent space that change one thing in every image.

found = principal(generator, network, "activations", 8)   # the 8 strongest ones
found.shift({"3": 2.0, "5": -1.0})                         # what is added to each latent
read("directions.npz", network)                            # those of a file
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganctl import files, images, latents_file, networks, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.errors import UsageError
from ganctl.images import Pixels
from ganctl.latents_file import Latents
from ganctl.text import listed, printable, suggestion

FILE, SHEET = "directions.npz", "directions.png"
"""The files that `Directions.save` writes."""
METHODS = ("activations", "weights")
"""Ways to find the principal directions."""
STRENGTHS = (-3, -2, -1, 0, 1, 2, 3)
"""How far each column of a sheet is moved, in standard deviations of latents."""
_NUM_SEEDS = 2000
_MAX_DIGITS = 6
_SHORTEST = 1e-3
"""Distance of two means below which there is no direction from one to the other."""

_TOLERANCE = 1e-3
"""Maximum difference of a direction's length from 1, for files of other programs."""

Moves = Mapping[int | str, float] | Mapping[int, float] | Mapping[str, float]
"""How far to move along directions, by their numbers from 1 or their names."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in latent space with their names, the strongest first."""

    vectors: NDArray[np.float32]
    """(K, latent_dim). Those that ganctl finds have length 1: a standard deviation of latents."""
    names: tuple[str, ...]
    """The name of each: its number, from 1, or what it leads to."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where they come from: the checkpoint and the method."""
    images: Pixels | None = None
    """A latent's image moved along each direction by each of STRENGTHS, uint8 (K * 7, H, W, C);
    None for directions that were read from a file."""
    path_lengths: tuple[float | None, ...] = ()
    """How evenly images change along each, as `evaluation.path_length` measures it; none without a
    feature network, and for directions that were read from a file."""

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Directions({listed(self.names)})"

    def vector(self, name: int | str) -> NDArray[np.float32]:
        """Return the direction of that name, or of that number from 1, (latent_dim,).

        Raises UsageError if it does not exist.
        """
        text = str(name)
        is_place = text.isdecimal() and len(text) < _MAX_DIGITS and 1 <= int(text) <= len(self)
        if text in self.names or is_place:
            place = self.names.index(text) if text in self.names else int(text) - 1
            vector: NDArray[np.float32] = self.vectors[place]
            return vector
        is_number = text.lstrip("-").isdecimal() or all(map(str.isdecimal, self.names))
        raise UsageError(
            f"there is no direction '{text[:40]}'",
            f"Their numbers are 1 to {len(self)}; names are those of a file of directions."
            if is_number
            else suggestion(text, self.names),
        )

    def shift(self, moves: Moves) -> NDArray[np.float32]:
        """Return what `moves` add to each latent, (latent_dim,).

        Raises UsageError for a direction that does not exist.
        """
        found = np.zeros(self.vectors.shape[1], np.float32)
        for name, amount in moves.items():
            found += np.float32(amount) * self.vector(name)
        return found

    def notices(self, digest: str) -> list[str]:
        """Return a warning if they were found in another checkpoint than the one of `digest`."""
        origin = self.provenance.get("checkpoint", digest)
        if origin == digest:
            return []
        return [f"These directions were found in another checkpoint, {printable(origin)[:12]}: "
                "here they may change something else."]  # fmt: skip

    def picture(self) -> Pixels:
        """Return a sheet (H, W, C): a row for each direction, a column for each of STRENGTHS.

        The path length of each is in the middle.
        """
        assert self.images is not None
        pixels = images.over_white(self.images)
        enlarged = images.enlarge(pixels, images.preview_factor(pixels.shape[1]))
        lengths = self.path_lengths or [None] * len(self)
        captions = [
            f"{name} = {strength:+}" if strength else _title(name, length)
            for name, length in zip(self.names, lengths, strict=True)
            for strength in STRENGTHS
        ]
        return images.grid(images.add_captions(enlarged, captions), len(STRENGTHS))

    def save(self, folder: str | Path, *, command: str | None = None) -> None:
        """Write directions.npz and directions.png to `folder`, made if need be.

        They say how they were made: by a `command`, if it is given. Files of these names are
        replaced. Raises RunError if writing fails.
        """
        folder = Path(folder)
        files.make_folder(folder)
        text = {**self.provenance, **({"command": command} if command else {})}
        vectors = Latents(self.vectors, names=self.names, provenance=text)
        latents_file.write(folder / FILE, vectors)
        files.write_atomic(folder / SHEET, images.png(self.picture(), text))


GivenDirections = Directions | str | Path
"""Directions, or the path of a file of them."""


def read(path: str | Path, network: NetworkConfig) -> Directions:
    """Return the directions in a file of them, or in the folder that `Directions.save` wrote.

    Each must have length 1. Raises what `latents_file.read` raises, and UsageError for other
    latents.
    """
    path = Path(path)
    found = latents_file.read(path / FILE if path.is_dir() else path, network)
    lengths = np.linalg.norm(found.points.astype(np.float64), axis=1)
    wrong = np.abs(lengths - 1) > _TOLERANCE
    if wrong.any():
        raise UsageError(
            f"'{printable(str(path))}' holds latents, not directions: a direction has length 1, "
            f"and number {wrong.argmax() + 1} has {lengths[wrong.argmax()]:.3g}",
            "'ganctl directions' writes files of directions. In a file of your own, divide each "
            "by its length.",
        )
    names = found.names or [str(number + 1) for number in range(len(found))]
    return Directions(found.points, tuple(names), found.provenance)


def moved(origin: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the latents of a sheet, (K * 7, latent_dim): `origin`, (latent_dim,), moved."""
    return np.stack([origin + strength * each for each in vectors for strength in STRENGTHS])


def principal(generator: nn.Module, network: NetworkConfig, method: str, count: int) -> Directions:
    """Return the `count` strongest directions, or latent_dim if that is less.

    `method` is one of METHODS. Their names are their numbers.
    """
    count = min(count, network.latent_dim)
    with torch.inference_mode():
        find = _of_activations if method == "activations" else _of_weights
        found = find(generator, network, count)
        # The sign is free: the largest entry is positive, on every machine.
        signs = found.gather(1, found.abs().argmax(1, keepdim=True)).sign()
        vectors = (signs * found / found.norm(dim=1, keepdim=True)).numpy()
    names = tuple(str(number + 1) for number in range(len(vectors)))
    return Directions(vectors, names, {"directions": method})


def _of_activations(generator: nn.Module, network: NetworkConfig, count: int) -> Tensor:
    """Return the principal components of the first layer's activations as directions of latents.

    They are carried over to latents by linear regression (GANSpace, Harkonen et al. 2020, section
    2.1).
    """
    inputs = sampling.inputs_of(range(_NUM_SEEDS), network)
    latents = inputs[:, : network.latent_dim]
    flat = networks.first_outputs(generator, inputs, activated=True)
    flat = flat - flat.mean(0)
    _, vectors = torch.linalg.eigh(flat.T @ flat if flat.shape[1] < _NUM_SEEDS else flat @ flat.T)
    strongest = vectors.flip(1)[:, :count]
    coordinates = flat @ strongest if flat.shape[1] < _NUM_SEEDS else strongest
    fitted: Tensor = torch.linalg.lstsq(coordinates, latents - latents.mean(0)).solution
    return fitted


def _of_weights(generator: nn.Module, network: NetworkConfig, count: int) -> Tensor:
    """Return the directions in which the first layer's outputs change most.

    They are the eigenvectors of A'A with the largest eigenvalues, for the layer's weights A (SeFa,
    Shen & Zhou 2021, eq. 7). A includes batch normalization, which scales its rows.
    """
    steps = torch.zeros(network.latent_dim + 1, network.input_dim)
    steps[1:, : network.latent_dim].fill_diagonal_(1)
    at_zero, *others = networks.first_outputs(generator, steps, activated=False)
    weights = torch.stack(others) - at_zero
    _, vectors = torch.linalg.eigh(weights @ weights.T)
    strongest: Tensor = vectors.flip(1)[:, :count].T
    return strongest


def between(start: NDArray[np.float32], end: NDArray[np.float32], name: str) -> Directions:
    """Return the direction from the mean of latents (N, latent_dim) to that of others.

    Raises UsageError if both means are equal.
    """
    difference = end.mean(0) - start.mean(0)
    length = float(np.linalg.norm(difference))
    if length < _SHORTEST:
        raise UsageError(
            "both sets have the same mean latent, and no direction leads from one to the other",
            "Give pictures that differ.",
        )
    return Directions((difference / length)[None], (name,), {"directions": name})


def name_between(start: object, end: object) -> str:
    """Return the name of the direction between two sets: 'thick-to-thin' for their paths."""
    is_named = isinstance(start, (str, Path)) and isinstance(end, (str, Path))
    return f"{_stem(start)}-to-{_stem(end)}" if is_named else "start-to-end"


def described(moves: Moves) -> str:
    """Return moves as the command line takes them: '3=+2, thin=-1.5'."""
    return ", ".join(f"{name}={amount:+g}" for name, amount in moves.items())


def _title(name: str, length: float | None) -> str:
    return name if length is None else f"{name} (path {length:.1f})"


def _stem(path: object) -> str:
    name = Path(str(path)).stem if Path(str(path)).suffix else Path(str(path)).name
    return re.sub(r"[^\w.]+", "-", name)[:30].strip("-.") or "set"
