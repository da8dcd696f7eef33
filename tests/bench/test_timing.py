"""Rates of work that takes turns, on a clock that only the work moves."""

from __future__ import annotations

import time

import pytest

from ganctl.bench.timing import Rate, alternate
from ganctl.errors import DeviceError


@pytest.fixture
def work(monkeypatch):
    """Return a function that makes a piece of work which takes so many seconds each time."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def make(*seconds, log=None):
        durations = [*seconds]

        def prepare():
            def repeat(count):
                taken = durations.pop(0) if len(durations) > 1 else durations[0]
                now[0] += taken * count
                if log is not None:
                    log.append((seconds[0], count))

            return repeat

        return prepare

    return make


def test_the_best_round_counts_but_not_the_warm_up(work):
    (rate,) = alternate([work(0.125, 1.0, 0.5, 0.25, 0.375)], 10.0, 3, lambda *_: None)
    assert rate == Rate(4.0)


def test_works_take_turns_within_the_seconds(work):
    log = []
    alternate([work(0.125, log=log), work(0.25, log=log)], 8.75, 2, lambda *_: None)
    assert log[:4] == [(0.125, 1), (0.125, 1), (0.25, 1), (0.25, 1)]
    assert log[4:] == [(0.125, 16), (0.25, 8), (0.125, 16), (0.25, 8)]


def test_everything_is_timed_once_when_time_is_up(work):
    rates = alternate([work(5.0), work(7.0)], 1.0, 4, lambda *_: None)
    assert [rate.per_sec for rate in rates] == [1 / 5, 1 / 7]


def test_what_fails_is_named_and_the_rest_goes_on(work):
    def refuse():
        raise DeviceError("out of memory", "Give it more.")

    def fail(count):
        raise RuntimeError("CUDA error: an illegal access\nand more")

    rates = alternate([refuse, work(0.5), lambda: fail], 3.0, 2, lambda *_: None)
    assert rates == [
        Rate(None, "out of memory"),
        Rate(2.0),
        Rate(None, "RuntimeError: CUDA error: an illegal access"),
    ]
