"""A generator with its origin, and what it draws: samples, walks and sheets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

import ganctl
from ganctl import inputs, machine, sampling
from ganctl import latents as paths
from ganctl.config.schema import NetworkConfig, TrainConfig
from ganctl.config.spec import require
from ganctl.errors import Setting, Text, UsageError
from ganctl.images import Pixels
from ganctl.inputs import GivenLatents, Inputs
from ganctl.samples import Samples, Sheet, Walk
from ganctl.seeds import Class
from ganctl.steering import directions as steering
from ganctl.steering.directions import Directions, GivenDirections, Moves
from ganctl.text import suggestion

_S = TypeVar("_S", bound=Samples)


@dataclass(frozen=True, eq=False)
class DrawingModel:
    """A generator that is ready to draw samples, and its origin."""

    path: Path
    generator: nn.Module
    data: str
    """The name of the dataset it was trained on."""
    data_digest: str
    """Digest of all images of the dataset, held-out ones included."""
    held_out_digest: str
    """Digest of which of these images were held out; empty if none were."""
    classes: tuple[str, ...]
    """The names of its classes; none if it is unconditional."""
    ema: bool
    """Whether its weights are the moving average."""
    digest: str
    """Digest of the checkpoint."""
    step: int
    config: TrainConfig
    """The settings it was trained with."""

    @property
    def network(self) -> NetworkConfig:
        """The shapes of its images and latents."""
        return self.config.network

    def sample(
        self,
        seeds: Iterable[int] | None = None,
        *,
        latents: GivenLatents | None = None,
        classes: Class | Sequence[Class] | None = None,
        truncation: float = 1.0,
        every_class: bool = False,
        move: Moves | None = None,
        directions: GivenDirections | None = None,
    ) -> Samples:
        """Return the samples of `seeds`; each depends on its seed, class and `truncation` alone.

        The default are seeds 0 to 15. `classes` is one class for all seeds, or one for each; by
        default seed k is of class k modulo the number of classes. With `every_class` all seeds are
        drawn in each class, a row per class. `truncation` in (0, 1] trades variety for typical
        images (`sampling.inputs_of`).

        `move` moves all latents along `directions`, by their numbers or names; the default are the
        principal ones. A distance of 1 is a standard deviation of latents.

        Instead of seeds, `latents` can be given: an array (N, latent_dim), a file of them, or
        `Latents`, whose own classes are the default. Raises UsageError for a seed, class or
        truncation that does not exist and for latents that do not fit, DataError for a damaged
        file.

        >>> model = ganctl.load("runs/mnist-fast")
        >>> samples = model.sample(range(10), classes="7")
        >>> samples.pixels.shape, samples.pixels.dtype
        ((10, 28, 28, 1), dtype('uint8'))
        >>> samples.grid(columns=5).size  # a Pillow image; each pixel is 3 x 3
        (420, 168)
        >>> again = model.sample(latents=samples.latents)
        >>> moved = model.sample(range(10), move={1: 2.0, 3: -1.5})
        """
        self._require_drawable(truncation, with_classes=every_class or classes is not None)
        found = inputs.of_samples(
            self.network, self.classes, seeds=seeds, latents=latents, classes=classes,
            every_class=every_class, truncation=truncation,
        )  # fmt: skip
        if move:
            found = found.moved(self._directions(directions).shift(move), steering.described(move))
        return Samples(
            functools.partial(found.draw, self.generator), self._shape(len(found)), found.seeds,
            found.labels, self.classes, by_class=every_class,
            columns=len(found) // len(self.classes) if every_class else None,
            text=self._text(found), numbered=latents is not None, find_latents=found.latents,
        )  # fmt: skip

    def interpolate(
        self,
        seeds: Sequence[int] | None = None,
        *,
        latents: GivenLatents | None = None,
        classes: Class | Sequence[Class] | None = None,
        frames: int = 24,
        mode: str = "slerp",
        ease: str = "linear",
        loop: bool = False,
        truncation: float = 1.0,
        along: int | str | None = None,
        reach: float = 3.0,
        directions: GivenDirections | None = None,
    ) -> Walk:
        """Return a walk from seed to seed, `frames` steps each; with `loop` back to the first one.

        The frame at each seed is the seed's own sample. `mode` is slerp (along the hypersphere) or
        lerp; `ease` is linear, or smooth (each leg starts and ends at rest). `classes` is one class
        for all seeds or one for each; a single seed can go through several classes. `latents`
        instead of seeds are those of `sample`. With `along`, the walk goes straight along one of
        the `directions`, through a single seed (0 by default) from -`reach` to `reach`. Raises what
        `sample` raises.

        >>> model = ganctl.load("runs/mnist-fast")
        >>> walk = model.interpolate([3, 7, 12], frames=8, ease="smooth", loop=True)
        >>> len(walk)
        24
        >>> walk.save("walk.apng", fps=20)
        """
        _require_walk(frames, mode, ease)
        if along is None:
            stops = self._inputs(inputs.of_keyframes, seeds, latents, classes, truncation)
        else:
            vector, mode = self._directions(directions).vector(along), "lerp"
            start = [0] if seeds is None and latents is None else seeds
            single = self._inputs(inputs.of_samples, start, latents, classes, truncation)
            stops = single.along(vector, reach, along)
        count = paths.num_frames(len(stops), frames, loop=loop)
        path = functools.partial(paths.path, frames=frames, mode=mode, ease=ease, loop=loop)
        return self._between(Walk, path, count, stops, mode, columns=count)

    def sheet(
        self,
        seeds: Sequence[int] | None = None,
        *,
        latents: GivenLatents | None = None,
        classes: Class | Sequence[Class] | None = None,
        frames: int = 8,
        mode: str = "slerp",
        ease: str = "linear",
        truncation: float = 1.0,
    ) -> Sheet:
        """Return a square sheet of images between four seeds, `frames` + 1 per side.

        The seeds are its corners: top left, top right, bottom left, bottom right. The rest is as in
        `interpolate`.

        >>> ganctl.load("runs/mnist-fast").sheet([0, 1, 2, 3], frames=4).grid(upscale=1).size
        (140, 140)
        """
        _require_walk(frames, mode, ease)
        stops = self._inputs(inputs.of_keyframes, seeds, latents, classes, truncation)
        if len(stops) != 4:
            raise UsageError(f"a sheet has four corners, not {len(stops)}")
        path = functools.partial(paths.sheet, frames=frames, mode=mode, ease=ease)
        side = frames + 1
        return self._between(Sheet, path, side**2, stops, mode, columns=side)

    def require_classes(self) -> tuple[str, ...]:
        """Return the names of the classes. Raises UsageError if the model is unconditional."""
        if not self.classes:
            raise UsageError(
                f"{self.path} has no classes",
                Text(
                    "Only a run trained with {}, on images that have classes, can draw one.",
                    Setting("conditional", True),
                ),
            )
        return self.classes

    def _between(
        self,
        cls: type[_S],
        path: Callable[[Tensor, int], Tensor],
        count: int,
        stops: Inputs,
        mode: str,
        columns: int,
    ) -> _S:
        """Return the `count` images on the `path` through the keyframes `stops`."""

        def draw() -> Iterator[Pixels]:
            points = path(stops.tensor(), self.network.latent_dim)
            return sampling.sample_latents(self.generator, points, self.network)

        labels = None if stops.labels is None else [int(label) for label in stops.labels]
        return cls(
            draw, self._shape(count), stops.seeds, labels, self.classes, columns=columns,
            text={**self._text(stops), "mode": mode},
        )  # fmt: skip

    def _directions(self, given: GivenDirections | None) -> Directions:
        """Return the directions that a caller gives, or all principal ones."""
        if given is None:
            return steering.principal(
                self.generator, self.network, steering.METHODS[0], self.network.latent_dim
            )
        return given if isinstance(given, Directions) else steering.read(given, self.network)

    def _inputs(
        self,
        find: Callable[..., Inputs],
        seeds: Iterable[int] | None,
        latents: GivenLatents | None,
        classes: Class | Sequence[Class] | None,
        truncation: float,
    ) -> Inputs:
        """Return the inputs that `find`, of `ganctl.inputs`, makes of what a caller gives."""
        self._require_drawable(truncation, with_classes=classes is not None)
        return find(
            self.network, self.classes, seeds=seeds, latents=latents, classes=classes,
            truncation=truncation,
        )  # fmt: skip

    def _require_drawable(self, truncation: float, *, with_classes: bool) -> None:
        is_allowed = 0 < truncation <= 1  # NaN is not
        require(is_allowed, "truncation", f"{truncation:g}", "more than 0 and at most 1")
        machine.require_memory(sampling.drawing_bytes(self.network), f"drawing from {self.path}")
        if with_classes:
            self.require_classes()

    def _shape(self, count: int) -> tuple[int, int, int, int]:
        channels, height, width = self.network.image_shape
        return count, height, width, channels

    @property
    def _origin(self) -> dict[str, str]:
        """Text for a file: which weights made it."""
        return {
            "checkpoint": self.digest,
            "step": str(self.step),
            "weights": "ema" if self.ema else "generator",
        }

    @property
    def _made_by(self) -> dict[str, str]:
        """Text for a file: which program and which weights made it."""
        return {"Software": f"ganctl {ganctl.__version__}", **self._origin}

    def _text(self, drawn: Inputs) -> dict[str, str]:
        """Return the text stored in a file: what it was made with."""
        psi = drawn.truncation
        return {
            **self._made_by,
            **({"truncation": f"{psi:g}"} if psi < 1 else {}),
            **drawn.text,
        }


def _require_walk(frames: int, mode: str, ease: str) -> None:
    require(frames >= 1, "frames", frames, "at least 1")
    for name, word, known in (("mode", mode, paths.MODES), ("easing", ease, paths.EASINGS)):
        if word not in known:
            raise UsageError(f"unknown {name} '{word}'", suggestion(word, known))
