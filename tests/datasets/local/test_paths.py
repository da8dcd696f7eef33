"""Names and paths of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganctl.datasets import loading
from ganctl.datasets.local.paths import require_apart
from ganctl.errors import DataError, UsageError


def test_a_name_stays_and_a_path_becomes_absolute(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert loading.resolve("mnist") == "mnist"
    assert loading.resolve("photos") == str(photos)
    assert loading.resolve("./photos/../photos/") == str(photos)


def test_a_name_is_no_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mnist").mkdir()
    assert loading.resolve("mnist") == "mnist"
    assert loading.resolve("./mnist") == str(tmp_path / "mnist")


def test_a_tilde_in_settings_leads_home(tmp_path, monkeypatch):
    """Where no shell has expanded it: in a file of settings, in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert loading.resolve("~/photos") == str(tmp_path / "photos")
    (tmp_path / "~" / "photos").mkdir(parents=True)
    assert loading.resolve("~/photos") == str(tmp_path / "~" / "photos")


@pytest.mark.parametrize(
    "path",
    ["no/such/folder", "photos.zip", "shards/{000..003}.tar", "a\0/b", "~nobody-has-this-name/x"],
)
def test_a_path_to_nothing(tmp_path, monkeypatch, path):
    if "{" in path:
        pytest.importorskip("braceexpand")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is nothing at"):
        loading.resolve(path)


def test_a_word_that_is_neither():
    with pytest.raises(DataError, match="unknown data 'mnits'") as caught:
        loading.resolve("mnits")
    assert "'mnist'" in str(caught.value.hint)
    assert "path" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/my photos", "my-photos"), ("/x/a.tar.gz", "a"), ("/x/a.b.zip", "a.b"), ("/", "images"),
     ("/x/{000..127}.tar", "000..127"), ("/x/写真", "写真"), ("/x/-rf", "rf"), ("/x/..", "images"),
     ("/x/" + "y" * 200, "y" * 60)],
)  # fmt: skip
def test_what_a_run_is_called(path, name):
    assert loading.stem(path) == name


def test_pictures_stay_out_of_the_images(photos, tmp_path):
    for inside in (photos / "run", photos, photos / "cat" / ".." / "x.png"):
        with pytest.raises(UsageError, match="lies in the folder of the images"):
            require_apart(str(photos), inside)
    require_apart(str(photos), tmp_path / "run")
    require_apart(str(photos), photos.parent / "photos-run")
    require_apart("mnist", Path("mnist") / "x")
