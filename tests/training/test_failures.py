"""Failures that end a run are named, and never saved."""

import functools
import math

import pytest
import torch

from ganctl.errors import TrainingError
from ganctl.store import read_checkpoint
from ganctl.training import session
from ganctl.training.callback import Callback


class Poisoner(Callback):
    """A callback that sets one weight of a network after a step."""

    def __init__(self, ready, at, network, value):
        self.ready, self.at, self.network, self.value = ready, at, network, value

    def on_step(self, progress):
        if progress.step == self.at:
            with torch.no_grad():
                next(getattr(self.ready.state, self.network).parameters()).view(-1)[0] = self.value

    def should_stop(self):
        return False


def test_a_compiler_failure_is_explained(tmp_path, tiny_config, train, monkeypatch):
    def failing(graph, inputs):
        raise RuntimeError("no C++ compiler here")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=failing))
    with pytest.raises(TrainingError, match=r"torch\.compile failed: .*no C") as caught:
        train(session.new(tiny_config(compile=True), tmp_path / "run", "cpu"))
    assert "without compile=True" in str(caught.value.hint)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_nan_loss_ends_the_run_at_its_step(tmp_path, tiny_config, train, preset, network):
    ready = session.new(tiny_config(preset), tmp_path / "run", "cpu")
    with pytest.raises(TrainingError, match=r"_loss became NaN at step 3;") as caught:
        train(ready, Poisoner(ready, 2, network, torch.nan))
    assert str(ready.run.latest) in str(caught.value.hint)
    assert "lr_g=" in str(caught.value.hint)
    assert read_checkpoint(ready.run.path).step == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["discriminator", "generator"])
@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_gradient_that_is_not_finite_is_named(tmp_path, tiny_config, train, preset, part, value):
    """The losses of that step are still finite."""
    ready = session.new(tiny_config(preset), tmp_path / "run", "cpu")
    name, parameter = list(getattr(ready.state, part).named_parameters())[1]

    def poisoned(gradient):
        if ready.state.step == 3:  # the step after the third, the fourth
            gradient = gradient.clone()
            gradient.view(-1)[0] = value
        return gradient

    parameter.register_hook(poisoned)
    with pytest.raises(TrainingError) as caught:
        train(ready)
    kind = "NaN" if math.isnan(value) else "infinite"
    expected = f"the gradient of {part} {name} became {kind} at step 4; "
    assert caught.value.message.startswith(expected)
    assert read_checkpoint(ready.run.path).step == 3


@pytest.mark.parametrize("network", ["generator", "ema", "discriminator"])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, tiny_config, train, network):
    ready = session.new(tiny_config(), tmp_path / "run", "cpu")
    name = {"ema": "generator_ema"}.get(network, network)
    with pytest.raises(TrainingError, match=rf"^{name} .* no longer finite at step 6;"):
        train(ready, Poisoner(ready, 6, network, torch.inf))
    saved = read_checkpoint(ready.run.path)
    assert saved.step == 3
    assert ready.run.samples() == [ready.run.sample(1)]  # nor is it drawn
    assert all(tensor.isfinite().all() for tensor in saved.generator.values())


def test_only_a_bf16_run_is_advised_to_use_fp32(tmp_path, tiny_config, train):
    for precision in ("fp32", "bf16"):
        ready = session.new(tiny_config(precision=precision), tmp_path / precision, "cpu")
        with pytest.raises(TrainingError) as caught:
            train(ready, Poisoner(ready, 1, "discriminator", torch.nan))
        assert ("precision='fp32'" in str(caught.value.hint)) == (precision == "bf16")
