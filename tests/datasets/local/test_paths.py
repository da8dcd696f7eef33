"""Names and paths of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganctl.datasets import loading
from ganctl.datasets.local.paths import require_apart
from ganctl.errors import DataError, UsageError


def test_resolve_keeps_names_and_makes_paths_absolute(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert loading.resolve("mnist") == "mnist"
    assert loading.resolve("photos") == str(photos)
    assert loading.resolve("./photos/../photos/") == str(photos)


def test_a_name_has_precedence_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mnist").mkdir()
    assert loading.resolve("mnist") == "mnist"
    assert loading.resolve("./mnist") == str(tmp_path / "mnist")


def test_a_tilde_is_expanded(tmp_path, monkeypatch):
    """No shell expands a tilde in a file of settings or in the environment."""
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
def test_a_missing_path_is_refused(tmp_path, monkeypatch, path):
    if "{" in path:
        pytest.importorskip("braceexpand")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is nothing at"):
        loading.resolve(path)


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(DataError, match="unknown data 'mnits'") as caught:
        loading.resolve("mnits")
    assert "'mnist'" in str(caught.value.hint)
    assert "path" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/my photos", "my-photos"), ("/x/a.tar.gz", "a"), ("/x/a.b.zip", "a.b"), ("/", "images"),
     ("/x/{000..127}.tar", "000..127"), ("/x/*.tar", "x"), ("/x/写真", "写真"),
     ("/x/-rf", "rf"), ("/x/..", "images"), ("/x/" + "y" * 200, "y" * 60)],
)  # fmt: skip
def test_stem_is_a_folder_name(path, name):
    assert loading.stem(path) == name


def test_output_among_the_images_is_refused(photos, tmp_path):
    for inside in (photos / "run", photos, photos / "cat" / ".." / "x.png"):
        with pytest.raises(UsageError, match="lies in the folder of the images"):
            require_apart(str(photos), inside)
    require_apart(str(photos), tmp_path / "run")
    require_apart(str(photos), photos.parent / "photos-run")
    require_apart("mnist", Path("mnist") / "x")
