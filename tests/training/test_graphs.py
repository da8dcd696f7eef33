"""Steps that are replayed: recorded here by plain calls, since there is no GPU."""

from __future__ import annotations

import pytest
import torch

from ganctl.config.schema import override
from ganctl.training import graphs, session
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


def test_a_run_of_replayed_steps_equals_a_plain_one(tiny_config, tmp_path, train, monkeypatch):
    """Its last batch of an epoch is smaller."""
    outcomes = []
    for name in ("plain", "replayed"):
        ready = session.new(tiny_config(steps=4), tmp_path / name, "cpu")
        outcome, _ = train(ready)
        outcomes.append((outcome.history, dict(ready.state.tensors())))
        monkeypatch.setattr(
            graphs, "attempt", lambda state, _: GraphedSteps(state, recorded(state))
        )
    (plain_rows, plain), (rows, replayed) = outcomes
    assert [row["d_loss"] for row in rows] == pytest.approx([row["d_loss"] for row in plain_rows])
    torch.testing.assert_close(replayed, plain)


def test_a_run_goes_on_without_graphs_and_says_why(config, monkeypatch, recorder):
    def refuse(*_):
        raise UnsuitableError("CUDA refused: invalid argument")

    state = create(config, CPU)
    heard = recorder()
    assert graphs.attempt(state, heard) is None
    assert heard.warnings == []
    monkeypatch.setattr(graphs, "graphed", refuse)
    state.device = torch.device("cuda")
    assert graphs.attempt(state, heard) is None
    assert "not replayed as CUDA graphs: CUDA refused: invalid argument" in heard.warnings[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_steps_are_graphs_on_a_gpu(config, recorder):
    state, heard = create(config, torch.device("cuda")), recorder()
    steps = graphs.attempt(state, heard)
    assert heard.warnings == []
    assert steps is not None
    real, latents = (each.cuda() for each in batch_of(state))
    plain = create(config, torch.device("cuda"))
    for _ in range(4):
        found, expected = steps.step(real, latents, 0), train_step(plain, real, latents, 0)
        torch.testing.assert_close(found.metrics, expected.metrics, rtol=0.01, atol=1e-3)
