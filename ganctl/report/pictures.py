"""A run's samples over its epochs as data URIs that keep to a budget."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ganctl import images
from ganctl.images import Pixels
from ganctl.report.runs import Run, thinned

MAX_FRAMES = 60
"""Epochs of which a run's samples are shown."""
_ENOUGH = 12
"""Pictures are embedded with less fidelity where fewer than so many would fit otherwise."""
_KINDS = ((1024, None), (1024, 85), (640, 60))
"""The longest side and the quality (None: without loss), from the best on."""


@dataclass(frozen=True)
class Frame:
    """The fixed samples after an epoch."""

    epoch: int
    width: int
    height: int
    uri: str
    sharp: bool
    """Whether it has all pixels of the samples, which may then be shown as squares."""


def frames(run: Run, budget: int) -> list[Frame]:
    """The run's samples in the order of the epochs, thinned out until they fit.

    Their files together have at most `budget` bytes, except that one is always kept. What is not
    such a picture as ganctl makes is passed over.
    """
    numbers = thinned(_epochs(run), MAX_FRAMES)
    _, last = next(_read(run, numbers[::-1]), (0, None))
    if last is None:
        return []
    wanted = min(_ENOUGH, len(numbers))
    for side, quality in _KINDS:
        if wanted * len(_encoded(last, side, quality)) <= budget:
            break
    sharp = max(last.shape) <= side
    files = [
        (epoch, picture.shape, _encoded(picture, side, quality))
        for epoch, picture in _read(run, numbers)
    ]
    while len(files) > 1 and (total := sum(len(content) for *_, content in files)) > budget:
        files = thinned(files, max(1, min(len(files) - 1, len(files) * budget // total)))
    return [
        Frame(epoch, shape[1], shape[0], data_uri(content), sharp)
        for epoch, shape, content in files
    ]


def data_uri(webp: bytes) -> str:
    """A WebP file as the source of an image."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _encoded(picture: Pixels, side: int, quality: int | None) -> bytes:
    return images.webp(images.shrink(picture, side), quality)


def _epochs(run: Run) -> list[int]:
    """Those of which there is a picture; one past the checkpoint is of another state."""
    found = [(int(path.stem.partition("-")[2]), path) for path in run.folder.samples()]
    return [
        epoch
        for epoch, path in found
        if 1 <= epoch <= run.last_epoch and path == run.folder.sample(epoch)
    ]


def _read(run: Run, epochs: list[int]) -> Iterator[tuple[int, Pixels]]:
    """The samples after `epochs`, each image at its own size."""
    config = run.checkpoint.config
    network = config.network
    factor = images.preview_factor(network.height)
    # Of no use but its shape, and takes no memory.
    blank = np.broadcast_to(np.uint8(0), (config.num_samples, network.height, network.width,
                                          network.channels))  # fmt: skip
    height, width, channels = images.grid(blank).shape
    shape = (height * factor, width * factor, channels)
    for epoch in epochs:
        path = run.folder.sample(epoch)
        with contextlib.suppress(OSError):
            if path.is_file():  # a pipe is never read
                with path.open("rb") as file:
                    picture = images.read_png(file, shape)
                if picture is not None:
                    yield epoch, picture[::factor, ::factor]
