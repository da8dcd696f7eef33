"""The samples of a run over its epochs, as data URIs of a limited total size."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganctl import images
from ganctl.images import Pixels
from ganctl.report.runs import Run, thinned
from ganctl.training.pictures import read_samples

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
    """Whether the picture has all pixels of the samples, and can be enlarged without blur."""


def frames(run: Run, budget: int) -> list[Frame]:
    """Return the samples of the run in the order of the epochs, thinned out to fit the budget.

    Their files have at most `budget` bytes together, but one is always kept. Files that are not
    pictures of this run are skipped.
    """
    epochs = thinned(list(_samples(run)), MAX_FRAMES)
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


def _samples(run: Run) -> dict[int, Path]:
    """Return the pictures by epoch; those past the checkpoint show another state."""
    found = {int(path.stem.partition("-")[2]): path for path in run.folder.samples()}
    return {
        epoch: path
        for epoch, path in found.items()
        if 1 <= epoch <= run.last_epoch and path == run.folder.sample(epoch)
    }


def _read(run: Run, epochs: list[int]) -> Iterator[tuple[int, Pixels]]:
    """Yield the samples after `epochs`, each image at its own size."""
    config, samples = run.checkpoint.config, _samples(run)
    factor = images.preview_factor(config.network.height)
    wanted = {samples[epoch]: epoch for epoch in epochs}
    for path, picture in read_samples(config, wanted):
        yield wanted[path], picture[::factor, ::factor]
