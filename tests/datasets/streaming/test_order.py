from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl.batch import Share
from ganctl.datasets.streaming.order import EpochOrder

some_orders = st.builds(
    lambda counts, batch, block, seed: EpochOrder(
        np.array(counts), min(batch, sum(counts)), block, seed, 1
    ),
    st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
    st.integers(1, 100),
    st.integers(1, 30),
    st.integers(0, 2**32 - 1),
)


def image_at(order, step, row):
    """Return (shard, number in it) of the image for a row."""
    position = order.position(step, row)
    parts = order.shard_ranges(position.segment, position.block)
    images = [(part.shard, image) for part in parts for image in part.images]
    return images[order.permutation(position.segment, position.block)[position.offset]]


def epoch_of(order, share=None):
    steps = -(-int(order.counts.sum()) // order.batch_size)
    for step in range(steps):
        rows = (share or Share(0, 1)).rows(order.num_rows(step))
        yield [(row, image_at(order, step, row)) for row in rows]


@settings(max_examples=25)
@given(some_orders, st.integers(1, 5))
def test_an_epoch_has_every_image_once_however_many_processes_share_it(order, processes):
    whole = list(epoch_of(order))
    ranks = [epoch_of(order, Share(rank, processes)) for rank in range(processes)]
    expected = [(s, i) for s, count in enumerate(order.counts) for i in range(count)]

    assert sorted(image for batch in whole for _, image in batch) == expected
    for batch, parts in zip(whole, zip(*ranks, strict=True), strict=True):
        if len(batch) >= processes:
            assert list(itertools.chain(*parts)) == batch
        else:  # all of it, for each
            assert all(part == batch for part in parts)


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(**changes):
        how = {"batch_size": 16, "block_size": 10, "seed": 0, "epoch": 0} | changes
        return list(epoch_of(EpochOrder(np.array([300]), **how)))

    assert order() == order()
    assert order() != order(seed=1)
    assert order() != order(epoch=1)


def test_each_process_reads_only_its_part_of_the_shards():
    order = EpochOrder(np.full(64, 100), 64, 20, 0, 0)
    read = [Counter(), Counter()]
    for rank in range(2):
        for batch in epoch_of(order, Share(rank, 2)):
            read[rank].update(shard for _, (shard, _) in batch)

    assert len(read[0].keys() & read[1].keys()) <= 2  # where the ring is cut


def test_a_batch_spans_the_data_set_and_segments_change_blocks_at_different_steps():
    order = EpochOrder(np.full(64, 100), 64, 32, 0, 0)
    positions = [[order.position(step, row) for row in range(64)] for step in range(50)]

    assert all(len({shard for _, (shard, _) in batch}) > 32 for batch in epoch_of(order))
    for before, after in itertools.pairwise(positions):
        assert sum(a.block != b.block for a, b in zip(before, after, strict=True)) <= 4
