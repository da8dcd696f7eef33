"""Sets of images as a feature network sees them: each image whole, at its own size.

Only features and a digest of each image are kept in memory, never the pixels of a whole set.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganctl.datasets.dataset import Progress
from ganctl.datasets.decoding.decode import PASSING
from ganctl.datasets.local import cache
from ganctl.datasets.local.survey import Survey, describe_problems
from ganctl.datasets.local.whole import WholeImages
from ganctl.datasets.sources.base import Problem
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.evaluation import real_features
from ganctl.features import Activations, FeatureNetwork, extract
from ganctl.images import Pixels
from ganctl.text import counted, printable

_CHUNK_IMAGES, _CHUNK_PIXELS = 64, 2**22
"""Limits of the images that are prepared for the network at once."""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class ImageSet:
    """The features of a set of images."""

    name: str
    """The path of the images, the name of the data set, or the checkpoint of the samples."""
    activations: Activations
    digests: tuple[str, ...]
    """Digest of each image's size and pixels, as hex: those of equal images are equal."""
    sizes: dict[str, int]
    """Number of images of each size, as 'WIDTHxHEIGHT', the most common one first."""
    num_skipped: int = 0
    """Number of files that cannot be used and were left out."""
    notes: tuple[str, ...] = ()
    """What a user should know about the files: which were left out, how folders were read."""

    def __len__(self) -> int:
        return len(self.activations)

    @property
    def size(self) -> str:
        """The size of the images in words: '64x64', or '64x64 and 3 other sizes'."""
        first, *others = self.sizes
        return f"{first} and {counted(len(others), 'other size')}" if others else first

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like values."""
        return {
            "name": self.name, "num_images": len(self), "sizes": self.sizes,
            "num_skipped": self.num_skipped,
        }  # fmt: skip


def of_files(
    network: FeatureNetwork,
    name: str,
    images: WholeImages,
    survey: Survey,
    *,
    skip_bad: bool,
    is_kept: bool,
    progress: Progress,
) -> ImageSet:
    """Return the features of measured `images`, called `name`; if `is_kept`, they are cached.

    Raises DataError if an image cannot be decoded, unless `skip_bad`.
    """
    key = real_features.key_of(network, "set", images.key)
    if is_kept and (kept := _find(key, name)) is not None and (skip_bad or not kept.num_skipped):
        return kept
    problems = list(survey.problems)
    reader = _Reader()

    def intact() -> Iterator[Pixels]:
        for one in images.read():
            if not isinstance(one, Problem):
                yield one
            elif skip_bad:
                problems.append(one)
            else:
                raise DataError(
                    f"an image in {printable(name)} cannot be used",
                    Text("Add {} to leave such images out.", Setting("skip_bad", True)),
                    details=describe_problems([one]),
                )

    task = f"extracting features of {printable(name)}"
    progress(task, 0, survey.num_images)
    found = reader.extract(network, intact(), lambda done: progress(task, done, survey.num_images))
    notes = list(survey.notes)
    if survey.num_held_out:
        notes.append(
            f"The {counted(survey.num_held_out, 'held-out image')} of {printable(name)} are not "
            "compared; give their own folder for that."
        )
    if problems:
        notes.append(f"Left out of {printable(name)}, because they cannot be used:")
        notes += [f"  {line}" for line in describe_problems(problems)]
    whole = ImageSet(
        name, found, tuple(reader.digests), reader.sizes, len(problems), tuple(notes)
    )  # fmt: skip
    if is_kept and not any(problem.reason.startswith(PASSING) for problem in problems):
        _keep(key, whole)
    return whole


def of_samples(
    network: FeatureNetwork, name: str, chunks: Iterable[Pixels], count: int, progress: Progress
) -> ImageSet:
    """Return the features of `count` samples, uint8 chunks (n, H, W, C)."""
    reader = _Reader()
    task = "drawing samples"
    progress(task, 0, count)
    found = reader.extract(
        network,
        (image for chunk in chunks for image in chunk),
        lambda done: progress(task, done, count),
    )
    return ImageSet(name, found, tuple(reader.digests), reader.sizes)


class _Reader:
    """Images on their way to the network, whose sizes and digests are kept."""

    def __init__(self) -> None:
        self.digests: list[str] = []
        self._sizes: Counter[str] = Counter()

    @property
    def sizes(self) -> dict[str, int]:
        return dict(self._sizes.most_common())

    def extract(
        self, network: FeatureNetwork, images: Iterable[Pixels], progress: Any
    ) -> Activations:
        """Return the activations of `images`, each uint8 (H, W, C), in their order."""
        return extract(network, self._chunks(_fitting(network, images)), progress)

    def _chunks(self, images: Iterable[Pixels]) -> Iterator[Pixels]:
        """Yield together images of one size that follow one another."""
        chunk: list[Pixels] = []
        for image in images:
            height, width, _ = image.shape
            self._sizes[f"{width}x{height}"] += 1
            self.digests.append(_digest(image))
            is_full = len(chunk) >= min(_CHUNK_IMAGES, _CHUNK_PIXELS // (height * width))
            if chunk and (is_full or image.shape != chunk[0].shape):
                yield np.stack(chunk)
                chunk = []
            chunk.append(image)
        if chunk:
            yield np.stack(chunk)


def _fitting(network: FeatureNetwork, images: Iterable[Pixels]) -> Iterator[Pixels]:
    """Yield `images`. Raises UsageError at one that the network does not know."""
    known = network.image_shape
    for image in images:
        if known is not None and image.shape != known:
            height, width, channels = image.shape
            kind = "RGB" if channels == 3 else "gray"
            raise UsageError(
                f"{network.name} is for images of {known[1]}x{known[0]}, and one is {width}x"
                f"{height} {kind}",
                Text("Give {}.", Setting("features", "imagenet")),
            )
        yield image


def _digest(image: Pixels) -> str:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _find(key: str, name: str) -> ImageSet | None:
    activations = real_features.find(key)
    content = cache.find_bytes(key, "set")
    if activations is None or content is None:
        return None
    kept = json.loads(content)
    return ImageSet(
        name, activations, tuple(kept["digests"]), kept["sizes"], kept["num_skipped"],
        tuple(kept["notes"]),
    )  # fmt: skip


def _keep(key: str, whole: ImageSet) -> None:
    kept = {
        "digests": whole.digests, "sizes": whole.sizes, "num_skipped": whole.num_skipped,
        "notes": whole.notes,
    }  # fmt: skip
    real_features.keep(key, whole.activations)
    cache.keep_bytes(key, "set", json.dumps(kept).encode())
