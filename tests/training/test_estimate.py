"""The estimate of the time, memory and disk space that a training run takes."""

import pytest

from ganctl.training import estimate, session
from ganctl.training.step import train_step


@pytest.fixture
def ready(tiny_config, tmp_path):
    """A run of six steps whose R1 penalty is due every thousandth step."""
    return session.new(tiny_config(r1_interval=1000), tmp_path / "run", "cpu")


def test_a_few_steps_are_timed_with_and_without_the_penalty(ready, monkeypatch):
    numbers = []

    def counted(state, *arguments, **options):
        numbers.append(state.step)
        return train_step(state, *arguments, **options)

    monkeypatch.setattr(estimate, "train_step", counted)
    found = estimate.estimate(ready)
    assert {*numbers} == {0, 1}
    assert len(numbers) < 20
    updates = 6 * 16 / found["images_per_sec"]
    assert found["seconds"] == pytest.approx(updates, abs=0.01)  # no samples are measured
    assert found["checkpoint_bytes"] > 0


def test_only_what_is_left_of_a_run_counts(ready, monkeypatch):
    monkeypatch.setattr(estimate, "_time_step", lambda *_, **__: 2.0)
    monkeypatch.setattr(estimate, "_time_measuring", lambda _: (5.0, 7.0))
    assert estimate.estimate(ready)["seconds"] == 6 * 2 + 5 + 2 * 7
    ready.state.step = 4
    assert estimate.estimate(ready)["seconds"] == 2 * 2 + 5 + 1 * 7
