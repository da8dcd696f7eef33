"""The ways of working that are timed, and their steps."""

from __future__ import annotations

import pytest
import torch

from ganctl import devices, machine
from ganctl.bench import steps
from ganctl.datasets import loading
from ganctl.training import session

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: "bf16")


@pytest.mark.usefixtures("eight_cores")
def test_a_cpu_is_tried_with_every_number_of_threads_and_precision():
    ways = steps.ways(CPU, quick=False)
    assert len(ways) == len(set(ways)) == len(steps.CASES) * 2 * 4
    assert {way.threads for way in ways} == {1, 2, 4, 8}
    assert {way.graphs for way in ways} == {None}
    quick = steps.ways(CPU, quick=True)
    assert [way for way in quick if way.preset == "fast"][:8] == ways[:8]
    assert [str(way) for way in quick[8:]] == [
        "dcgan on 28x28x1, bf16, 8 threads",
        "fast on 64x64x3, bf16, 8 threads",
    ]


@pytest.mark.usefixtures("eight_cores")
def test_a_gpu_is_tried_with_and_without_graphs_where_steps_can_be_replayed():
    ways = steps.ways(CUDA, quick=False)
    assert {way.threads for way in ways} == {None}
    assert {way.preset for way in ways if way.graphs} == {"fast", "guided"}
    assert {way.preset for way in ways if not way.graphs} == {"fast", "dcgan", "guided"}


def test_three_cores_are_tried_with_one_two_and_three_threads(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 3)
    assert steps.numbers_of_threads() == [1, 2, 3]


@pytest.mark.usefixtures("tiny_mnist")
def test_its_steps_are_those_of_a_training_run(tiny_config, tmp_path):
    """The last batch of an epoch is smaller, and the run goes on into the next one."""
    run = session.new(tiny_config(steps=5, conditional=True), tmp_path / "run", "cpu")
    run.train(command="test")
    stepper = steps.Stepper(run.config, loading.load("mnist"), CPU, use_graphs=False)
    for _ in range(5):
        stepper()
    for (name, ours), (_, theirs) in zip(stepper.state.tensors(), run.state.tensors(), strict=True):
        assert torch.equal(ours, theirs), name
