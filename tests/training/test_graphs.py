"""Steps that are replayed: recorded here by plain calls, since there is no GPU."""

from __future__ import annotations

import pytest
import torch

from ganctl.config.schema import override
from ganctl.training.graphs import GraphedSteps, UnsuitableError
from ganctl.training.state import create
from ganctl.training.step import train_step

CPU = torch.device("cpu")


@pytest.fixture(params=["fast", "guided"])
def config(request, tiny_config):
    return tiny_config(
        request.param, r1_weight=0.5, r1_interval=3, ema_images=100, lr_decay_steps=2
    )


def recorded(state):
    """Return a function that records steps of `state` as plain calls."""

    def record(compute):
        prescribed = state.prescribed

        def replay():
            state.prescribed = prescribed
            compute()
            state.prescribed = None

        return replay

    return record


def batch_of(state, num_real=None):
    network, size = state.config.network, state.config.batch_size
    rng = torch.Generator().manual_seed(state.step)
    real = torch.rand(num_real or size, *network.image_shape, generator=rng) * 2 - 1
    return real, torch.randn(size, network.input_dim, generator=rng)


def test_replayed_steps_equal_plain_ones(config):
    """The last batch is smaller, so its step is a plain one in between."""
    plain, replayed = create(config, CPU), create(config, CPU)
    before = [tensor.clone() for _, tensor in replayed.tensors()]
    steps = GraphedSteps(replayed, recorded(replayed))
    assert all(map(torch.equal, before, (tensor for _, tensor in replayed.tensors())))
    for num_real in (None, None, 3, None, None):
        expected = train_step(plain, *batch_of(plain, num_real), 0)
        found = steps.step(*batch_of(replayed, num_real), 0)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
        assert replayed.step == plain.step
    for (name, a), (_, b) in zip(replayed.tensors(), plain.tensors(), strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")


def test_a_step_reads_and_writes_the_same_memory_every_time(config):
    """Otherwise a graph would train tensors that nobody reads."""
    state = create(config, CPU)
    tensors = [*(tensor for _, tensor in state.tensors()), *state.counters()]
    for _ in range(4):
        train_step(state, *batch_of(state), 0)
        now = [*(tensor for _, tensor in state.tensors()), *state.counters()]
        assert [t.data_ptr() for t in now] == [t.data_ptr() for t in tensors]


def test_a_recording_that_does_something_else_is_found_out(config):
    state = create(config, CPU)
    before = [tensor.clone() for _, tensor in state.tensors()]
    with pytest.raises(UnsuitableError, match="do not compute what plain ones do"):
        GraphedSteps(state, lambda compute: lambda: None)
    assert state.prescribed is None
    assert all(map(torch.equal, before, (tensor for _, tensor in state.tensors())))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"augment": "color"}, "on the CPU"), ({"compile": True}, "compiled"), ({}, "dropout")],
)
def test_steps_that_cannot_be_recorded_are_refused(tiny_config, changes, reason):
    config = tiny_config("fast" if changes else "dcgan")
    with pytest.raises(UnsuitableError, match=reason):
        GraphedSteps(create(override(config, changes), CPU), lambda compute: compute)
