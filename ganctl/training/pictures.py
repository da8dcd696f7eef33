"""The pictures in a run's folder: the fixed samples, the loss plot and the animation."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import nn

import ganctl
from ganctl import images, plots
from ganctl.config.schema import TrainConfig
from ganctl.errors import RunError
from ganctl.history import Row
from ganctl.images import Pixels
from ganctl.sampling import sample_seeds
from ganctl.seeds import as_ranges
from ganctl.store import RunDirectory

_DRAW_SHARE = 0.003
"""Share of the time that the plot and the animation may take before the run ends."""
_PREVIEW_SHARE = 0.002
"""Share of the time that samples inside an epoch may take."""
_PREVIEW_SECONDS = 2.0
"""Minimum time between samples inside an epoch: more are of no use to a viewer."""
_MAX_FRAMES = 120
_MAX_FRAME_BYTES = 2**29
"""Bytes of all frames of the animation, which are in memory at once."""
_FRAME_SIDE = 1280
"""Longest side of a frame in pixels; larger pictures are reduced."""


class Pictures:
    """The pictures of a run, drawn into its folder. Raises RunError if one cannot be written."""

    def __init__(
        self, run: RunDirectory, config: TrainConfig, on_problem: Callable[[str], None]
    ) -> None:
        self._run = run
        self._config = config
        self._on_problem = on_problem
        self._last_drawn = time.monotonic()
        self._drawing_seconds = 0.0
        self._next_preview = 0.0

    def draw_samples(self, generator: nn.Module, epoch: int) -> Pixels:
        """Draw the samples of seeds 0, 1, 2, ... into a file; return them, uint8 (N, H, W, C)."""
        samples = self._sample(generator)
        text = {**self._provenance, "epoch": str(epoch)}
        self._run.write(self._run.sample(epoch), images.png(_grid(samples), text))
        return samples

    def preview_if_due(self, generator: nn.Module) -> Pixels | None:
        """Return the fixed samples without writing them; None if that would take too much time."""
        started = time.monotonic()
        if started < self._next_preview:
            return None
        self._next_preview = math.inf  # not tried again if this fails
        samples = self._sample(generator)
        ended = time.monotonic()
        self._next_preview = ended + max(_PREVIEW_SECONDS, (ended - started) / _PREVIEW_SHARE)
        return samples

    def draw_if_due(self, history: Sequence[Row]) -> None:
        """Call `draw`, unless that would take too much time."""
        if time.monotonic() - self._last_drawn > self._drawing_seconds / _DRAW_SHARE:
            self.draw(history)

    def draw(self, history: Sequence[Row]) -> None:
        """Draw the loss plot from the history, and the animation from the samples on disk.

        A failure other than RunError is reported as a problem, and the run continues.
        """
        started = time.monotonic()
        try:
            if history:
                title = f"{self._config.preset} on {self._config.data}, seed {self._config.seed}"
                self._run.write(self._run.losses_plot, plots.losses_png(history, title))
            if frames := self._frames():
                milliseconds = max(60, min(500, 8000 // len(frames)))
                content = images.animation(
                    frames, "gif", milliseconds=milliseconds, hold=4, text=self._provenance
                )
                self._run.write(self._run.animation, content)
        except RunError:
            raise
        except Exception as error:
            self._on_problem(
                f"{self._run.losses_plot} and {self._run.animation} could not be drawn: "
                f"{type(error).__name__}: {error}"
            )
        self._last_drawn = time.monotonic()
        self._drawing_seconds = self._last_drawn - started

    @property
    def _provenance(self) -> dict[str, str]:
        """Text for the files: how the run was made, and which samples they show."""
        config = self._config
        return {
            "Software": f"ganctl {ganctl.__version__}",
            "preset": config.preset,
            "data": Path(config.data).name,  # not where its maker keeps files
            "run_seed": str(config.seed),
            "weights": "ema" if config.ema_images else "generator",
            "seeds": as_ranges(range(config.num_samples)),
        }

    def _sample(self, generator: nn.Module) -> Pixels:
        seeds = range(self._config.num_samples)
        return images.concatenate(sample_seeds(generator, seeds, self._config.network))

    def _frames(self) -> list[Pixels]:
        """Return the samples of all epochs, thinned out."""
        paths = [path for path in self._run.samples() if path.is_file()]
        height, width, channels = _shape(self._config)
        frame_bytes = min(height, _FRAME_SIDE) * min(width, _FRAME_SIDE) * channels
        most = max(2, min(_MAX_FRAMES, _MAX_FRAME_BYTES // frame_bytes))
        every = max(1, math.ceil(len(paths) / most))
        pictures = read_samples(self._config, paths[::-1][::every][::-1])
        shrunk = (images.shrink(picture, _FRAME_SIDE) for _, picture in pictures)
        return [images.over_white(picture) for picture in shrunk]


def read_samples(config: TrainConfig, paths: Iterable[Path]) -> Iterator[tuple[Path, Pixels]]:
    """Yield the pictures of a run's samples, uint8 (H, W, C); skip all other files."""
    shape = _shape(config)
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_file():  # reading a pipe would block
                with path.open("rb") as file:
                    picture = images.read_png(file, shape)
                if picture is not None:
                    yield path, picture


def _grid(samples: Pixels) -> Pixels:
    return images.enlarge(images.grid(samples), images.preview_factor(samples.shape[1]))


def _shape(config: TrainConfig) -> tuple[int, ...]:
    """Return the shape of the picture of a run's samples."""
    network = config.network
    size = (config.num_samples, network.height, network.width, network.channels)
    height, width, channels = images.grid(np.broadcast_to(np.uint8(0), size)).shape
    factor = images.preview_factor(network.height)
    return height * factor, width * factor, channels


def variety(pixels: Pixels) -> float:
    """Return how much uint8 images (N, H, W, C) differ from one another, N >= 2.

    The standard deviation of each pixel over the images, averaged over the pixels; 0 to 127.5.
    """
    return float(pixels.std(axis=0, dtype="f8").mean())
