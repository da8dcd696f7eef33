"""The sheet of augmented images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganctl import images
from ganctl.config.image_settings import ALL_AUGMENTATIONS, ImageSettings
from ganctl.config.presets import preset
from ganctl.config.schema import override
from ganctl.datasets.local.loading import Prepared
from ganctl.datasets.local.survey import Survey
from ganctl.rng import Fixed
from ganctl.training import augmented_sheet
from ganctl.training.augment import Augmentation


def prepared(count=40, channels=3, num_classes=4, size=(8, 12)):
    pixels = np.random.default_rng(0).integers(0, 256, (count, *size, channels), np.uint8)
    settings = ImageSettings(size, channels)
    labels = np.arange(count) * num_classes // count
    classes = {str(k): int((labels == k).sum()) for k in range(num_classes)}
    survey = Survey.of_array(count, *size, "RGB", classes, settings)
    return Prepared("x", pixels, labels, "", survey, settings)


def augmented_by(names):
    return override(preset("fast"), {"augment": names})


def cells(sheet, height, width, factor):
    """Return the images on a sheet, (rows, columns, H, W, C)."""
    picture = sheet.picture[::factor, ::factor]
    rows, columns = picture.shape[0] // height, picture.shape[1] // width
    return picture.reshape(rows, height, columns, width, -1).swapaxes(1, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_row_is_an_image_and_what_training_makes_of_it(channels):
    some = prepared(channels=channels)
    sheet = augmented_sheet.draw(some, augmented_by("color,cutout"))
    shown = cells(sheet, 8, 12, factor=84 // 8)
    assert shown.shape == (8, 1 + augmented_sheet.NUM_DRAWS, 8, 12, channels)
    rows = [int(np.flatnonzero((some.images == row[0]).all((1, 2, 3)))[0]) for row in shown]
    assert len(set(rows)) == 8
    assert set(some.labels[rows]) == {0, 1, 2, 3}
    batch = images.to_tensor(torch.from_numpy(some.images[rows]))
    augment = Augmentation("color,cutout", Fixed.AUGMENTED_SHEET)
    for column in range(1, 1 + augmented_sheet.NUM_DRAWS):
        np.testing.assert_array_equal(shown[:, column], images.to_pixels(augment(batch)))


@pytest.mark.parametrize(
    ("count", "held_out", "names", "reason"),
    [
        (999, 0, ALL_AUGMENTATIONS, "fewer than 1,000 images"),
        (1000, 100, ALL_AUGMENTATIONS, "fewer than 1,000 images"),
        (5000, 500, "translation", "fewer than 5,000 images"),
        (5000, 0, "none", "at least 5,000 images"),
    ],
)
def test_auto_goes_by_the_number_of_training_images(count, held_out, names, reason):
    some = prepared(count)
    some = some.hold_out(override(preset("fast"), {"holdout": held_out / count}))
    sheet = augmented_sheet.draw(some, augmented_by("auto"))
    assert (sheet.augment, sheet.reason) == (names, reason)
    said = str(sheet.describe(some.num_training))
    assert f"(auto: {reason}, {count - held_out:,} to train on)" in said
    assert ("always unchanged" in said) == (names == "none")


def test_few_images_make_fewer_rows():
    sheet = augmented_sheet.draw(prepared(3, num_classes=1), augmented_by("cutout"))
    assert (sheet.num_images, cells(sheet, 8, 12, 84 // 8).shape[:2]) == (3, (3, 7))
    assert str(sheet.describe(3)) == (
        "Each row is one of 3 images: unchanged, then augmented 6 times by cutout."
    )


def test_transparent_images_are_shown_over_a_checkerboard():
    some = prepared(channels=4)
    some.images[..., 3] = 0
    picture = augmented_sheet.draw(some, augmented_by(ALL_AUGMENTATIONS)).picture
    assert np.unique(picture).tolist() == [204, 255]


def test_large_images_are_reduced_after_they_were_augmented():
    some = prepared(2, num_classes=1, size=(512, 256))
    assert augmented_sheet.draw(some, augmented_by("color")).picture.shape == (512, 7 * 128, 3)
