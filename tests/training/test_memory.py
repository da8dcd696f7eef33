"""Batches that do not fit: refused, noticed, and a smaller one named."""

import pytest
import torch

from ganctl import devices, efficientnet
from ganctl.config import presets, schema
from ganctl.errors import DeviceError, TrainingError
from ganctl.store import read_checkpoint
from ganctl.training import loop, session
from ganctl.training.memory import find_fitting_batch, fitting_power, is_out_of_memory, require_room
from ganctl.training.state import create

CPU = torch.device("cpu")


def refusing_more_than(limit):
    """Return a train_step with memory for `limit` images, and a list of the sizes tried."""

    def step(state, real, noise, noise_seed):
        tried.append(len(real))
        if len(real) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    tried = []
    return step, tried


@pytest.mark.parametrize(
    ("free", "batch_size", "suggested"), [(2e9, 4096, 512), (2e8, 4096, 64), (5e6, 256, 2)]
)
def test_a_batch_that_cannot_fit_is_refused(monkeypatch, free, batch_size, suggested):
    config = schema.override(
        presets.preset("dcgan"), {"batch_size": batch_size, "precision": "fp32"}
    )
    monkeypatch.setattr(devices, "free_memory", lambda _: int(free))
    with pytest.raises(DeviceError, match=f"a batch of {batch_size} takes") as caught:
        require_room(config, CPU)
    assert f"batch_size={suggested} " in str(caught.value.hint)
    require_room(schema.override(config, {"batch_size": suggested}), CPU)


def test_without_any_free_memory_no_batch_size_is_suggested(monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda _: 1000)
    config = schema.override(presets.preset("dcgan"), {"precision": "fp32"})
    with pytest.raises(DeviceError) as caught:
        require_room(config, CPU)
    assert "batch_size" not in str(caught.value.hint)


def test_nothing_is_refused_if_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda _: None)
    require_room(schema.override(presets.preset("dcgan"), {"batch_size": 60_000}), CPU)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_that_mean_out_of_memory(error, found):
    assert is_out_of_memory(error) == found


@pytest.mark.parametrize(
    ("limit", "below", "power"), [(100, 256, 64), (64, 64, 32), (64, 65, 64), (3, 9, 2), (1, 9, 0)]
)
def test_fitting_powers_of_two(limit, below, power):
    assert fitting_power(limit, below) == power


@pytest.mark.parametrize(("limit", "found"), [(6, 4), (7, 4), (1, None)])
def test_a_fitting_batch_is_found_by_trying(tiny_config, monkeypatch, limit, found):
    state = create(tiny_config(batch_size=16), CPU)
    state.device = torch.device("meta")  # anything but a CPU
    step, tried = refusing_more_than(limit)
    monkeypatch.setattr("ganctl.training.step.train_step", step)
    assert find_fitting_batch(state) == found
    assert sorted(set(tried), reverse=True) == [8, 4, 2][: len(set(tried))]


def test_other_errors_are_raised(tiny_config, monkeypatch):
    state = create(tiny_config(batch_size=16), CPU)
    state.device = torch.device("meta")

    def broken(*_, **__):
        raise ValueError("something else")

    monkeypatch.setattr("ganctl.training.step.train_step", broken)
    with pytest.raises(ValueError, match="something else"):
        find_fitting_batch(state)


def test_running_out_of_memory_names_the_batch_size(tmp_path, tiny_config, train, monkeypatch):
    ready = session.new(tiny_config(), tmp_path / "run", "cpu")
    plain = loop.train_step

    def step(state, *arguments, **options):
        if state.step == 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return plain(state, *arguments, **options)

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(TrainingError, match="out of memory at step 5 with a batch of") as caught:
        train(ready)
    assert "batch_size=4," in str(caught.value.hint)
    assert read_checkpoint(tmp_path / "run").step == 3


def test_feature_maps_take_memory_too(tiny_config, monkeypatch):
    config = tiny_config("guided", batch_size=64)
    network = config.network
    of_maps = 64 * efficientnet.map_bytes(network.height, network.width)
    monkeypatch.setattr(devices, "free_memory", lambda _: of_maps)
    with pytest.raises(DeviceError, match="a batch of 64 takes at least"):
        require_room(config, CPU)
    require_room(schema.override(config, {"architecture": "fast"}), CPU)
