"""Which images are held out: as many of each class, and the same in every run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.datasets import holdout


@given(st.lists(st.integers(0, 6), min_size=20, max_size=400), st.floats(0.05, 0.5), st.randoms())
def test_each_class_loses_its_share(labels, share, random):
    labels = np.array(labels)
    count = round(len(labels) * share)
    chosen = holdout.choose(labels, count)
    assert len({*chosen.tolist()}) == len(chosen) == count
    sizes, taken = np.bincount(labels), np.bincount(labels[chosen], minlength=labels.max() + 1)
    divided = sizes[sizes > 1].sum()
    if divided < 2 * count:  # nearly all classes have a single image
        return
    assert (taken[sizes == 1] == 0).all()
    several = sizes > 1
    assert (np.abs(taken[several] - sizes[several] * count / divided) < 1 + 1e-9).all()


def test_the_choice_is_random_and_never_changes():
    """Frozen: a resumed run must hold out the same images under every later version of NumPy."""
    chosen = holdout.choose(np.zeros(1000, np.int64), 100)
    assert chosen[:6].tolist() == [537, 185, 482, 786, 732, 998]
    assert 400 < chosen.mean() < 600
    assert (np.diff(chosen) < 0).sum() > 30, "in random order"
    by_class = holdout.choose(np.arange(1000) // 500, 100)
    assert (by_class[:50] < 500).sum() in range(15, 36), "the first ones are of all classes"


@pytest.mark.parametrize("counts", [[7], [3, 0, 5, 9], [100] * 200, [1] * 30])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_shards_lose_their_last_images(counts, share):
    counts = np.array(counts)
    count = round(counts.sum() * share)
    taken = holdout.per_shard(counts, count)
    assert taken.sum() == count
    assert ((taken >= 0) & (taken <= counts)).all()
    used = np.flatnonzero(taken)
    if len(counts) == 200 and share == 0.1:
        assert len(used) == 64, "of many shards only some are read"
        assert (used[0], used[-1]) == (0, 199)
    assert not holdout.per_shard(counts, 0).any()
