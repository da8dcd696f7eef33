"""What a run shows of itself: the fixed samples, the loss plot and the animation."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from ganctl import images, plots
from ganctl.config.schema import TrainConfig
from ganctl.errors import RunError
from ganctl.history import Row
from ganctl.images import Pixels
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory

_SHARE = 0.003
"""The plot and the animation are drawn anew when that takes at most this share of the time since
they last were; at the end they always are."""
_PREVIEW_SHARE = 0.002
"""So are samples inside an epoch; but not more often than a person looks."""
_PREVIEW_SECONDS = 2.0
_MAX_FRAMES = 120
_MAX_FRAME_BYTES = 2**29
"""Bytes of all frames of the animation, which are in memory at once."""


class Pictures:
    """All that a run draws, in its own folder. Raises RunError for what cannot be written."""

    def __init__(
        self, run: RunDirectory, config: TrainConfig, on_problem: Callable[[str], None]
    ) -> None:
        self._run = run
        self._config = config
        self._on_problem = on_problem
        self._last = time.monotonic()
        self._seconds = 0.0
        self._next_preview = 0.0

    def draw_samples(self, generator: nn.Module, epoch: int) -> Pixels:
        """The fixed samples after `epoch`: seeds 0, 1, 2, ..., as `ganctl sample` draws them."""
        pictures = self._sample(generator)
        self._run.write(self._run.sample(epoch), images.png(self._grid(pictures)))
        return pictures

    def preview_now_and_then(self, generator: nn.Module) -> Pixels | None:
        """The fixed samples as they are, written nowhere; None where that would take too much time.

        Nothing of the training depends on it.
        """
        started = time.monotonic()
        if started < self._next_preview:
            return None
        self._next_preview = math.inf  # where this fails it is not tried again
        pictures = self._sample(generator)
        ended = time.monotonic()
        self._next_preview = ended + max(_PREVIEW_SECONDS, (ended - started) / _PREVIEW_SHARE)
        return pictures

    def _sample(self, generator: nn.Module) -> Pixels:
        seeds = range(self._config.num_samples)
        return images.concatenate(sample_seeds(generator, seeds, self._config.network))

    def draw_now_and_then(self, history: Sequence[Row]) -> None:
        """`draw`, unless too much time would go into it."""
        if time.monotonic() - self._last > self._seconds / _SHARE:
            self.draw(history)

    def draw(self, history: Sequence[Row]) -> None:
        """The loss plot and the animation, from the history and from what is on disk.

        What cannot be drawn is told, and costs no training.
        """
        started = time.monotonic()
        try:
            self._draw_losses(history)
            self._draw_animation()
        except RunError:
            raise
        except Exception as error:
            self._on_problem(
                f"{self._run.losses_plot} and {self._run.animation} could not be drawn: "
                f"{type(error).__name__}: {error}"
            )
        self._last = time.monotonic()
        self._seconds = self._last - started

    def _draw_losses(self, history: Sequence[Row]) -> None:
        if history:
            title = f"{self._config.preset} on {self._config.data}, seed {self._config.seed}"
            self._run.write(self._run.losses_plot, plots.losses_png(history, title))

    def _draw_animation(self) -> None:
        frames = self._frames()
        if frames:
            milliseconds = max(60, min(500, 8000 // len(frames)))
            content = images.animation(frames, "gif", milliseconds=milliseconds, hold=4)
            self._run.write(self._run.animation, content)

    def _frames(self) -> list[Pixels]:
        """The fixed samples over the epochs, of which not all may still be what was written."""
        paths = [path for path in self._run.samples() if path.is_file()]
        network = self._config.network
        size = (self._config.num_samples, network.height, network.width, network.channels)
        shape = self._grid(np.zeros(size, np.uint8)).shape
        most = max(2, min(_MAX_FRAMES, _MAX_FRAME_BYTES // math.prod(shape)))
        every = math.ceil(len(paths) / most)
        frames = []
        for path in paths[::-1][::every][::-1] if paths else []:
            with contextlib.suppress(OSError), path.open("rb") as file:
                frames.append(images.read_png(file, shape))
        return [frame for frame in frames if frame is not None]

    def _grid(self, pictures: Pixels) -> Pixels:
        factor = images.preview_factor(self._config.network.height)
        return images.enlarge(images.grid(pictures), factor)


def variety(pictures: Pixels) -> float:
    """Return how much uint8 pictures (N, H, W, C) differ from one another, N >= 2.

    The standard deviation of each pixel over the pictures, averaged over the pixels; 0 to 127.5.
    """
    return float(pictures.std(axis=0, dtype="f8").mean())
