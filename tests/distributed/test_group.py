"""Several processes that train together give the results of a single one."""

from __future__ import annotations

import os
import sys

import groups
import numpy as np
import pytest
import torch
from torch import distributed as dist

from ganctl.config import schema
from ganctl.distributed import group
from ganctl.distributed.group import SINGLE, Processes, join_group
from ganctl.errors import GroupError, UsageError

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


def settled(config, **changes):
    """Return the config resolved for the tiny images; the last batch of an epoch is smaller."""
    return schema.override(config, {"num_classes": 0, "conditional": False, **changes})


@pytest.fixture(scope="module")
def results(tiny_config, tiny_dataset, tmp_path_factory):
    """The results of each case: of the first of two processes, the second, and a single one."""
    cases = {
        "fast": settled(
            tiny_config("fast", epochs=4), num_classes=10, conditional=True, mirror=True,
            augment="color,translation,cutout", accumulate=2, r1_interval=2,
        ),
        "relativistic": settled(tiny_config("fast"), loss="relativistic"),
        "dcgan": settled(tiny_config("dcgan", epochs=4), base_channels=2),
        "uneven": settled(tiny_config("dcgan"), base_channels=2, batch_size=11, accumulate=5),
    }  # fmt: skip
    arrays = [tiny_dataset.images.numpy(), tiny_dataset.labels.numpy() % 10]
    given = [(config, *arrays) for config in cases.values()]
    path = tmp_path_factory.mktemp("group") / "store"
    found = groups.together(
        groups.steps, [(path, 0, 2, given), (path, 1, 2, given), (path, 0, 1, given)]
    )
    return dict(zip(cases, zip(*found, strict=True), strict=True))


@pytest.mark.parametrize("case", ["fast", "relativistic", "dcgan", "uneven"])
def test_both_processes_have_the_same_bits(results, case):
    first, second, _ = results[case]
    assert first.metrics == second.metrics
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert np.array_equal(tensor, second.tensors[name]), name
        assert np.isfinite(tensor).all()


@pytest.mark.parametrize("case", ["fast", "relativistic", "dcgan"])
def test_the_losses_are_those_of_a_single_process(results, case):
    """The cases have classes, augmentation, R1, micro-batches, dropout and batch normalization."""
    first, _, single = results[case]
    assert np.ptp(single.metrics, axis=0).min() > 1e-4
    assert np.allclose(first.metrics, single.metrics, rtol=1e-9, atol=0)
    for name, tensor in single.tensors.items():
        assert np.allclose(first.tensors[name], tensor, rtol=1e-6, atol=1e-9), name


def test_a_step_sends_each_gradient_once_and_four_metrics(results, tiny_config):
    first, _, single = results["fast"]
    sizes = {"generator": 0, "discriminator": 0}
    for name, tensor in first.tensors.items():
        part = name.split(" ")[0]
        sizes[part] = sizes.get(part, 0) + tensor.size
    expected = [("all_reduce", sizes["discriminator"]), ("all_reduce", sizes["generator"] + 4)]
    assert first.sent == [expected] * len(first.sent)
    assert not any(single.sent)


def test_batch_normalization_sends_its_statistics_once_each_way(results):
    first, _, _ = results["dcgan"]
    channels = [size for name, size in first.sent[0] if name == "all_gather"]
    means = [t.size for name, t in first.tensors.items() if name.endswith("running_mean")]
    assert channels == [*(3 * mean for mean in means), *(2 * mean for mean in means[::-1])]
    assert [name for name, _ in first.sent[0]].count("all_reduce") == 2


def test_a_single_process_is_the_whole_group():
    tensor = torch.ones(2)
    assert (SINGLE.rank, SINGLE.size, SINGLE.is_first) == (0, 1, True)
    assert SINGLE.begin_sum([tensor], like=[tensor]).wait()[0] is tensor
    assert SINGLE.all_gather(tensor).shape == (1, 2)
    assert SINGLE.any(True, False) == (True, False)
    assert SINGLE.broadcast({"a": 1}) == {"a": 1}
    SINGLE.require_same("a", "letter")
    SINGLE.start(1.0)
    assert SINGLE.run_on_first(lambda: "worked") == "worked"
    with SINGLE.isolated():
        assert SINGLE.any(True) == (True,)


@pytest.mark.parametrize("size", [None, "1"])
def test_a_process_started_alone_is_a_single_one(monkeypatch, size):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size:
        monkeypatch.setenv("WORLD_SIZE", size)
    with join_group("no such device") as found:
        assert found is SINGLE


@pytest.mark.parametrize("rank", [None, "", "first", "-1"])
def test_an_incomplete_environment_is_refused(monkeypatch, rank):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with (
        pytest.raises(UsageError, match="WORLD_SIZE is set, but RANK is not a number"),
        join_group("cpu"),
    ):
        pass


@pytest.fixture
def single():
    """The only process of a group of one, with a store and process groups like those of several."""
    made = Processes(dist.HashStore(), 0, 1, CPU)
    made.start(10)
    yield made
    dist.destroy_process_group()


OPERATIONS = {
    "begin_sum": lambda group: group.begin_sum([torch.ones(2)], like=[torch.empty(2)]),
    "all_gather": lambda group: group.all_gather(torch.ones(2)),
    "any": lambda group: group.any(True),
    "broadcast": lambda group: group.broadcast("this"),
    "require_same": lambda group: group.require_same("this", "word"),
    "run_on_first": lambda group: group.run_on_first(lambda: None),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_isolated_process_refuses_whatever_needs_the_others(single, name):
    with pytest.raises(AssertionError, match="cannot wait for the others"):
        single.run_on_first(lambda: OPERATIONS[name](single))
    with single.isolated(), pytest.raises(AssertionError, match="cannot wait for the others"):
        OPERATIONS[name](single)
    OPERATIONS[name](single)  # works again afterwards


def test_a_library_finds_no_group_in_an_isolated_process(single):
    """A library that finds a group would wait for the other processes."""

    def work():
        assert not dist.is_initialized()
        with pytest.raises(ValueError, match="not been initialized"):
            dist.barrier()
        return "done"

    assert single.run_on_first(work) == "done"
    assert dist.is_initialized()


def test_the_others_wait_for_the_first_as_long_as_it_lives(tmp_path):
    """A process times out if it does not respond, not if its work takes long."""
    (first, _), (second, lost) = groups.together(
        groups.slow_work, [(tmp_path / "store", rank) for rank in range(2)]
    )
    assert (first, second) == (["worked"], [None])
    assert "does not respond" in lost


def test_sums_have_the_requested_memory_layout(single):
    own = torch.arange(2.0 * 3 * 4 * 4).view(2, 3, 4, 4)
    like = torch.empty(2, 3, 4, 4).to(memory_format=torch.channels_last)
    whole, other = single.begin_sum([own, torch.ones(5)], like=[like, torch.empty(5)]).wait()
    assert whole.equal(own)
    assert whole.stride() == like.stride()
    assert other.equal(torch.ones(5))


def test_all_processes_get_the_value_of_the_first():
    store = dist.HashStore()
    first, second = (Processes(store, rank, 2, CPU) for rank in range(2))
    for value in ({"a": [1, 2.5, None]}, False, "text"):
        assert first.broadcast(value) == value
        assert second.broadcast(None) == value
    first.require_same("abc", "images")
    with pytest.raises(UsageError, match="process 1 does not have the same images"):
        second.require_same("abd", "images")


def test_a_restarted_group_does_not_read_the_values_of_the_one_before():
    store = dist.HashStore()
    old, new = (dist.PrefixStore(f"ganctl/{attempt}", store) for attempt in range(2))
    Processes(old, 0, 2, CPU).broadcast("old")
    Processes(new, 0, 2, CPU).broadcast("new")
    assert Processes(new, 1, 2, CPU).broadcast(None) == "new"


def test_a_lost_process_is_reported_in_plain_words():
    with pytest.raises(GroupError) as caught, group._group_errors():
        raise RuntimeError("[/pytorch/gloo/pair.cc:1] Connection closed by peer [::1]:1. And more")
    assert "/pytorch" not in caught.value.message
    assert "Connection closed by peer" in caught.value.message
    assert "resume=True" in str(caught.value.hint)


def test_without_a_launcher_all_processes_are_on_this_machine(monkeypatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "RANK", "1")
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "3")
    made = Processes(dist.HashStore(), 1, 3, CPU)
    assert (made.local_rank, made.local_size) == (1, 3)
