"""Shares and parts of a batch: whatever they are, together they are the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ganctl.datasets.base import Share
from ganctl.training.parts import Part

BATCHES = st.tuples(st.integers(1, 40), st.integers(0, 40))
PROCESSES = st.integers(1, 6)
PARTS = st.integers(1, 5)


def shares(batch, processes):
    num_reals, more = batch
    whole = Part.whole(num_reals, num_reals + more)
    return [whole.share(Share(rank, processes)) for rank in range(processes)]


def places(parts):
    """Of the reals and of all fakes, in no order."""
    reals = [place for part in parts for place in part.reals]
    return sorted(reals), sorted([*reals, *(place for part in parts for place in part.beyond)])


@given(BATCHES, PROCESSES)
@example((3, 2), 2)
def test_shares_hold_each_image_once_and_as_many_as_the_others(batch, processes):
    parts = shares(batch, processes)
    num_reals, num_fakes = batch[0], sum(batch)
    if num_reals < processes:
        assert all(part.reals == range(num_reals) for part in parts)
        assert all(part.fake_rows.num == num_fakes for part in parts)
        return
    assert places(parts) == (list(range(num_reals)), list(range(num_fakes)))
    for sizes in ([len(p.reals) for p in parts], [p.fake_rows.num for p in parts]):
        assert max(sizes) - min(sizes) <= 1


@given(BATCHES, PROCESSES)
def test_a_process_reads_the_reals_of_its_part(batch, processes):
    for rank, part in enumerate(shares(batch, processes)):
        assert part.reals == Share(rank, processes).of(batch[0])


@given(BATCHES, PROCESSES, PARTS)
@example((3, 0), 2, 2)
def test_every_process_takes_its_share_in_equally_many_parts(batch, processes, count):
    """Else one would wait, in batch normalization, for another that has none left."""
    own = shares(batch, processes)
    split = [share.split(count) for share in own]
    assert len({len(parts) for parts in split}) == 1
    assert 1 <= len(split[0]) <= count
    for share, parts in zip(own, split, strict=True):
        assert places(parts) == places([share])
        assert all(len(part.reals) for part in parts)


@given(BATCHES, PROCESSES, PARTS)
def test_weights_add_up_to_one(batch, processes, count):
    parts = [part for share in shares(batch, processes) for part in share.split(count)]
    assert sum(part.weight for part in parts) == pytest.approx(1)


@given(BATCHES, PROCESSES, PARTS)
def test_the_weighted_sum_of_the_parts_means_is_the_batchs(batch, processes, count):
    """Of reals always, and of fakes where there is one for each real."""
    values = np.random.default_rng(0).random(sum(batch))
    parts = [part for share in shares(batch, processes) for part in share.split(count)]
    together = sum(part.weight * values[part.reals].mean() for part in parts)
    assert together == pytest.approx(values[: batch[0]].mean())


@given(BATCHES, PROCESSES, PARTS)
def test_rows_are_the_places_in_the_whole_batch(batch, processes, count):
    for share in shares(batch, processes):
        for part in share.split(count):
            assert (part.real_rows.total, part.fake_rows.total) == (batch[0], sum(batch))
            assert part.fake_rows.num == len(part.reals) + len(part.beyond)
