"""The samples of a run over its epochs, as data URIs of a limited total size."""

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
"""Number of epochs whose samples are shown."""
_MIN_FRAMES = 12
"""Number of pictures below which quality is reduced instead of leaving out more of them."""
_QUALITIES = ((1024, None), (1024, 85), (640, 60))
"""The longest side in pixels and the WebP quality (None: lossless), the best first."""


@dataclass(frozen=True)
class Frame:
    """The fixed samples after an epoch."""

    epoch: int
    width: int
    height: int
    uri: str
    sharp: bool
    """Whether it has all pixels of the samples, which can then be shown as squares."""


def frames(run: Run, budget: int) -> list[Frame]:
    """Return the samples of the run in the order of the epochs, thinned out to fit the budget.

    Their files have at most `budget` bytes together, but one is always kept. Files that are not
    pictures of this run are skipped.
    """
    epochs = thinned(_epochs(run), MAX_FRAMES)
    _, last = next(_read(run, epochs[::-1]), (0, None))
    if last is None:
        return []
    wanted = min(_MIN_FRAMES, len(epochs))
    for side, quality in _QUALITIES:
        if wanted * len(_encoded(last, side, quality)) <= budget:
            break
    files = [
        (epoch, picture.shape, _encoded(picture, side, quality))
        for epoch, picture in _read(run, epochs)
    ]
    while len(files) > 1 and (total := sum(len(content) for *_, content in files)) > budget:
        files = thinned(files, max(1, min(len(files) - 1, len(files) * budget // total)))
    is_sharp = max(last.shape) <= side
    return [
        Frame(epoch, shape[1], shape[0], data_uri(content), is_sharp)
        for epoch, shape, content in files
    ]


def data_uri(webp: bytes) -> str:
    """Return a WebP file as the source of an image."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _encoded(picture: Pixels, side: int, quality: int | None) -> bytes:
    return images.webp(images.shrink(picture, side), quality)


def _epochs(run: Run) -> list[int]:
    """Return the epochs that have a picture; those past the checkpoint show another state."""
    found = [(int(path.stem.partition("-")[2]), path) for path in run.folder.samples()]
    return [
        epoch
        for epoch, path in found
        if 1 <= epoch <= run.last_epoch and path == run.folder.sample(epoch)
    ]


def _read(run: Run, epochs: list[int]) -> Iterator[tuple[int, Pixels]]:
    """Yield the samples after `epochs`, each image at its own size."""
    config = run.checkpoint.config
    network = config.network
    factor = images.preview_factor(network.height)
    size = (config.num_samples, network.height, network.width, network.channels)
    # Only the shape of the grid is needed: this takes no memory.
    height, width, channels = images.grid(np.broadcast_to(np.uint8(0), size)).shape
    for epoch in epochs:
        path = run.folder.sample(epoch)
        with contextlib.suppress(OSError):
            if path.is_file():  # reading a pipe would block
                with path.open("rb") as file:
                    picture = images.read_png(file, (height * factor, width * factor, channels))
                if picture is not None:
                    yield epoch, picture[::factor, ::factor]
