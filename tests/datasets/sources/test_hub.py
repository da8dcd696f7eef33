import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import loading
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.local import loading as local
from ganctl.datasets.local.paths import fingerprint
from ganctl.datasets.sources import hub
from ganctl.datasets.sources.opening import open_source
from ganctl.errors import DataError, PackageError, UsageError

datasets = pytest.importorskip("datasets")
NAME = "hf://somebody/shades"


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """The splits of a data set that `datasets` has written, and read back into its cache."""
    folder = tmp_path_factory.mktemp("hub")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "bright"])}
    )
    (folder / "shades" / "data").mkdir(parents=True)
    for split, shades in {"train": range(0, 250, 50), "test": [10, 20]}.items():
        images = [Image.fromarray(np.full((8, 8), shade, np.uint8)) for shade in shades]
        rows = {"image": images, "label": [int(shade > 100) for shade in shades]}
        written = datasets.Dataset.from_dict(rows, features)
        written.to_parquet(folder / "shades" / "data" / f"{split}-00000-of-00001.parquet")
    return datasets.load_dataset(str(folder / "shades"), cache_dir=str(folder / "cache"))


@pytest.fixture
def load(cached, monkeypatch):
    """Let `datasets` load the data set by its name on the hub; return how it was asked."""
    asked = []

    def load(name, configuration=None):
        asked.append((name, configuration))
        return cached

    hub._load.cache_clear()
    monkeypatch.setattr(datasets, "load_dataset", load)
    yield asked
    hub._load.cache_clear()


def test_splits_classes_and_images_are_read(load, listed):
    source = pickle.loads(pickle.dumps(open_source(NAME)))
    assert listed(source) == {
        **{f"train[{row}]": "dark" for row in range(3)},
        **{f"train[{row}]": "bright" for row in range(3, 5)},
    }
    assert source.classes == ["dark", "bright"]
    assert source.contents.notes == ["Trained on: 5 images in train/. Held out: 2 images in test/."]
    for entry, shade in zip(source.contents.held_out, [10, 20], strict=True):
        assert np.asarray(Image.open(io.BytesIO(source.read(entry)))).max() == shade
    assert open_source(f"{NAME}/small").classes == source.classes
    assert load == [("somebody/shades", None), ("somebody/shades", "small")]


def test_it_is_trained_on_like_images_at_a_path(load, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert loading.resolve(NAME) == NAME
    assert not loading.is_streamed(NAME)
    assert loading.stem(NAME) == "shades"
    found = loading.load(NAME, settings=ImageSettings((8, 8)))
    assert found.images[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]
    assert found.has_test_images
    monkeypatch.setattr(local, "_decode", None)  # the next start finds it in the cache
    assert loading.load(NAME, settings=ImageSettings((8, 8), 1)).digest == found.digest
    assert all(size > 0 for _, size, _ in fingerprint(NAME, None))


def test_a_column_that_is_not_there_is_refused(load):
    with pytest.raises(UsageError, match="train has no column 'mask'"):
        open_source(NAME, ImageSettings(image_column="mask"))


def test_paths_outside_the_cache_are_not_followed(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")
    rows = datasets.Dataset.from_dict(
        {"image": [{"bytes": None, "path": str(tmp_path / "a.png")}] * 2},
        datasets.Features({"image": datasets.Image(decode=False)}),
    )
    monkeypatch.setattr(hub, "_load", lambda name: {"train": rows})
    source = open_source(NAME)
    with pytest.raises(BadImage, match="not downloaded"):
        source.read(source.entries[0])
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(tmp_path))
    assert source.read(source.entries[0]) == b"x"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no network"), "cannot be reached, and is not in the cache"),
        (FileNotFoundError("x"), "does not exist on the hub, or may not be read"),
        (ValueError("Config name is missing.\nPick"), "cannot be read: Config name is missing."),
        (RuntimeError(), "cannot be read: RuntimeError"),
    ],
)
def test_failures_are_explained(load, monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=f"{NAME} {message}") as caught:
        open_source(NAME)
    assert caught.value.hint
    assert not datasets.are_progress_bars_disabled()


@pytest.mark.parametrize(
    "name", ["hf://", "hf://mnist", "hf://a/b/c/d", "hf://a/b?x", "hf://a b/c"]
)
def test_other_addresses_are_refused(name):
    with pytest.raises(UsageError, match="not a data set on Hugging Face's hub"):
        loading.resolve(name)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PackageError, match="needs datasets, which is not installed") as caught:
        loading.resolve(NAME)
    assert caught.value.hint == "Install it: pip install 'ganctl[hf]'"
