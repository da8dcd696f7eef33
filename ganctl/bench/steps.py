"""The speed of training steps: each preset, in each way of working that applies."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ganctl import devices, machine
from ganctl.batch import MicroBatch
from ganctl.bench.timing import Rate, Repeat, alternate, part_of
from ganctl.config.presets import preset
from ganctl.config.resolve import resolve
from ganctl.config.schema import TrainConfig, override
from ganctl.datasets.dataset import Batch, Dataset, ImageDataset, Progress
from ganctl.errors import TrainingError
from ganctl.text import counted
from ganctl.training import graphs, workers
from ganctl.training.loop import generator_inputs
from ganctl.training.noise import NoiseSource
from ganctl.training.state import create
from ganctl.training.step import StepResult, train_step

SMALL, LARGE = (1, 28, 28), (3, 64, 64)
CASES = (("fast", SMALL), ("dcgan", SMALL), ("fast", LARGE), ("guided", LARGE))
"""Presets, and the shapes (C, H, W) of the images that each is timed with."""
_NUM_IMAGES = 1024
_NUM_CLASSES = 10
_PRECISIONS = ("fp32", "bf16")


class Way(NamedTuple):
    """A preset, and a way of working."""

    preset: str
    image_shape: tuple[int, int, int]
    precision: str
    threads: int | None
    """Number of CPU threads; None on a GPU."""
    graphs: bool | None
    """Whether steps are replayed as CUDA graphs; None where there are none."""

    def __str__(self) -> str:
        channels, height, width = self.image_shape
        words = [f"{self.preset} on {height}x{width}x{channels}", self.precision]
        if self.threads is not None:
            words.append(counted(self.threads, "thread"))
        if self.graphs is not None:
            words.append("graphs" if self.graphs else "no graphs")
        return ", ".join(words)


class Stepper:
    """Takes the steps of a run, one per call: the same bits as the training loop.

    With `use_graphs` it raises UnsuitableError where steps cannot be replayed.
    """

    def __init__(
        self, config: TrainConfig, dataset: ImageDataset, device: torch.device, *, use_graphs: bool
    ) -> None:
        devices.use_threads(workers.threads_in_operators(config, 1))
        self.state = create(config, device)
        self._noise = NoiseSource(config, device)
        self._batches = self._endless(dataset.to(device))
        self._graphed = graphs.graphed(self.state) if use_graphs else None

    def __call__(self) -> StepResult:
        """Take the next step, without waiting for the device."""
        config, batch = self.state.config, next(self._batches)
        rows = MicroBatch.whole(batch.size, config.batch_size)
        noise = self._noise.draw(self.state.step, rows.fake_rows)
        images = batch.images(noise.mirrored)
        latents = noise.latents.to(self.state.device, non_blocking=True)
        inputs = generator_inputs(config.network, latents, batch.labels, rows)
        if self._graphed is not None:
            return self._graphed.step(images, inputs, noise.seed)
        return train_step(self.state, images, inputs, noise.seed, rows)

    def _endless(self, dataset: ImageDataset) -> Iterator[Batch]:
        config = self.state.config
        numbers = range(config.steps_per_epoch(len(dataset)))
        for epoch in range(config.total_epochs(len(dataset)) * 1000):
            yield from dataset.batches(config.batch_size, numbers, seed=config.seed, epoch=epoch)


def ways(device: torch.device, *, quick: bool) -> list[Way]:
    """Return what is timed on `device`; if `quick`, all ways of the first case alone."""
    found: list[Way] = []
    best = devices.resolve_precision("auto", device)
    threads: Sequence[int | None] = numbers_of_threads() if device.type == "cpu" else [None]
    for number, (name, shape) in enumerate(CASES):
        if quick and name == "guided":
            continue
        only_best = quick and number > 0
        plain = [
            Way(name, shape, precision, count, None)
            for precision in ((best,) if only_best else _PRECISIONS)
            for count in (threads[-1:] if only_best else threads)
        ]
        if device.type == "cuda":
            can_replay = graphs.obstacle(config_of(plain[0])) is None
            choices = (False, True) if can_replay else (False,)
            plain = [way._replace(graphs=choice) for way in plain for choice in choices]
        found += plain
    return found


def numbers_of_threads() -> list[int]:
    """Return 1, 2, 4, ... and the number of cores."""
    cores = machine.num_cores()
    return [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]


def config_of(way: Way) -> TrainConfig:
    """Return the config of a way of working."""
    given: dict[str, Any] = {"augment": "none", "holdout": 0.0, "threads": way.threads}
    return resolve(
        override(preset(way.preset), given), images_of(way.image_shape), chosen=given.keys(),
        precision=lambda _: way.precision, threads=lambda _: way.threads,
        eval_every=lambda *_: 1,
    ).config  # fmt: skip


@functools.cache
def images_of(shape: tuple[int, int, int]) -> Dataset:
    """Return images of a shape (C, H, W) in ten classes: their content does not matter here."""
    channels, height, width = shape
    size = _NUM_IMAGES, height, width, channels
    pixels = (np.arange(np.prod(size), dtype=np.uint32) * 2654435761 >> 24).astype(np.uint8)
    labels = np.arange(_NUM_IMAGES) % _NUM_CLASSES
    return Dataset.from_arrays("bench", pixels.reshape(size), labels)


def time_steps(
    chosen: Sequence[Way],
    device: torch.device,
    seconds: float,
    num_rounds: int,
    progress: Progress,
) -> list[Rate]:
    """Return the steps per second of each way of working, R1 penalties included."""
    works = [functools.partial(_prepare, way, device) for way in chosen]
    task = part_of(progress, "timing training steps")
    rates = alternate(works, seconds, num_rounds, task)
    return [
        rate if rate.per_sec is None else Rate(rate.per_sec * _steps_at_once(config_of(way)))
        for way, rate in zip(chosen, rates, strict=True)
    ]


def _steps_at_once(config: TrainConfig) -> int:
    """Return the number of steps after which an R1 penalty was due as often as in a long run."""
    return config.r1_interval if config.r1_weight else 1


def _prepare(way: Way, device: torch.device) -> Repeat:
    config = config_of(way)
    stepper = Stepper(config, images_of(way.image_shape), device, use_graphs=bool(way.graphs))
    at_once = _steps_at_once(config)

    def repeat(count: int) -> None:
        devices.use_threads(workers.threads_in_operators(config, 1))
        for _ in range(count * at_once):
            result = stepper()
        devices.synchronize(device)
        if not all(bool(torch.isfinite(part).all()) for part in result):
            raise TrainingError("a loss or a gradient is not finite")

    return repeat
