"""Processes that train together do what one does."""

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
from ganctl.distributed.group import ALONE, Processes, joined
from ganctl.errors import GroupError, UsageError

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


def settled(config, **changes):
    """As a session settles it for the tiny images, of which the last batch of an epoch is small."""
    return schema.override(config, {"num_classes": 0, "conditional": False, **changes})


@pytest.fixture(scope="module")
def seen(tiny_config, tiny_dataset, tmp_path_factory):
    """By case: what was seen by the first of two, by the second, and by one that was alone."""
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
def test_both_hold_the_same_bits(seen, case):
    first, second, _ = seen[case]
    assert first.metrics == second.metrics
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert np.array_equal(tensor, second.tensors[name]), name
        assert np.isfinite(tensor).all()


@pytest.mark.parametrize("case", ["fast", "relativistic", "dcgan"])
def test_the_losses_are_those_of_one_process(seen, case):
    """With classes, augmentation, a penalty, a batch in parts; dropout and normalization."""
    first, _, alone = seen[case]
    assert np.ptp(alone.metrics, axis=0).min() > 1e-4
    assert np.allclose(first.metrics, alone.metrics, rtol=1e-9, atol=0)
    for name, tensor in alone.tensors.items():
        assert np.allclose(first.tensors[name], tensor, rtol=1e-6, atol=1e-9), name


def test_a_step_sends_each_gradient_once_and_four_metrics(seen, tiny_config):
    first, _, alone = seen["fast"]
    sizes = {"generator": 0, "discriminator": 0}
    for name, tensor in first.tensors.items():
        part = name.split(" ")[0]
        sizes[part] = sizes.get(part, 0) + tensor.size
    expected = [("all_reduce", sizes["discriminator"]), ("all_reduce", sizes["generator"] + 4)]
    assert first.sent == [expected] * len(first.sent)
    assert not any(alone.sent)


def test_batch_normalization_sends_its_statistics_once_each_way(seen):
    first, _, _ = seen["dcgan"]
    channels = [size for name, size in first.sent[0] if name == "all_gather"]
    means = [t.size for name, t in first.tensors.items() if name.endswith("running_mean")]
    assert channels == [*(3 * mean for mean in means), *(2 * mean for mean in means[::-1])]
    assert [name for name, _ in first.sent[0]].count("all_reduce") == 2


def test_alone_one_is_all_there_is():
    tensor = torch.ones(2)
    assert (ALONE.rank, ALONE.size, ALONE.is_first) == (0, 1, True)
    assert ALONE.sum([tensor], like=[tensor]).wait()[0] is tensor
    assert ALONE.gathered(tensor).shape == (1, 2)
    assert ALONE.any(True, False) == (True, False)
    assert ALONE.agreed({"a": 1}) == {"a": 1}
    ALONE.require_same("a", "letter")
    ALONE.begin(1.0)
    assert ALONE.by_first(lambda: "worked") == "worked"
    with ALONE.alone():
        assert ALONE.any(True) == (True,)


@pytest.mark.parametrize("size", [None, "1"])
def test_a_process_that_was_started_alone_is(monkeypatch, size):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size:
        monkeypatch.setenv("WORLD_SIZE", size)
    with joined("no such device") as found:
        assert found is ALONE


@pytest.mark.parametrize("rank", [None, "", "first", "-1"])
def test_half_a_group_is_refused(monkeypatch, rank):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(UsageError, match="WORLD_SIZE is set, but RANK is"), joined("cpu"):
        pass


@pytest.fixture
def single():
    """The only one of a group of one, which speaks through the same store and process groups."""
    made = Processes(dist.HashStore(), 0, 1, CPU)
    made.begin(10)
    yield made
    dist.destroy_process_group()


OPERATIONS = {
    "sum": lambda group: group.sum([torch.ones(2)], like=[torch.empty(2)]),
    "gathered": lambda group: group.gathered(torch.ones(2)),
    "any": lambda group: group.any(True),
    "agreed": lambda group: group.agreed("this"),
    "require_same": lambda group: group.require_same("this", "word"),
    "by_first": lambda group: group.by_first(lambda: None),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_that_needs_the_others_is_done_alone(single, name):
    with pytest.raises(AssertionError, match="take no part"):
        single.by_first(lambda: OPERATIONS[name](single))
    with single.alone(), pytest.raises(AssertionError, match="take no part"):
        OPERATIONS[name](single)
    OPERATIONS[name](single)  # again, where it is not alone


def test_a_library_finds_no_group_where_a_process_is_alone(single):
    """Else it would wait there for the others, as torchmetrics does."""

    def work():
        assert not dist.is_initialized()
        with pytest.raises(ValueError, match="not been initialized"):
            dist.barrier()
        return "done"

    assert single.by_first(work) == "done"
    assert dist.is_initialized()


def test_the_others_wait_for_the_first_as_long_as_it_lives(tmp_path):
    """A process is silent where it does not answer, not where it has much to do."""
    (first, _), (second, lost) = groups.together(
        groups.slow_work, [(tmp_path / "store", rank) for rank in range(2)]
    )
    assert (first, second) == (["worked"], [None])
    assert "does not answer" in lost


def test_sums_lie_as_they_are_wanted(single):
    own = torch.arange(2.0 * 3 * 4 * 4).view(2, 3, 4, 4)
    like = torch.empty(2, 3, 4, 4).to(memory_format=torch.channels_last)
    whole, other = single.sum([own, torch.ones(5)], like=[like, torch.empty(5)]).wait()
    assert whole.equal(own)
    assert whole.stride() == like.stride()
    assert other.equal(torch.ones(5))


def test_what_the_first_one_says_is_what_all_hear():
    store = dist.HashStore()
    first, second = (Processes(store, rank, 2, CPU) for rank in range(2))
    for value in ({"a": [1, 2.5, None]}, False, "text"):
        assert first.agreed(value) == value
        assert second.agreed(None) == value
    first.require_same("abc", "images")
    with pytest.raises(UsageError, match="process 1 does not have the same images"):
        second.require_same("abd", "images")


def test_processes_of_a_restarted_group_do_not_hear_the_dead():
    store = dist.HashStore()
    old, new = (dist.PrefixStore(f"ganctl/{attempt}", store) for attempt in range(2))
    Processes(old, 0, 2, CPU).agreed("old")
    Processes(new, 0, 2, CPU).agreed("new")
    assert Processes(new, 1, 2, CPU).agreed(None) == "new"


def test_a_lost_process_is_said_in_plain_words():
    with pytest.raises(GroupError) as caught, group._failures():
        raise RuntimeError("[/pytorch/gloo/pair.cc:1] Connection closed by peer [::1]:1. And more")
    assert "/pytorch" not in caught.value.message
    assert "Connection closed by peer" in caught.value.message
    assert "resume=True" in str(caught.value.hint)


def test_without_a_launcher_all_are_on_this_machine(monkeypatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "RANK", "1")
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "3")
    made = Processes(dist.HashStore(), 1, 3, CPU)
    assert (made.local_rank, made.local_size) == (1, 3)
