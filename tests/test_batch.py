"""Shares and micro-batches: however a batch is divided, the pieces together are the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ganctl.batch import MicroBatch, Rows, Share

BATCHES = st.tuples(st.integers(1, 40), st.integers(0, 40))
PROCESSES = st.integers(1, 6)
COUNTS = st.integers(1, 5)


@given(size=st.integers(1, 50), count=st.integers(1, 12))
def test_the_shares_of_a_batch_are_all_of_it_in_order(size, count):
    shares = [Share(index, count).rows(size) for index in range(count)]
    if size < count:
        assert set(shares) == {range(size)}
        return
    assert [row for share in shares for row in share] == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(first=st.integers(0, 9), size=st.integers(0, 50), count=st.integers(1, 12))
def test_rows_are_shared_out_as_torch_splits_a_tensor(first, size, count):
    rows = range(first, first + size)
    shares = [list(Share(index, count).of(rows)) for index in range(count)]
    assert shares == [x.tolist() for x in torch.tensor_split(torch.arange(size) + first, count)]


def test_rows_are_selected_without_a_copy_where_they_are_one_range():
    batch = torch.arange(12).view(6, 2)
    one = Rows((range(2, 4), range(5, 5)), 6).select(batch)
    assert one.equal(batch[2:4])
    assert one.untyped_storage().data_ptr() == batch.untyped_storage().data_ptr()
    assert Rows((range(1), range(4, 6)), 6).select(batch).equal(batch[[0, 4, 5]])
    assert Rows.all_of(6).select(batch).equal(batch)
    assert Rows((range(3, 3),), 6).select(batch).shape == (0, 2)


def test_rows_are_selected_from_those_that_a_process_holds():
    batch = torch.arange(10)
    held = Rows((range(2, 6), range(8, 10)), 10)
    for ranges in ((range(3, 5), range(9, 10)), (range(2, 6), range(8, 8)), held.ranges):
        rows = Rows(ranges, 10)
        assert rows.select(held.select(batch), held).equal(rows.select(batch))
    both, two_batches = held + held, torch.arange(20)
    rows = Rows((range(3, 4), range(8, 9), range(12, 14), range(18, 20)), 20)
    assert rows.select(both.select(two_batches), both).equal(rows.select(two_batches))


def test_rows_of_two_batches_are_those_of_both_joined():
    both = Rows((range(1, 2),), 3) + Rows((range(2), range(3, 4)), 5)
    assert both == Rows((range(1, 2), range(3, 5), range(6, 7)), 8)


def shares(batch, processes):
    num_reals, more = batch
    whole = MicroBatch.whole(num_reals, num_reals + more)
    return [whole.share(Share(rank, processes)) for rank in range(processes)]


def num_fakes(part):
    return len(part.real) + len(part.extra)


def rows(parts):
    """Return the sorted rows of the real images, and of all fakes."""
    real = [row for part in parts for row in part.real]
    return sorted(real), sorted([*real, *(row for part in parts for row in part.extra)])


@given(BATCHES, PROCESSES)
@example((3, 2), 2)
def test_shares_hold_each_image_once_and_as_many_as_the_others(batch, processes):
    parts = shares(batch, processes)
    num_reals, all_fakes = batch[0], sum(batch)
    if num_reals < processes:
        assert all(part.real == range(num_reals) for part in parts)
        assert all(num_fakes(part) == all_fakes for part in parts)
        return
    assert rows(parts) == (list(range(num_reals)), list(range(all_fakes)))
    for sizes in ([len(p.real) for p in parts], [num_fakes(p) for p in parts]):
        assert max(sizes) - min(sizes) <= 1


@given(BATCHES, PROCESSES)
def test_a_process_reads_the_real_images_of_its_share(batch, processes):
    for rank, part in enumerate(shares(batch, processes)):
        assert part.real == Share(rank, processes).rows(batch[0])


@given(BATCHES, PROCESSES, COUNTS)
@example((3, 0), 2, 2)
def test_every_process_has_equally_many_micro_batches(batch, processes, count):
    """A process with more would wait in batch normalization for one that has none left."""
    own = shares(batch, processes)
    split = [share.split(count) for share in own]
    assert len({len(parts) for parts in split}) == 1
    assert 1 <= len(split[0]) <= count
    for share, parts in zip(own, split, strict=True):
        assert rows(parts) == rows([share])
        assert all(len(part.real) for part in parts)


@given(BATCHES, PROCESSES, COUNTS)
def test_weights_add_up_to_one(batch, processes, count):
    parts = [part for share in shares(batch, processes) for part in share.split(count)]
    assert sum(part.weight for part in parts) == pytest.approx(1)


@given(BATCHES, PROCESSES, COUNTS)
def test_the_weighted_sum_of_the_means_is_the_mean_of_the_batch(batch, processes, count):
    """The weights are right for real images, and for fakes if there is one for each real image."""
    values = np.random.default_rng(0).random(sum(batch))
    parts = [part for share in shares(batch, processes) for part in share.split(count)]
    together = sum(part.weight * values[part.real].mean() for part in parts)
    assert together == pytest.approx(values[: batch[0]].mean())


@given(BATCHES, PROCESSES, COUNTS)
def test_rows_are_those_of_the_whole_batch(batch, processes, count):
    for share in shares(batch, processes):
        for part in share.split(count):
            assert part.real_rows == Rows((part.real,), batch[0])
            assert part.fake_rows == Rows((part.real, part.extra), sum(batch))
