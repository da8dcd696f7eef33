"""The patch distance: zero for equal sets, and larger for what eyes see first."""

import numpy as np
import pytest

from ganctl import patches


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer patches: a test takes a fraction of a second."""
    monkeypatch.setattr(patches, "NUM_PATCHES", 2000)


def blobs(seed, channels=3, size=32, count=100):
    """Return smooth random images, uint8 (count, size, size, channels)."""
    coarse = np.random.default_rng(seed).uniform(40, 215, (count, 5, 5, channels))
    at = np.linspace(0, 3.999, size)
    low, part = at.astype(int), at % 1
    rows = coarse[:, low] * (1 - part)[:, None, None] + coarse[:, low + 1] * part[:, None, None]
    both = rows[:, :, low] * (1 - part)[:, None] + rows[:, :, low + 1] * part[:, None]
    return both.round().astype(np.uint8)


def clipped(images):
    return images.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_equal_sets_have_no_distance_and_order_does_not_matter(channels):
    one, other = blobs(1, channels), blobs(2, channels)
    assert patches.distance(one, one) == 0
    assert patches.distance(one, other) == patches.distance(other, one) > 0
    assert patches.distance(one, other[:60]) > 0, "sets of different sizes"


def test_it_rises_with_checkered_pixels_noise_and_other_colors():
    real, other = blobs(1), blobs(2).astype(int)
    floor = patches.distance(real, clipped(other))
    squares = (np.indices((32, 32)).sum(0) % 2 * 2 - 1)[None, :, :, None]
    noise = np.random.default_rng(3).normal(0, 1, other.shape)
    worse = {
        "checkered": [other + squares * amount for amount in (2, 6)],
        "noise": [other + noise * amount for amount in (3, 12)],
        "dark": [other * share for share in (0.9, 0.7)],
    }
    for name, both in worse.items():
        slight, strong = (patches.distance(real, clipped(each)) for each in both)
        assert floor < slight < strong, name


def test_it_rises_with_blur():
    noise = np.random.default_rng(3).normal(0, 1, (100, 32, 32, 3))
    sharp = blobs(2) + 12 * np.sign(noise)
    blurred = (sharp + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2)) / 3
    real = clipped(sharp[:50])
    floor = patches.distance(real, clipped(sharp[50:]))
    assert patches.distance(real, clipped(blurred[50:])) > 3 * floor


@pytest.mark.parametrize(
    ("size", "levels"), [((8, 8), 1), ((28, 28), 1), ((32, 64), 2), ((100, 68), 3), ((128, 128), 4)]
)
def test_each_halving_down_to_sixteen_pixels_is_a_level(size, levels):
    found = patches.patches_of(np.zeros((3, *size, 1), np.uint8))
    assert [each.shape for each in found] == [(2001, 7, 7, 1)] * levels


def test_a_pyramid_separates_details_from_the_rest():
    images = patches._as_values(blobs(1, size=52, count=2))
    fine, coarse = patches._pyramid(images)
    assert coarse.shape[2:] == (26, 26)
    assert fine.abs().mean() < images.abs().mean() / 10
    flat = patches._pyramid(patches._as_values(np.full((1, 64, 64, 3), 100, np.uint8)))
    assert all(level.abs().max() < 1e-3 for level in flat[:-1]), "flat images have no detail"
    assert (flat[-1] - 100).abs().max() < 1e-3


def test_colors_of_transparent_pixels_count_for_nothing():
    one = blobs(1, 4)
    one[:, :16, :, 3] = 0
    other = one.copy()
    other[:, :16, :, :3] = 7
    assert patches.distance(one, other) == 0


def test_patches_do_not_depend_on_how_many_images_are_filtered_at_once(monkeypatch):
    images = blobs(1)
    whole = patches.patches_of(images)
    monkeypatch.setattr(patches, "_CHUNK_VALUES", 30 * images[0].size)
    assert all(map(lambda a, b: a.equal(b), whole, patches.patches_of(images)))


def test_a_reference_gives_the_same_distances_whatever_it_measured_before():
    random = np.random.default_rng(5)
    real, many, few = (
        random.integers(0, 256, (count, 16, 16, 3), np.uint8) for count in (30, 40, 20)
    )
    reference = patches.Reference(real)
    for images in (many, few, few, many):
        assert reference.distance(images) == patches.distance(images, real)
