import csv
import dataclasses

import numpy as np
import pytest
import torch

from ganctl import images, latents_file
from ganctl.errors import RunError
from ganctl.features.classifier import DigitFeatures
from ganctl.latents_file import Latents
from ganctl.steering.projection import Projection, _notes, psnr, relative_error


@pytest.fixture
def projection():
    given = np.zeros((3, 8, 12, 1), np.uint8)
    found = given.copy()
    found[1] += 51
    latents = Latents(np.ones((3, 4), np.float32), np.array([1, 0, 1]), provenance={"step": "4"})
    return Projection(latents, ("a.png", "b.png", "c,d"), given, found, psnr(given, found),
                      ("cat", "dog"))  # fmt: skip


def test_psnr_is_in_decibels(projection):
    assert projection.psnr[1] == pytest.approx(20 * np.log10(255 / 51), abs=1e-4)
    assert np.isinf(projection.psnr[[0, 2]]).all()


def test_the_error_in_features_is_relative():
    given = np.zeros((2, 28, 28, 1), np.uint8)
    given[:, 5:20, 12:15] = 255
    found = given.copy()
    found[1, 5:8, 12:24] = 255
    equal, other = relative_error(DigitFeatures(torch.device("cpu")), given, found)
    assert equal == 0
    assert 0.05 < other < 2


def test_pictures_of_another_kind_are_named(projection):
    assert _notes(projection.names, projection.psnr) == [
        "1 picture not found, with a PSNR below 15 dB: b.png. The generator draws nothing like "
        "them. Pictures should have the background of its training images."
    ]
    assert _notes(("a",), np.array([20.0])) == []


def test_invisible_colors_do_not_count():
    given, found = np.zeros((2, 1, 8, 8, 4), np.uint8)
    found[..., :3] = 200  # under an alpha of 0
    assert np.isinf(psnr(given, found)[0])


def test_three_files_are_saved(projection, tmp_path):
    folder = tmp_path / "new" / "folder"
    projection.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "latents.npz", "projection.csv", "projection.png",
    ]  # fmt: skip
    with np.load(folder / "latents.npz") as arrays:
        assert arrays["latents"].tolist() == np.ones((3, 4)).tolist()
        assert arrays["classes"].tolist() == [1, 0, 1]
    rows = list(csv.DictReader((folder / "projection.csv").open(encoding="utf-8")))
    expected = {"name": "b.png", "class": "cat", "psnr_db": "13.98", "feature_error": ""}
    assert rows[1] == expected
    with_error = dataclasses.replace(projection, feature_error=np.array([0, 0.25, 1]))
    with_error.save(folder)
    rows = list(csv.DictReader((folder / "projection.csv").open(encoding="utf-8")))
    assert rows[1] == {**expected, "feature_error": "0.2500"}
    assert (rows[2]["name"], rows[2]["psnr_db"]) == ("c,d", "inf")
    projection.save(folder)  # once more, in their place


def test_a_folder_that_cannot_be_made_is_an_error(projection, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError):
        projection.save(tmp_path / "file")


def test_the_sheet_has_the_given_image_on_the_left(projection):
    pair = projection.picture()[2 : 2 + 80]
    assert pair.shape[2] == 1
    right = pair[:, pair.shape[1] // 2 :]
    assert {0, 51} <= {*np.unique(right).tolist()}
    assert images.PREVIEW_SIZE >= 80


def test_names_of_classes_need_classes(projection):
    assert projection.class_names == ["dog", "cat", "dog"]
    without = Projection(Latents(np.ones((1, 4), np.float32)), ("a",), projection.given[:1],
                         projection.found[:1], projection.psnr[:1])  # fmt: skip
    assert without.class_names == [None]
    assert "1 images" not in repr(projection)
    assert latents_file.SUFFIX == ".npz"
