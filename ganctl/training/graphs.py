"""Steps on a GPU as CUDA graphs: the kernels of a step are recorded once and launched together.

Launched one by one by Python, those of a small network take longer to launch than to run. A graph
reads and writes the same memory every time: the tensors of the state, and the inputs kept here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganctl.config.schema import TrainConfig
from ganctl.errors import Setting, Text
from ganctl.networks import computes_by_image
from ganctl.training.callback import Callback
from ganctl.training.schedules import Scheduled, has_penalty, scheduled
from ganctl.training.state import TrainState
from ganctl.training.step import StepResult, train_step

_WARM_UP_STEPS = 3
"""Steps before a recording, in which libraries choose their kernels and allocate their memory."""
_CHECKED_STEPS = 2
_MAX_DEVIATION = 0.05
"""Largest difference of what replayed and plain steps measure, relative to the plain ones. Rounding
in bf16 and the order of sums make a percent; a graph that reads the wrong memory makes far more."""


class UnsuitableError(Exception):
    """A reason why steps cannot be graphs, in plain words."""


class GraphedSteps:
    """Steps of `state`, replayed where a batch is whole; otherwise, as they are.

    With `record`, a function that makes a replayable of a function, it can be tried without a GPU.
    Raises UnsuitableError if the steps cannot be recorded, or do not do the same as plain ones; the
    state is as it was.
    """

    def __init__(
        self, state: TrainState, record: Callable[[Callable[[], None]], Callable[[], None]]
    ) -> None:
        _require_suitable(state)
        config, network, device = state.config, state.config.network, state.device
        size = config.batch_size
        self._state = state
        self._real = torch.zeros(size, *network.image_shape, device=device)
        self._real = self._real.contiguous(memory_format=torch.channels_last)
        self._latents = torch.randn(size, network.input_dim, device=device)
        self._tensors = [torch.zeros((), device=device) for _ in Scheduled._fields]
        self._replays: dict[bool, Callable[[], None]] = {}
        self._results: dict[bool, StepResult] = {}
        with _unchanged(state), self._prescribed():
            for is_due in {has_penalty(config, step) for step in (0, 1)}:
                state.step = 0 if is_due else 1
                self._set_scheduled()
                for _ in range(_WARM_UP_STEPS):
                    self._compute(is_due)
                self._replays[is_due] = record(functools.partial(self._compute, is_due))
        self._check()

    def step(self, real: Tensor, latents: Tensor, noise_seed: int) -> StepResult:
        """Do what `train_step` does. The result is overwritten by the next step."""
        state = self._state
        if real.shape != self._real.shape or latents.shape != self._latents.shape:
            return train_step(state, real, latents, noise_seed)
        is_due = has_penalty(state.config, state.step)
        self._real.copy_(real, non_blocking=True)
        self._latents.copy_(latents, non_blocking=True)
        self._set_scheduled()
        number = state.step
        self._replays[is_due]()
        state.step = number + 1
        return self._results[is_due]

    def _set_scheduled(self) -> None:
        values = scheduled(self._state.config, self._state.step)
        for kept, value in zip(self._tensors, values, strict=True):
            kept.fill_(float(value))

    def _compute(self, is_due: bool) -> None:
        """Take a step whose penalty is due or not, whatever the state's step is."""
        self._state.step = 0 if is_due else 1
        self._results[is_due] = train_step(self._state, self._real, self._latents, 0)

    @contextmanager
    def _prescribed(self) -> Iterator[None]:
        """Let steps take rates and decays from tensors that can be changed between replays."""
        self._state.prescribed = Scheduled(*self._tensors)
        try:
            yield
        finally:
            self._state.prescribed = None

    def _check(self) -> None:
        """Take steps both ways from the same state, on the same noise. Raises UnsuitableError."""
        rng = torch.Generator().manual_seed(0)
        real = torch.rand(self._real.shape, generator=rng).mul_(2).sub_(1).to(self._real.device)
        latents = torch.randn(self._latents.shape, generator=rng).to(real.device)
        found: list[list[Tensor]] = []
        for take in (lambda *batch: train_step(self._state, *batch), self.step):
            with _unchanged(self._state):
                measured = []
                for number in range(_CHECKED_STEPS):
                    self._state.step = number
                    measured += [each.clone() for each in take(real, latents, 0)]
                weights = [tensor for _, tensor in self._state.tensors()]
                measured.append(torch.stack(torch._foreach_norm(weights)))
                found.append(measured)
        for plain, replayed in zip(*found, strict=True):
            error = (plain - replayed).abs() / (plain.abs() + plain.abs().mean())
            if not error.max() < _MAX_DEVIATION:  # NaN is no agreement, either
                raise UnsuitableError("replayed steps do not compute what plain ones do")


def cuda_graph(compute: Callable[[], None]) -> Callable[[], None]:
    """Record the kernels that `compute` launches, and return what launches them again."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        compute()
    return graph.replay


def attempt(state: TrainState, callback: Callback) -> GraphedSteps | None:
    """Return the steps of `state` as graphs; None if they cannot be."""
    if state.device.type != "cuda":
        return None
    try:
        return graphed(state)
    except UnsuitableError as error:
        callback.on_warning(
            f"steps are not replayed as CUDA graphs: {error}",
            Text("They are slower; {} does not try it.", Setting("no_graphs", True)),
        )
    return None


def graphed(state: TrainState) -> GraphedSteps:
    """Return the steps of `state`, on a CUDA device, as graphs.

    Raises UnsuitableError, also for whatever goes wrong inside CUDA: plain steps can do the same.
    """
    stream = torch.cuda.Stream(state.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(state.device))
    try:
        with torch.cuda.stream(stream):
            steps = GraphedSteps(state, cuda_graph)
    except RuntimeError as error:
        raise UnsuitableError(f"CUDA refused: {str(error).splitlines()[0][:200]}") from None
    torch.cuda.current_stream(state.device).wait_stream(stream)
    return steps


def obstacle(config: TrainConfig) -> str | None:
    """Return why steps of a run by one process cannot be graphs; None if they can."""
    if config.compile:
        return "the networks are compiled"
    if config.augment != "none":
        return "augmentation draws its random numbers on the CPU"
    if not computes_by_image(config.network):
        return "dropout is seeded anew at every step"
    return None


def _require_suitable(state: TrainState) -> None:
    if (found := obstacle(state.config)) is not None:
        raise UnsuitableError(found)
    if state.group.size > 1:
        raise UnsuitableError("several processes train together")


@contextmanager
def _unchanged(state: TrainState) -> Iterator[None]:
    """Restore all that steps change, in place."""
    step = state.step
    tensors = [*(tensor for _, tensor in state.tensors()), *state.counters()]
    kept = [tensor.clone() for tensor in tensors]
    try:
        yield
    finally:
        state.step = step
        with torch.no_grad():
            for tensor, before in zip(tensors, kept, strict=True):
                tensor.copy_(before)
