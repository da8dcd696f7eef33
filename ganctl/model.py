"""A generator from a checkpoint: what the commands that draw, and Python programs, work with."""

from __future__ import annotations

import html
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch import Tensor, nn

import ganctl
from ganctl import images, latents, machine, sampling, store
from ganctl.classes import find, names_of
from ganctl.config.schema import MAX_SEED, NetworkConfig, TrainConfig
from ganctl.errors import Setting, Text, UsageError
from ganctl.images import Pixels
from ganctl.networks import load_generator
from ganctl.samples import Samples, Walk
from ganctl.sampling import Labels
from ganctl.text import counted, listed, nearest

Class = SupportsIndex | str
"""A class, by its number, of NumPy's or torch's types too, or by its name."""
_KEYFRAMES = (0, 1, 2, 3)
"""Seeds that a walk goes through where nobody says."""


@dataclass(frozen=True, eq=False)
class Model:
    """A generator that is ready to draw, and where it came from."""

    path: Path
    generator: nn.Module
    data: str
    """The name of what it was trained on."""
    data_digest: str
    """Of all the images that it was trained on."""
    classes: tuple[str, ...]
    """What its classes are called; none where it was told of none."""
    ema: bool
    """Whether its weights are the moving average."""
    digest: str
    step: int
    config: TrainConfig
    """What it was trained with."""

    @property
    def network(self) -> NetworkConfig:
        """The shape of its images and of its latents."""
        return self.config.network

    def sample(
        self,
        seeds: Iterable[int] = range(16),
        *,
        classes: Class | Sequence[Class] | None = None,
        truncation: float = 1.0,
    ) -> Samples:
        """The images of `seeds`. Each is a function of its seed, class and `truncation` alone.

        `classes` is one for all, or one for each seed; None: seed k is of class k modulo their
        number. `truncation`, in (0, 1], trades variety for typical images (`sampling.inputs_of`).
        Raises UsageError for a seed, a class or a truncation that there is not.

        >>> model = load("runs/mnist-fast")
        >>> samples = model.sample(range(10), classes="7")
        >>> samples.pixels.shape, samples.pixels.dtype
        ((10, 28, 28, 1), dtype('uint8'))
        >>> samples.grid(columns=5).size  # Pillow's; each pixel 3 x 3
        (420, 168)
        """
        seeds = seeds if isinstance(seeds, range) else [*map(operator.index, seeds)]
        require_seeds(seeds)
        self._require_memory(len(seeds))
        numbers = self.numbers(classes, len(seeds))
        chunks = self.chunks(seeds, numbers, truncation)
        pixels = images.concatenate([self._no_images(), *chunks])
        return Samples(pixels, tuple(seeds), text=self.text)

    def chunks(
        self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0
    ) -> Iterator[Pixels]:
        """The images of any number of seeds, some at a time, each uint8 (n, H, W, C)."""
        require_truncation(truncation)
        self._require_memory()
        return sampling.sample_seeds(self.generator, seeds, self.network, labels, truncation)

    def draw(self, points: Tensor) -> Pixels:
        """The images of the generator's inputs, float32 (N, input_dim); uint8 (N, H, W, C)."""
        self._require_memory(len(points))
        chunks = sampling.sample_latents(self.generator, points, self.network)
        return images.concatenate([self._no_images(), *chunks])

    def interpolate(
        self,
        seeds: Sequence[int] | None = None,
        *,
        classes: Class | Sequence[Class] | None = None,
        frames: int = 24,
        mode: str = "slerp",
        ease: str = "linear",
        loop: bool = False,
        truncation: float = 1.0,
    ) -> Walk:
        """A walk from seed to seed, `frames` steps each; with `loop` back to the first one.

        Every seed's own image is met exactly. `mode` is slerp (along the sphere) or lerp; `ease`
        is linear, or smooth: each leg starts and ends at rest. One class is for all, several for
        as many seeds; one seed may go through several classes. Raises UsageError.

        >>> model = load("runs/mnist-fast")
        >>> walk = model.interpolate([3, 7, 12], frames=8, ease="smooth", loop=True)
        >>> len(walk)
        24
        >>> walk.save("walk.apng", fps=20)
        """
        stops, numbers = self.keyframes(seeds, classes)
        points = latents.path(
            self._inputs(stops, numbers, frames, mode, ease, truncation),
            self.network.latent_dim, frames=frames, mode=mode, ease=ease, loop=loop,
        )  # fmt: skip
        return Walk(self.draw(points), tuple(stops), columns=len(points), text=self.text)

    def sheet(
        self,
        seeds: Sequence[int],
        *,
        classes: Class | Sequence[Class] | None = None,
        frames: int = 8,
        mode: str = "slerp",
        ease: str = "linear",
        truncation: float = 1.0,
    ) -> Samples:
        """A square sheet of images between those of four seeds, `frames` + 1 a side.

        The seeds are its corners: top left, top right, bottom left, bottom right. The rest is as in
        `interpolate`.

        >>> load("runs/mnist-fast").sheet([0, 1, 2, 3], frames=4).grid(upscale=1).size
        (140, 140)
        """
        stops, numbers = self.keyframes(seeds, classes)
        if len(stops) != 4:
            raise UsageError(f"a sheet has four corners, not {len(stops)}")
        points = latents.sheet(
            self._inputs(stops, numbers, frames, mode, ease, truncation),
            self.network.latent_dim, frames=frames, mode=mode, ease=ease,
        )  # fmt: skip
        return Samples(self.draw(points), tuple(stops), columns=frames + 1, text=self.text)

    def numbers(
        self, classes: Class | Sequence[Class] | None, count: int, thing: str = "seed"
    ) -> Labels | None:
        """The class of each of `count` seeds as a number; None: each has its own.

        Raises UsageError for a class that there is not, and for others than one or `count`.
        """
        if classes is None:
            return None
        names = self.require_classes()
        several = _several(classes)
        if several is None:
            # However many there are, it takes no memory.
            return np.broadcast_to(np.int64(_number(classes, names)), count)
        if len(several) != count:
            raise UsageError(
                f"{counted(len(several), 'class', 'classes')} cannot be paired with "
                f"{counted(count, thing)}"
            )
        return [_number(each, names) for each in several]

    def keyframes(
        self, seeds: Sequence[int] | None, classes: Class | Sequence[Class] | None
    ) -> tuple[list[int], list[int] | None]:
        """The seed and the class of each keyframe of a walk; no classes: each seed has its own.

        Raises UsageError where there are neither as many classes as seeds, nor one of either.
        """
        labels = None
        if classes is not None:
            names = self.require_classes()
            several = _several(classes)
            wanted = [classes] if several is None else several
            labels = [_number(each, names) for each in wanted]
        if seeds is None:
            seeds = _KEYFRAMES if labels is None or len(labels) == 1 else _KEYFRAMES[:1]
        seeds = [*map(operator.index, seeds)]
        require_seeds(seeds)
        count = max(len(seeds), len(labels or ()))
        if count < 2:
            either = "" if labels is None else " or two classes"
            raise UsageError(f"a walk needs at least two seeds{either}", "For example: 3,7")
        if labels is None:
            return [*seeds], None
        if len(seeds) not in (1, count) or len(labels) not in (1, count):
            raise UsageError(
                f"{counted(len(labels), 'class', 'classes')} cannot be paired with "
                f"{counted(len(seeds), 'seed')}",
                "Name one class, or one for each seed, or a single seed.",
            )
        return [*seeds] * (count // len(seeds)), labels * (count // len(labels))

    def require_classes(self) -> tuple[str, ...]:
        """The names of its classes. Raises UsageError where it knows none."""
        if not self.classes:
            raise UsageError(
                f"{self.path} knows no classes",
                Text(
                    "Only a run trained with {}, on images that have classes, can be asked "
                    "for one.",
                    Setting("conditional", True),
                ),
            )
        return self.classes

    @property
    def text(self) -> dict[str, str]:
        """For a PNG's text chunks: which checkpoint, and which program, made the picture."""
        return {
            "Software": f"ganctl {ganctl.__version__}",
            "checkpoint": self.digest,
            "step": str(self.step),
            "weights": "ema" if self.ema else "generator",
        }

    def __repr__(self) -> str:
        height, width = self.network.height, self.network.width
        return (
            f"Model({str(self.path)!r}: {self.config.preset} on {self.data}, "
            f"{height}x{width}x{self.network.channels}, {len(self.classes)} classes, "
            f"step {self.step:,})"
        )

    def _repr_html_(self) -> str:
        words = html.escape(repr(self))
        known = f"<br>classes: {html.escape(listed(self.classes))}" if self.classes else ""
        return f"<code>{words}</code>{known}"

    def _inputs(
        self,
        seeds: Sequence[int],
        labels: Labels | None,
        frames: int,
        mode: str,
        ease: str,
        truncation: float,
    ) -> Tensor:
        require_walk(frames, mode, ease)
        require_truncation(truncation)
        return sampling.inputs_of(seeds, self.network, labels, truncation)

    def _require_memory(self, count: int = 0) -> None:
        """DeviceError if memory is too short for drawing, and for `count` images at once."""
        pixels = 2 * count * math.prod(self.network.image_shape)  # in chunks, then as one array
        machine.require_memory(
            sampling.drawing_bytes(self.network) + pixels, f"drawing from {self.path}"
        )

    def _no_images(self) -> Pixels:
        channels, height, width = self.network.image_shape
        return np.empty((0, height, width, channels), np.uint8)


def load(path: str | Path, *, ema: bool | None = None) -> Model:
    """The generator of the checkpoint, or of the run directory, at `path`.

    Its moving average, where there is one, unless `ema` is False. Raises CheckpointError;
    UsageError where the average is asked for and there is none.

    >>> model = load("runs/mnist-fast")
    >>> model.data, model.step, len(model.classes), model.network.image_shape
    ('mnist', 4, 10, (1, 28, 28))
    """
    path = Path(path)
    checkpoint = store.read_checkpoint(path)
    file = store.checkpoint_path(path)
    config = checkpoint.config
    average = checkpoint.generator_ema
    if ema and average is None:
        raise UsageError(
            f"{file} has no moving average: preset '{config.preset}' keeps none",
            Text("Leave out {}.", Setting("ema")),
        )
    averaged = average is not None and ema is not False
    weights = average if average is not None and averaged else checkpoint.generator
    with store.naming(file):
        generator = load_generator(config.network, weights, torch.device("cpu"))
    return Model(
        path=file,
        generator=generator,
        data=checkpoint.data["name"],
        data_digest=checkpoint.data["digest"],
        classes=names_of(config.network.num_classes, checkpoint.data["classes"]),
        ema=averaged,
        digest=checkpoint.digest,
        step=checkpoint.step,
        config=config,
    )


def _several(classes: Any) -> list[Any] | None:
    """Return the classes in a list; None if that is one class, not several."""
    return None if isinstance(classes, str) or np.ndim(classes) == 0 else [*classes]


def _number(each: Any, names: Sequence[str]) -> int:
    """Return a class's number. Raises UsageError if there is no such class."""
    return find(each if isinstance(each, str) else str(operator.index(each)), names)


def require_seeds(seeds: Sequence[int]) -> None:
    """UsageError where one is not 0 to MAX_SEED."""
    if isinstance(seeds, range):  # of which there can be any number
        seeds = seeds[:: max(1, len(seeds) - 1)]
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise UsageError(f"seeds must be from 0 to {MAX_SEED}, not {seed}")


def require_truncation(truncation: float) -> None:
    """UsageError where it is not in (0, 1]."""
    if not (0 < truncation <= 1 and math.isfinite(truncation)):
        raise UsageError(f"truncation must be more than 0, and 1 at most, not {truncation:g}")


def require_walk(frames: int, mode: str, ease: str) -> None:
    """UsageError for steps, a mode or an easing that there is not."""
    if frames < 1:
        raise UsageError(f"frames must be at least 1, not {frames}")
    if mode not in latents.MODES:
        raise UsageError(f"unknown mode '{mode}'", nearest(mode, latents.MODES))
    if ease not in latents.EASINGS:
        raise UsageError(f"unknown easing '{ease}'", nearest(ease, latents.EASINGS))
