import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ganctl.batch import Rows
from ganctl.config.image_settings import AUGMENTATIONS
from ganctl.training import augment
from ganctl.training.augment import Augmentation


def images(count=16, channels=3, height=16, width=24, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=rng) * 2 - 1


def test_none_changes_nothing():
    batch = images()
    assert Augmentation("none", 0)(batch) is batch


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_change_is_a_function_of_the_seed_and_differs_between_calls(name):
    batch = images()
    augment, again = Augmentation(name, 7), Augmentation(name, 7)
    first, second = augment(batch), augment(batch)
    assert first.shape == batch.shape
    assert again(batch).equal(first)
    assert again(batch).equal(second)
    assert not first.equal(second)
    assert not Augmentation(name, 8)(batch).equal(first)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_is_changed_differently(name):
    alike = images(1).expand(16, -1, -1, -1)
    changed = Augmentation(name, 0)(alike)
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 8


def test_color_keeps_shapes_and_changes_the_mean_by_at_most_a_half():
    batch = images(64)
    changed = Augmentation("color", 0)(batch)
    shift = changed.mean((1, 2, 3)) - batch.mean((1, 2, 3))
    assert shift.abs().max() <= 0.5 + 1e-5
    assert shift.min() < -0.3
    assert shift.max() > 0.3
    # all pixels of a grayscale image change alike, so their order is kept
    gray = images(64, channels=1)
    order = gray.flatten(1).argsort(1)
    assert Augmentation("color", 0)(gray).flatten(1).gather(1, order).diff().min() >= -1e-5


@given(seed=st.integers(0, 2**62), height=st.sampled_from([8, 28, 32]))
def test_a_translation_shifts_by_at_most_an_eighth_and_fills_with_gray(seed, height):
    batch = torch.arange(1.0, 1 + height * 24).view(1, 1, height, 24)
    moved = Augmentation("translation", seed)(batch)[0, 0]
    kept = moved != 0
    rows, columns = kept.any(1).nonzero().flatten(), kept.any(0).nonzero().flatten()
    assert kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    source = moved[rows[0], columns[0]].long() - 1
    down, right = rows[0] - source // 24, columns[0] - source % 24
    assert abs(down) <= height // 8 + 1
    assert abs(right) <= 3
    assert len(rows) == height - abs(down)
    assert len(columns) == 24 - abs(right)
    expected = batch[0, 0].roll((int(down), int(right)), (0, 1))
    assert moved[kept].equal(expected[kept])


def test_a_translation_goes_in_every_direction_or_nowhere():
    batch = torch.ones(512, 1, 16, 16)
    moved = Augmentation("translation", 0)(batch)[:, 0]
    top, bottom = (moved[:, 0].sum(1) == 0), (moved[:, -1].sum(1) == 0)
    assert top.float().mean() == pytest.approx(0.4, abs=0.1)
    assert bottom.float().mean() == pytest.approx(0.4, abs=0.1)
    assert (moved.flatten(1).min(1).values == 1).any()


def test_cutout_turns_a_rectangle_of_at_most_half_the_sides_gray():
    batch = torch.ones(256, 3, 16, 24)
    cut = Augmentation("cutout", 0)(batch) == 0
    assert cut.all(1).equal(cut.any(1))
    rows, columns = cut.any(1).any(2).sum(1), cut.any(1).any(1).sum(1)
    assert cut.sum((1, 2, 3)).equal(3 * rows * columns)
    assert (rows.max(), columns.max()) == (8, 12)
    assert rows.min() <= 4


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_changes_can_be_differentiated_twice(name):
    batch = images(2, height=4, width=4).double().requires_grad_()

    def changed(batch):
        return Augmentation(name, 3)(batch).square()

    assert torch.autograd.gradcheck(changed, batch)
    assert torch.autograd.gradgradcheck(changed, batch)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_rows_are_changed_as_in_the_whole_batch(name):
    batch = images(9, height=8, width=8)
    whole = Augmentation(name, 3)(batch)
    for ranges in ((range(4), range(6, 7)), (range(4, 6), range(7, 9))):
        rows = Rows(ranges, 9)
        assert_close(Augmentation(name, 3)(rows.select(batch), rows), rows.select(whole))


# Each change with given random numbers: the effect of each number, and of no other.


def changed(name, batch, **numbers):
    """Return the images after one change; its random numbers are 0.5 unless given by index."""
    draws = torch.full((len(batch), augment._NUM_DRAWS), 0.5)
    for place, number in numbers.items():
        draws[:, int(place[1:])] = number
    return augment._CHANGES[name](batch, draws)


@pytest.mark.parametrize("channels", [1, 3])
def test_color_changes_brightness_saturation_and_contrast_as_published(channels):
    """Zhao et al. 2020 (DiffAugment), section 3.3, and their code."""
    batch = images(3, channels)
    assert_close(changed("color", batch), batch)
    for number in (0.0, 0.25, 1.0):
        assert_close(changed("color", batch, _0=number), batch + number - 0.5)
        gray = batch.mean(1, keepdim=True)
        saturated = gray + 2 * number * (batch - gray) if channels == 3 else batch
        assert_close(changed("color", batch, _1=number), saturated)
        mean = batch.mean((1, 2, 3), keepdim=True)
        contrasted = mean + (number + 0.5) * (batch - mean)
        assert_close(changed("color", batch, _2=number), contrasted)
        assert_close(changed("color", batch, _3=number, _4=number, _5=number), batch)


def test_images_of_two_channels_have_a_saturation_too():
    batch = images(2, channels=2)
    assert_close(changed("color", batch, _1=0.0), batch.mean(1, keepdim=True).expand_as(batch))


@pytest.mark.parametrize(("length", "most"), [(16, 2), (28, 4), (20, 3)])
def test_a_translation_uses_one_number_for_rows_and_another_for_columns(length, most):
    batch = images(1, height=length, width=length)
    assert changed("translation", batch).equal(batch)
    numbers = [(shift + most + 0.5) / (2 * most + 1) for shift in range(-most, most + 1)]
    for shift, number in zip(range(-most, most + 1), numbers, strict=True):
        kept = range(max(0, -shift), length - max(0, shift))
        moved = torch.zeros_like(batch)
        moved[:, :, kept.start : kept.stop] = batch.roll(-shift, 2)[:, :, kept.start : kept.stop]
        assert changed("translation", batch, _3=number).equal(moved)
        beside = moved.new_zeros(batch.shape)
        beside[..., kept.start : kept.stop] = batch.roll(-shift, 3)[..., kept.start : kept.stop]
        assert changed("translation", batch, _4=number).equal(beside)
        assert changed("translation", batch, _0=number, _5=number, _6=number).equal(batch)


@pytest.mark.parametrize("length", [16, 28, 20])
def test_a_cut_uses_one_number_for_rows_and_another_for_columns(length):
    batch = torch.ones(1, 1, length, length)
    half = length // 2

    def cut(**numbers):
        hole = changed("cutout", batch, **numbers)[0, 0] == 0
        return hole.any(1).nonzero().flatten().tolist(), hole.any(0).nonzero().flatten().tolist()

    middle = [*range(length // 2 - half // 2, length // 2 - half // 2 + half)]
    assert cut() == (middle, middle)
    for number in (0.0, 0.3, 0.999):
        first = int(number * (length + 1)) - half // 2
        expected = [place for place in range(first, first + half) if 0 <= place < length]
        assert cut(_5=number) == (expected, middle)
        assert cut(_6=number) == (middle, expected)
        assert cut(_3=number, _4=number, _7=number) == (middle, middle)


def transparent(count=16, height=16, width=24):
    """Return RGBA images as networks see them, and their straight colors in [0, 1]."""
    batch = (images(count, 4, height, width) + 1) / 2
    alpha = batch[:, 3:].clamp(0.3, 0.9)
    alpha[:, :, :3] = 0
    return torch.cat([batch[:, :3] * alpha, alpha], 1) * 2 - 1, batch[:, :3]


def straight(batch):
    """Return the straight colors, in [0, 1], of the visible pixels."""
    return ((batch[:, :3] + 1) / (batch[:, 3:] + 1))[:, :, 3:]


def test_color_changes_no_transparency():
    batch, _ = transparent()
    changed = Augmentation("color", 0)(batch)
    assert changed[:, 3].equal(batch[:, 3])
    assert_close(changed[:, :, :3], batch[:, :, :3])  # nothing to be seen
    assert not changed.equal(batch)


def test_color_of_transparent_images_changes_as_of_opaque_ones():
    opaque = images(8, 3)
    batch = torch.cat([opaque, torch.ones(8, 1, 16, 24)], 1)
    assert_close(
        Augmentation("color", 3)(batch)[:, :3], Augmentation("color", 3)(opaque), rtol=0, atol=1e-5
    )


def test_color_does_not_depend_on_how_opaque_an_image_is():
    batch, colors = transparent()
    half = torch.cat([colors * 0.5, torch.full_like(colors[:, :1], 0.5)], 1) * 2 - 1
    full = torch.cat([colors, torch.ones_like(colors[:, :1])], 1) * 2 - 1
    change = Augmentation("color", 3)(half), Augmentation("color", 3)(full)
    assert_close(*map(straight, change), rtol=0, atol=1e-4)
    empty = torch.full_like(batch, -1.0).requires_grad_()
    changed = Augmentation("color", 3)(empty)
    assert_close(changed, empty)
    changed.sum().backward()
    assert empty.grad.isfinite().all()


@pytest.mark.parametrize("name", ["translation", "cutout"])
def test_what_is_missing_is_transparent(name):
    changed = Augmentation(name, 0)(torch.ones(16, 4, 16, 24))
    assert changed.unique().tolist() == [-1, 1]
    assert (changed == changed[:, :1]).all()
