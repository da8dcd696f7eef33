"""The search for the time at which a quality was reached, from made-up distances."""

from __future__ import annotations

import pytest
import torch

from ganctl.bench import quality
from ganctl.bench.quality import time_to

CPU = torch.device("cpu")


@pytest.fixture
def race(tiny_mnist, tiny_config, monkeypatch):
    """Call `time_to` on tiny networks, whose distance after step n is 100 / n; also what was
    measured."""
    measured = []

    class Judge:
        def __init__(self, *_):
            pass

        def distance(self, generator):
            step = int(next(generator.parameters()).sum().item())
            measured.append(step)
            return 100 / step

    class Stepper:
        def __init__(self, *_, **__):
            self.state = type("State", (), {})()
            self.state.step = 0
            self.state.sampler = torch.nn.Linear(1, 1, bias=False)

        def __call__(self):
            self.state.step += 1
            with torch.no_grad():
                self.state.sampler.weight.fill_(self.state.step)

    monkeypatch.setattr(quality, "_Judge", Judge)
    monkeypatch.setattr(quality, "Stepper", Stepper)
    monkeypatch.setattr(quality, "_FIRST_MEASURED", 160)
    monkeypatch.setattr(quality, "resolved", lambda *_: tiny_config())

    def call(targets, **options):
        given = {"seconds": 60.0, "resolution": 0.01, "progress": lambda *_: None, **options}
        return time_to(targets, CPU, **given), measured

    return call


def test_the_first_weights_that_reach_a_target_are_found(race):
    found, measured = race((5.0, 1.0))
    assert [each.step for each in found.reached] == [20, 100]
    assert [each.frechet_distance for each in found.reached] == [5.0, 1.0]
    first, second = (each.seconds for each in found.reached)
    assert first is not None
    assert second is not None
    assert 0 < first < second <= found.trained_seconds
    assert len(measured) < 30, "not all weights are measured"


def test_a_target_that_is_not_reached_in_time_is_open(race):
    found, _ = race((5.0, 1.0), seconds=0.0)
    assert [each.step for each in found.reached] == [None, None]


def test_times_are_as_exact_as_wanted(race):
    found, _ = race((1.0,), resolution=0.2)
    (reached,) = found.reached
    assert reached.step is not None
    assert 100 <= reached.step <= 120
