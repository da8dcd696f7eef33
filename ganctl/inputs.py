"""The inputs of a generator that a caller asks for: seeds or latents, and their classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ganctl import latents_file, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.errors import Setting, Text, UsageError
from ganctl.images import Pixels
from ganctl.latents_file import Latents
from ganctl.sampling import Labels, classes_of
from ganctl.seeds import (
    Class,
    as_ranges,
    class_numbers,
    is_single_class,
    keyframes,
    paired,
    pairing_error,
    valid_seeds,
)
from ganctl.text import counted, listed, printable

GivenLatents = Latents | ArrayLike | str | Path
"""Latents, an array (N, latent_dim), or the path of a file of latents."""
_NUM_SEEDS = 16
"""Number of samples that are drawn by default."""
_MAX_LISTED = 1_000_000
"""Maximum number of samples whose labels are held in memory."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Seeds or latents in order, each with its class if there are classes."""

    network: NetworkConfig
    truncation: float
    seeds: Sequence[int]
    """The seeds; those that the latents were drawn from, or none, if latents were given."""
    labels: Labels | None = None
    """The number of each one's class. None if there are no classes, and if seed k is of class k
    modulo their number."""
    given: Latents | None = None
    """The latents, if they were given instead of seeds."""
    text: Mapping[str, str] = field(default_factory=dict)
    """Text for a file: which seeds or latents, and which classes."""
    shift: NDArray[np.float32] | None = None
    """What is added to each latent after truncation, (latent_dim,)."""

    def __len__(self) -> int:
        return len(self.seeds if self.given is None else self.given)

    def draw(self, generator: nn.Module) -> Iterator[Pixels]:
        """Yield the images in chunks, uint8 (n, H, W, C)."""
        if self.given is None:
            return sampling.sample_seeds(
                generator, self.seeds, self.network, self.labels, self.truncation, self.shift
            )
        return sampling.sample_latents(generator, self.tensor(), self.network)

    def tensor(self) -> Tensor:
        """Return the inputs, float32 (N, input_dim): latents as they are drawn, then classes."""
        how = (self.network, self.labels, self.truncation, self.shift)
        if self.given is None:
            return sampling.inputs_of(self.seeds, *how)
        return sampling.inputs_at(self.given.points, *how)

    def latents(self) -> Latents:
        """Return the latents as they are drawn. Raises UsageError if a file cannot hold them."""
        latents_file.require_writable(len(self), self.network.latent_dim)
        labels, count = self.labels, self.network.num_classes
        if labels is None and count:
            labels = classes_of(self.seeds, count)
        return Latents(
            self.tensor()[:, : self.network.latent_dim].contiguous().numpy(),
            None if labels is None else np.array(labels, np.int64),
            self.seeds if self._are_of_seeds else None,
        )

    @property
    def _are_of_seeds(self) -> bool:
        return self.shift is None and (self.given is None or self.given.seeds is not None)

    def moved(self, shift: NDArray[np.float32], how: str) -> Inputs:
        """Return the same inputs moved by `shift`, (latent_dim,); `how` says so in a file."""
        return replace(self, shift=shift, text={**self.text, "move": how})

    def along(self, vector: NDArray[np.float32], reach: float, name: int | str) -> Inputs:
        """Return both ends of a walk through the only latent, `reach` times `vector` from it.

        `name` is that of the direction. Raises UsageError if there are several latents.
        """
        if len(self) != 1:
            raise UsageError(
                f"a walk along a direction goes through one latent, and there are {len(self):,}",
                "Give one seed.",
            )
        found = self.latents()
        step = (reach * vector).astype(np.float32)
        ends = np.concatenate([found.points - step, found.points + step])
        labels = None if found.classes is None else np.repeat(found.classes, 2)
        return Inputs(
            self.network, 1.0, self.seeds, labels, Latents(ends),
            {**self.text, "along": f"{name}={reach:g}"},
        )  # fmt: skip


def of_samples(
    network: NetworkConfig,
    names: Sequence[str],
    *,
    seeds: Iterable[int] | None,
    latents: GivenLatents | None,
    classes: Class | Sequence[Class] | None,
    truncation: float,
    every_class: bool = False,
) -> Inputs:
    """Return the inputs of samples; `names` are those of the classes. Raises UsageError."""
    given = _given(latents, seeds, network)
    labels: Labels | None = None
    if given is None:
        seeds = valid_seeds(range(_NUM_SEEDS) if seeds is None else seeds)
        count, text = len(seeds), {"seeds": as_ranges(seeds)}
    else:
        seeds, count, text = given.seeds or (), len(given), given.text
    if every_class:
        if given is not None:
            raise UsageError("latents cannot be drawn in every class", "Give one class.")
        if count * len(names) > _MAX_LISTED:
            many = counted(len(names), "class", "classes")
            raise UsageError(f"{count:,} of each of {many} are more than {_MAX_LISTED:,}")
        labels, seeds = np.repeat(np.arange(len(names)), count), tuple(seeds) * len(names)
        text["classes"] = listed(names)
    elif classes is not None:
        numbers = class_numbers(classes, names)
        if is_single_class(classes):
            labels = np.broadcast_to(np.int64(numbers[0]), count)  # takes no memory
            text["class"] = names[numbers[0]]
        elif len(numbers) != count:
            raise pairing_error(len(numbers), count, "seed" if given is None else "latent")
        else:
            labels = numbers
            text["classes"] = listed(names[number] for number in numbers)
    elif given is not None:
        labels = _labels_of(given, names)
    return Inputs(network, truncation, seeds, labels, given, text)


def of_keyframes(
    network: NetworkConfig,
    names: Sequence[str],
    *,
    seeds: Iterable[int] | None,
    latents: GivenLatents | None,
    classes: Class | Sequence[Class] | None,
    truncation: float,
) -> Inputs:
    """Return the inputs at the keyframes of a walk, or at the corners of a sheet.

    Raises UsageError.
    """
    given = _given(latents, seeds, network)
    numbers = None if classes is None else class_numbers(classes, names)
    labels: Labels | None
    if given is None:
        seeds, labels = keyframes(seeds, numbers)
        text = {"seeds": ",".join(map(str, seeds))}
    else:
        places, labels = paired(range(len(given)), numbers, "latent")
        text = given.text
        given = given.picked(places)
        seeds = given.seeds or ()
        labels = _labels_of(given, names) if labels is None else labels
    if labels is not None:
        text["classes"] = listed(names[label] for label in labels)
    return Inputs(network, truncation, seeds, labels, given, text)


def _given(
    latents: GivenLatents | None, seeds: Iterable[int] | None, network: NetworkConfig
) -> Latents | None:
    if latents is None:
        return None
    if seeds is not None:
        raise UsageError("give either seeds or latents")
    return latents_file.fitting(latents, network)


def _labels_of(given: Latents, names: Sequence[str]) -> Labels | None:
    """Return the classes of latents, by their own numbers or else by their seeds."""
    if not names or given.classes is not None:
        return given.classes
    if given.seeds is not None:
        return classes_of(given.seeds, len(names))
    shown = "the array" if given.path is None else f"'{printable(str(given.path))}'"
    raise UsageError(
        f"{shown} does not say of which classes its latents are",
        Text("Choose them with {}, or add an array 'classes'.", Setting("classes")),
    )
