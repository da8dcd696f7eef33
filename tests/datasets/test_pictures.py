import numpy as np
import pytest

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.pictures import read
from ganctl.errors import DataError, UsageError
from tests.conftest import draw

SETTINGS = ImageSettings((28, 28), 1)


def test_files_folders_and_arrays_are_read_in_order(tmp_path, photos):
    one = draw(tmp_path / "one.png", (28, 28), "L")
    array = np.full((2, 28, 28), 9, np.uint8)
    found = read([str(one), str(photos), array], SETTINGS)
    assert found.pixels.shape == (15, 28, 28, 1)
    assert found.names[:2] == ("one.png", "cat/0.png")
    assert found.names[-1] == "images[1]"
    assert (found.pixels[-1] == 9).all()
    assert found.notes == (
        "12 pictures were fitted to 28x28 grayscale (center-cropped), as the training images were: "
        "cat/0.png (40x30 RGB), cat/1.png (40x30 RGB), cat/2.png (40x30 RGB) and 9 more.",
    )


def test_held_out_pictures_are_read_too(tmp_path):
    for name in ("train/a.png", "test/b.png"):
        draw(tmp_path / "set" / name, (28, 28), "L")
    assert len(read([tmp_path / "set"], SETTINGS)) == 2


@pytest.mark.usefixtures("tiny_mnist")
def test_the_name_of_a_data_set_means_its_test_images():
    found = read(["mnist"], SETTINGS, limit=3)
    assert (found.names, found.notes) == (("mnist[0]", "mnist[1]", "mnist[2]"), ())


def test_bad_pictures_are_listed_or_left_out(tmp_path):
    draw(tmp_path / "good.png", (28, 28), "L")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="1 picture cannot be used") as error:
        read([tmp_path], SETTINGS)
    assert error.value.details == ["bad.png: not an image"]
    found = read([tmp_path], SETTINGS, skip_bad=True)
    assert found.names == ("good.png",)
    assert found.notes[-1] == "  bad.png: not an image"
    with pytest.raises(DataError):
        read([tmp_path / "bad.png"], SETTINGS, skip_bad=True)


@pytest.mark.parametrize(
    ("origin", "kind", "words"),
    [
        ("nothing.png", DataError, "there is nothing at"),
        ("nothing", DataError, "unknown data"),
        ("nothing/", DataError, "there is nothing at"),
        ("empty", DataError, "there are no images in 'empty'"),
        (np.zeros((2, 28, 28), np.float32), UsageError, "not uint8"),
        (np.zeros((2, 2, 28, 28), np.uint8), UsageError, "not uint8"),
        (np.zeros((0, 28, 28), np.uint8), DataError, "no images in an array"),
    ],
)
def test_what_has_no_pictures_is_refused(tmp_path, monkeypatch, origin, kind, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(kind, match=words):
        read([origin], SETTINGS)
