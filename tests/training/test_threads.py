"""Which number of threads is chosen; timings are made up."""

from __future__ import annotations

import pytest
import torch

from ganctl.config import override, preset
from ganctl.training import threads

CPU = torch.device("cpu")


@pytest.fixture
def config():
    return override(
        preset("fast"),
        {"base_channels": 1, "batch_size": 2, "precision": "fp32", "augment": "none"},
    )


@pytest.fixture
def choose(config, monkeypatch):
    """`choose` on eight threads, of which `seconds` says how long an update takes on each."""
    before = torch.get_num_threads()

    def call(seconds, **changes):
        monkeypatch.setattr(threads, "_seconds", lambda *_, **__: seconds[torch.get_num_threads()])
        return threads.choose(override(config, changes), CPU)

    torch.set_num_threads(8)
    yield call
    assert torch.get_num_threads() == 8, "torch's own number is as it was"
    torch.set_num_threads(before)


def test_the_quickest_is_chosen(choose):
    assert choose({8: 0.03, 4: 0.02, 2: 0.01, 1: 0.04}) == 2
    assert choose({8: 0.03, 4: 0.02, 2: 0.01, 1: 0.001}) == 1


def test_all_of_them_unless_fewer_are_clearly_quicker(choose):
    assert choose({8: 0.01, 4: 0.02, 2: 0.03, 1: 0.04}) == 8
    assert choose({8: 0.0100, 4: 0.0095, 2: 0.02, 1: 0.04}) == 8


def test_large_networks_take_all_without_trying(choose):
    assert choose({8: 0.2}) == 8


def test_what_is_asked_for_is_taken_without_trying(choose):
    assert choose({}, threads=3) == 3


def test_a_gpu_takes_none(config):
    assert threads.choose(config, torch.device("cuda")) is None


def test_one_is_all_there_is(config, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(threads, "_seconds", None)
    assert threads.choose(config, CPU) == 1


def test_timing_measures_updates(config):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert threads.choose(config, CPU) in (1, 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
