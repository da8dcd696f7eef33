"""The choice of the number of threads, from made-up timings."""

from __future__ import annotations

import pytest
import torch

from ganctl import machine
from ganctl.config.presets import preset
from ganctl.config.schema import override
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
    """Call `threads.choose` on eight cores; `seconds` has a step's time by number of threads."""
    before = torch.get_num_threads()

    def call(seconds, **changes):
        monkeypatch.setattr(
            threads,
            "_seconds_per_step",
            lambda state, *_, **__: seconds[max(state.workers.count, torch.get_num_threads())],
        )
        return threads.choose(override(config, changes), CPU)

    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    torch.set_num_threads(8)
    yield call
    assert torch.get_num_threads() == 8, "torch's own number is as it was"
    torch.set_num_threads(before)


def test_threads_are_chosen_by_their_gain(choose):
    assert choose({8: 0.03, 4: 0.02, 2: 0.01, 1: 0.04}) == 2
    assert choose({8: 0.01, 4: 0.02, 2: 0.03, 1: 0.04}) == 8
    assert choose({8: 0.03, 4: 0.02, 2: 0.01, 1: 0.001}) == 1


def test_a_small_gain_is_not_worth_another_thread(choose):
    """Least of all inside operators: on a busy machine two are many times slower than one."""
    assert choose({8: 0.1, 4: 0.1, 2: 0.0100, 1: 0.0120}) == 2
    assert choose({8: 0.1, 4: 0.1, 2: 0.0100, 1: 0.0120}, architecture="dcgan") == 1
    assert choose({8: 0.0120, 4: 0.0122, 2: 0.0127, 1: 0.0130}) == 1
    assert choose({8: 0.0100, 4: 0.0095, 2: 0.0190, 1: 0.0380}) == 4
    assert choose({8: 0.0095, 4: 0.0380, 2: 0.0390, 1: 0.0400}) == 8


def test_a_busy_machine_gets_one_thread(choose):
    """Two busy cores can be much slower than one: 40 steps took 45 s on two, 2.7 s on one."""
    assert choose({8: 9.0, 4: 4.0, 2: 1.1, 1: 0.07}) == 1
    assert choose({8: 0.3, 4: 0.5, 2: 0.9, 1: 1.7}) == 8


def test_no_more_threads_are_tried_than_the_quota_allows(choose, monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 2)
    assert choose({2: 0.01, 1: 0.04}) == 2


def test_only_a_few_images_of_a_large_batch_are_timed(config, monkeypatch):
    batches = []

    def seconds(state, batch, steps):
        batches.append(batch)
        return 0.1 * batch

    monkeypatch.setattr(threads, "_seconds_per_step", seconds)
    monkeypatch.setattr(machine, "num_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    threads.choose(override(config, {"batch_size": 4096}), CPU)
    assert max(batches) == 10, "a second on one thread"


def test_a_given_number_is_used_without_timing(choose):
    assert choose({}, threads=3) == 3


def test_a_gpu_has_no_number_of_threads(config):
    assert threads.choose(config, torch.device("cuda")) is None


def test_a_single_core_is_not_timed(config, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(threads, "_seconds_per_step", None)
    assert threads.choose(config, CPU) == 1


def test_timing_measures_real_steps(config):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert threads.choose(config, CPU) in (1, 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
