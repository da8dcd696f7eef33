"""Time to quality: seconds of training until samples of MNIST reach a Frechet distance.

docs/speedrun.md has the rules.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from ganctl import devices, features, metrics
from ganctl.bench.steps import Stepper
from ganctl.checkpoint import Weights
from ganctl.config.presets import preset
from ganctl.config.resolve import resolve
from ganctl.config.schema import NetworkConfig, TrainConfig, override
from ganctl.datasets import loading
from ganctl.datasets.dataset import ImageDataset, Progress
from ganctl.evaluation import evaluator
from ganctl.evaluation.real_features import chunks
from ganctl.features import extract
from ganctl.sampling import sample_seeds
from ganctl.training import graphs, threads

PRESET, SEED = "fast", 0
_DATA = "mnist"
NUM_SAMPLES = evaluator.DEFAULT_SAMPLES
_FIRST_MEASURED = 8000
"""Number of images seen before samples are measured for the first time."""
_GROWTH = 1.5
"""Factor of the number of steps from one measurement during training to the next."""
_WARM_UP_STEPS = 9


class Reached(NamedTuple):
    """When a Frechet distance was reached: None if it was not, in the time that there was."""

    target: float
    seconds: float | None
    """Seconds of training."""
    step: int | None
    frechet_distance: float | None
    """The distance that was measured then, at most the target."""


@dataclass(frozen=True)
class TimeToQuality:
    """How soon a run reached each target, and how it was trained."""

    config: TrainConfig
    graphs: bool
    """Whether steps were replayed as CUDA graphs."""
    trained_seconds: float
    """Seconds of training in all."""
    reached: list[Reached]


class _Kept(NamedTuple):
    """The weights that samples are drawn from, after some steps."""

    step: int
    seconds: float
    weights: Weights


class _Judge:
    """Measures the Frechet distance of generators to the test images."""

    def __init__(self, network: NetworkConfig, device: torch.device) -> None:
        loaded = features.load("digits", _DATA, device)
        assert loaded is not None
        self._network, self._shape, self._device = loaded, network, device
        test = extract(loaded, chunks(loading.load_test(_DATA).pixels))
        self._frechet = metrics.Frechet(test.features)

    def distance(self, generator: nn.Module) -> float:
        """Return the distance of the samples of the first seeds; inf if it is not finite."""
        samples = sample_seeds(generator, range(NUM_SAMPLES), self._shape)
        distance = self._frechet.distance(extract(self._network, samples).features)
        return distance if math.isfinite(distance) else math.inf


def resolved(device: torch.device, images: ImageDataset) -> TrainConfig:
    """Return the config of the run: the preset as `ganctl train` resolves it on `device`."""
    return resolve(
        override(preset(PRESET), {"seed": SEED}), images, chosen={"seed"},
        precision=lambda name: devices.resolve_precision(name, device),
        threads=lambda config: threads.choose(config, device),
        eval_every=lambda *_: 1,
    ).config  # fmt: skip


def time_to(
    targets: Sequence[float],
    device: torch.device,
    *,
    seconds: float,
    resolution: float,
    progress: Progress,
) -> TimeToQuality:
    """Train until samples reach the last of `targets`, Frechet distances in falling order.

    It ends after `seconds`, measuring included. Times are as exact as `resolution`, the relative
    difference between the times at which weights are kept.
    """
    deadline = time.perf_counter() + seconds
    num_threads = torch.get_num_threads()
    images = loading.load(_DATA).to(device)
    config = resolved(device, images)
    progress("preparing to train", 0, 0)
    judge = _Judge(config.network, device)
    race = _Race(config, images, device, judge, num_threads)
    goal, task = targets[-1], "training to a quality"
    step = max(1, _FIRST_MEASURED // config.batch_size)
    latest = math.inf
    while latest > goal and time.perf_counter() < deadline:
        progress(task, race.kept[-1].step if race.kept else 0, 0)
        race.train_to(step, resolution, deadline)
        latest = race.distance(len(race.kept) - 1)
        step = math.ceil(step * _GROWTH)
    progress("finding when it was reached", 0, 0)
    reached = [race.first(target) for target in targets]
    return TimeToQuality(config, race.graphed, race.seconds, reached)


class _Race:
    """A run whose clock stands still while its samples are measured."""

    def __init__(
        self,
        config: TrainConfig,
        images: ImageDataset,
        device: torch.device,
        judge: _Judge,
        num_threads: int,
    ) -> None:
        self._device, self._judge, self._measuring_threads = device, judge, num_threads
        self.graphed = device.type == "cuda" and graphs.obstacle(config) is None
        discarded = self._stepper(config, images)  # libraries choose their kernels
        for _ in range(_WARM_UP_STEPS):
            discarded()
        self._stepper_of_run = self._stepper(config, images)
        self._training_threads = torch.get_num_threads()
        self._drawn_from = copy.deepcopy(self._stepper_of_run.state.sampler)
        self._distances: dict[int, float] = {}
        self.seconds = 0.0
        self.kept: list[_Kept] = []

    def _stepper(self, config: TrainConfig, images: ImageDataset) -> Stepper:
        try:
            return Stepper(config, images, self._device, use_graphs=self.graphed)
        except graphs.UnsuitableError:  # which the timing of steps reports
            self.graphed = False
            return Stepper(config, images, self._device, use_graphs=False)

    def train_to(self, step: int, resolution: float, deadline: float) -> None:
        """Train to `step`, or until the deadline, and keep weights on the way."""
        state = self._stepper_of_run.state
        devices.use_threads(self._training_threads)
        devices.synchronize(self._device)
        before, started = self.seconds, time.perf_counter()
        due = math.ceil(state.step * (1 + resolution))
        while state.step < step:
            self._stepper_of_run()
            late = time.perf_counter() >= deadline
            if state.step >= due or state.step >= step or late:
                weights = {name: each.clone() for name, each in state.sampler.state_dict().items()}
                devices.synchronize(self._device)
                self.seconds = before + time.perf_counter() - started
                self.kept.append(_Kept(state.step, self.seconds, weights))
                due = math.ceil(state.step * (1 + resolution))
            if late:
                return

    def distance(self, index: int) -> float:
        """Return the Frechet distance of samples of the weights kept at `index`."""
        if index not in self._distances:
            devices.use_threads(self._measuring_threads)
            self._drawn_from.load_state_dict(self.kept[index].weights)
            self._distances[index] = self._judge.distance(self._drawn_from)
        return self._distances[index]

    def first(self, target: float) -> Reached:
        """Return when the target was reached, by halving the time between two measurements."""
        low, high = -1, None
        for index, distance in sorted(self._distances.items()):
            if distance <= target:
                high = index
                break
            low = index
        if high is None:
            return Reached(target, None, None, None)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.distance(middle) <= target else (middle, high)
        found = self.kept[high]
        return Reached(target, found.seconds, found.step, self.distance(high))
