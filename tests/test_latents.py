import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch.testing import assert_close

from ganctl import latents
from ganctl.latents import draw, from_seeds, lerp, path, slerp, with_classes
from ganctl.rng import Stream

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0, 1)


def vectors(size=6):
    elements = st.floats(-10, 10, width=32)
    return npst.arrays(np.float32, size, elements=elements).map(torch.from_numpy)


@given(seeds=st.lists(SEEDS, min_size=1, max_size=8), position=st.integers(0, 7))
def test_a_row_is_a_function_of_its_own_seed_alone(seeds, position):
    row = position % len(seeds)
    np.random.seed(position)
    assert from_seeds(seeds, 5)[row].equal(from_seeds([seeds[row]], 5)[0])


def test_the_latent_of_seed_7_never_changes():
    expected = torch.tensor([[1.6905257, -0.46593738, 0.03282016]])
    assert_close(from_seeds([7], 3), expected, rtol=0, atol=1e-7)
    assert from_seeds([7], 3).dtype == torch.float32


def test_latents_are_standard_gaussian():
    values = from_seeds(range(200), 100)
    assert values.shape == (200, 100)
    assert abs(values.mean().item()) < 5 / math.sqrt(20_000)
    assert abs(values.var().item() - 1) < 5 * math.sqrt(2 / 20_000)


def test_no_seeds_give_no_latents():
    assert from_seeds([], 5).shape == (0, 5)


def test_latents_are_drawn_from_a_stream():
    def noise(seed, step):
        return draw(Stream.NOISE.generator(seed=seed, step=step, block=0), 3, 4)

    assert noise(1, 2).equal(noise(1, 2))
    assert noise(1, 2).shape == (3, 4)
    assert noise(1, 2).dtype == torch.float32
    assert not noise(1, 2).equal(noise(2, 1))


@given(start=vectors(), end=vectors())
@pytest.mark.parametrize("between", [lerp, slerp])
def test_both_ends_are_met(between, start, end):
    assert_close(between(start, end, 0.0), start, rtol=1e-5, atol=1e-6)
    assert_close(between(start, end, 1.0), end, rtol=1e-5, atol=1e-6)


def test_lerp_is_the_straight_line():
    start, end = torch.tensor([0.0, 4.0]), torch.tensor([8.0, 0.0])
    assert lerp(start, end, 0.25).tolist() == [2.0, 3.0]


@given(start=vectors(), end=vectors(), t=SHARES)
@pytest.mark.parametrize("between", [lerp, slerp])
def test_the_reverse_path_is_the_same(between, start, end, t):
    assert_close(between(start, end, t), between(end, start, 1 - t), rtol=1e-3, atol=1e-4)


@given(seed=SEEDS, t=SHARES)
def test_slerp_of_unit_vectors_is_a_rotation_in_their_plane(seed, t):
    start, end = from_seeds([seed, seed ^ 1], 50)
    start, end = start / start.norm(), end / end.norm()
    # Gram-Schmidt: rotate `start` towards the component of `end` orthogonal to it
    aside = end - torch.dot(start, end) * start
    aside = aside / aside.norm()
    angle = t * math.atan2(torch.dot(end, aside), torch.dot(end, start))
    expected = math.cos(angle) * start + math.sin(angle) * aside
    assert_close(slerp(start, end, t), expected, rtol=1e-4, atol=1e-5)


@given(seed=SEEDS, t=SHARES, stretch=st.floats(0.1, 10))
def test_slerp_interpolates_the_length_linearly(seed, t, stretch):
    start, end = from_seeds([seed, seed ^ 1], 50)
    end = end * stretch
    expected = (1 - t) * start.norm() + t * end.norm()
    assert_close(slerp(start, end, t).norm(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "end"),
    [([1.0, 2.0], [2.0, 4.0]), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0], [-1.0, -2.0]),
     ([0.0, 0.0], [3.0, 4.0]), ([3.0, 4.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])],
)  # fmt: skip
def test_slerp_is_lerp_if_the_arc_is_not_defined(start, end):
    start, end = torch.tensor(start), torch.tensor(end)
    for t in (0.0, 0.3, 0.5, 1.0):
        assert slerp(start, end, t).equal(lerp(start, end, t))


@given(
    keyframes=st.integers(2, 5),
    frames=st.integers(1, 7),
    mode=st.sampled_from(sorted(latents.MODES)),
    loop=st.booleans(),
)
def test_a_path_meets_every_keyframe_exactly(keyframes, frames, mode, loop):
    stops = from_seeds(range(keyframes), 10)
    points = path(stops, 10, frames=frames, mode=mode, loop=loop)
    assert len(points) == (keyframes * frames if loop else (keyframes - 1) * frames + 1)
    assert points[::frames].equal(stops)


def test_a_path_moves_in_equal_steps_between_its_keyframes():
    stops = torch.tensor([[0.0], [4.0], [0.0]])
    assert path(stops, 1, frames=2, mode="lerp").flatten().tolist() == [0, 2, 4, 2, 0]
    looped = path(stops[:2], 1, frames=4, mode="lerp", loop=True)
    assert looped.flatten().tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_a_path_is_an_arc_by_default():
    stops = torch.eye(2)
    middle = path(stops, 2, frames=2)[1]
    assert_close(middle, torch.full((2,), math.sqrt(0.5)))


def test_a_path_interpolates_classes_linearly():
    stops = with_classes(torch.eye(2), torch.tensor([0, 2]), 3)
    points = path(stops, 2, frames=4)
    assert points[:, :2].norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    assert points[:, 2].tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert points[:, 3].tolist() == [0] * 5
    assert points[:, 4].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_classes_are_appended_to_the_latents():
    points = with_classes(torch.full((2, 3), 0.5), torch.tensor([1, 0]), 2)
    assert points.tolist() == [[0.5, 0.5, 0.5, 0, 1], [0.5, 0.5, 0.5, 1, 0]]


@pytest.mark.parametrize("mode", latents.MODES)
@pytest.mark.parametrize("ease", latents.EASINGS)
def test_a_sheet_meets_its_corners_and_edges(mode, ease):
    corners = from_seeds(range(4), 7)
    rows = latents.sheet(corners, 5, frames=3, mode=mode, ease=ease)
    assert rows.shape == (16, 7)
    square = rows.view(4, 4, 7)
    assert square[[0, 0, 3, 3], [0, 3, 0, 3]].equal(corners)
    for edge, ends in ((square[0], [0, 1]), (square[-1], [2, 3]), (square[:, 0], [0, 2])):
        assert edge.equal(path(corners[ends], 5, frames=3, mode=mode, ease=ease))


def test_paths_and_sheets_follow_the_sphere_evenly_by_default():
    corners, plainly = from_seeds(range(4), 7), {"mode": "slerp", "ease": "linear"}
    for make in (path, latents.sheet):
        assert make(corners, 5, frames=3).equal(make(corners, 5, frames=3, **plainly))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("stops", "frames"), [(2, 1), (2, 6000), (5, 3)])
def test_the_number_of_frames_of_a_walk_is_known_beforehand(stops, frames, loop):
    walk = path(from_seeds(range(stops), 2), 2, frames=frames, loop=loop)
    assert latents.num_frames(stops, frames, loop=loop) == len(walk)
    assert latents.num_frames(stops, frames) == (stops - 1) * frames + 1


def test_a_smooth_walk_eases_in_and_out():
    ends = torch.tensor([[0.0], [1.0]])
    linear, smooth = (
        path(ends, 1, frames=10, mode="lerp", ease=ease).flatten().diff()
        for ease in latents.EASINGS
    )
    assert_close(linear, torch.full((10,), 0.1))
    assert smooth[0] < 0.03 < 0.14 < smooth[4]
    assert_close(smooth, smooth.flip(0))


def test_random_seeds_are_different_and_a_function_of_their_seed():
    some = latents.random_seeds(50, 3)
    assert len(set(some)) == 50
    assert latents.random_seeds(8, 3) == some[:8]
    assert latents.random_seeds(8, 4) != some[:8]
