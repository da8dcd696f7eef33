import contextlib
import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.local import loading
from ganctl.datasets.sources import parquet
from ganctl.datasets.sources.opening import open_source
from ganctl.errors import DataError, PackageError, UsageError


def png(shade, side=8):
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PNGS = [png(shade) for shade in range(7)]


@pytest.fixture
def save(tmp_path):
    """Return a function that writes columns to the Parquet file `name`; it returns its path."""

    def save(name="a.parquet", images=PNGS, row_group_size=None, **columns) -> str:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        structs = [{"bytes": content, "path": "x.png"} for content in images]
        table = pa.table({"image": structs, **columns})
        pq.write_table(table, path, row_group_size=row_group_size)
        return str(path)

    return save


@pytest.mark.parametrize("row_group_size", [1, 3, None])
def test_rows_are_read_in_any_order(save, monkeypatch, row_group_size):
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 2)
    source = open_source(save(row_group_size=row_group_size))
    copy = pickle.loads(pickle.dumps(source))
    assert [entry.name for entry in copy.entries] == [f"a.parquet[{row}]" for row in range(7)]
    for row in (0, 1, 5, 6, 2, 2, 0, 4):
        assert copy.read(copy.entries[row]) == PNGS[row]


def test_classes_are_named_in_the_file(tmp_path, listed):
    datasets = pytest.importorskip("datasets")
    features = {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["b", "a", "c"])}
    images = [Image.fromarray(np.full((8, 8), shade, np.uint8)) for shade in range(3)]
    rows = {"picture": images, "kind": [1, 0, 1]}
    written = datasets.Dataset.from_dict(rows, datasets.Features(features))
    written.to_parquet(tmp_path / "a.parquet")
    source = open_source(str(tmp_path / "a.parquet"))
    assert list(listed(source).values()) == ["a", "b", "a"]
    assert source.classes == ["b", "a", "c"]
    assert source.contents.labels_from == "the column 'kind'"
    assert np.asarray(Image.open(io.BytesIO(source.read(source.entries[2])))).max() == 2


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 10, 9, 10, 9, 10], ["9", "10"]),
        (["b", "a", "b", "a", " a", "b", "b"], ["a", "b"]),
        (pa.array(["b", "a"] * 3 + ["b"]).dictionary_encode(), ["a", "b"]),
        ([True, False] * 3 + [True], ["false", "true"]),
    ],
)
def test_classes_without_names_are_sorted(save, labels, classes):
    assert open_source(save(label=labels)).classes == classes


def test_a_table_of_paths_says_how_to_put_the_files_in(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "a.png").write_bytes(PNGS[0])
    features = datasets.Features({"image": datasets.Image()})
    images = datasets.Dataset.from_dict({"image": [str(tmp_path / "a.png")] * 2}, features)
    images.to_parquet(tmp_path / "paths.parquet")
    with pytest.raises(DataError, match="no images in the column 'image', or only") as caught:
        open_source(str(tmp_path / "paths.parquet"))
    monkeypatch.chdir(tmp_path)
    exec("\n".join(caught.value.details), {"dataset": images})
    source = open_source(str(tmp_path / "new.parquet"))
    assert [source.read(entry) for entry in source.entries] == PNGS[:1] * 2


def test_rows_without_a_class_or_an_image_are_left_out(save, harm):
    source = open_source(save(images=[None, b"", *PNGS[2:]], label=["a", "b", None, "a", *"abb"]))
    assert harm(source) == {"a.parquet[2]": "no class in the column 'label'"}
    for entry in source.entries[:2]:
        with pytest.raises(BadImage, match="its row has no image"):
            source.read(entry)
    source = open_source(save(label=pa.array([None] * 7, pa.int64())))
    assert (len(source.entries), source.classes) == (7, [])
    assert "the column 'label' has none" in source.contents.notes[-1]


def test_a_folder_has_splits_by_the_names_of_its_files(save, tmp_path, harmless):
    for name, rows in {
        "train-00000-of-00002": 3,
        "train-00001-of-00002": 4,
        "test-0000-of-0001": 2,
        "validation-00000-of-00001-ab12": 1,
        "extra-00000-of-00001": 5,
    }.items():
        save(f"{name}.parquet", PNGS[:rows], label=["x"] * rows)
    (tmp_path / "data" / "README.md").touch()
    source = open_source(str(tmp_path))
    assert [entry.name for entry in source.entries[:2]] == [
        f"data/train-00000-of-00002.parquet[{row}]" for row in range(2)
    ]
    assert (len(source.entries), len(source.contents.held_out)) == (7, 2)
    assert [source.read(entry) for entry in source.entries] == PNGS[:3] + PNGS[:4]
    assert [source.read(entry) for entry in source.contents.held_out] == PNGS[:2]
    assert source.contents.notes == [
        "Not used, as they are other splits: extra.",
        "Trained on: 7 images in train/. Held out: 2 images in test/. "
        "Not used: 1 image in validation/.",
    ]
    assert harmless(source) == {"data/README.md": "not an image by its name"}
    assert len(open_source(str(tmp_path / "data" / "train-*.parquet")).entries) == 7
    assert len(open_source(str(tmp_path / "data" / "*.parquet")).contents.held_out) == 2


def test_several_data_sets_are_refused(save, tmp_path):
    for name in ("small/train", "small/test", "large/train"):
        save(f"{name}.parquet")
    with pytest.raises(UsageError, match="several data sets with splits of their own: large, sm"):
        open_source(str(tmp_path / "data"))


def test_files_with_other_columns_are_refused(save, tmp_path):
    save("0.parquet", label=[1] * 7)
    save("1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet has other columns than 0\.parquet"):
        open_source(str(tmp_path / "data"))


def test_labels_that_cannot_be_used_are_reported(tmp_path, save):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    path = save(label=[0, 1, 0, 1, 0, 1, 5])
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), path)
    source = open_source(path)
    assert (len(source.entries), source.classes) == (7, [])
    problem = "the column 'label': 5 is not the number of one of 2 names"
    assert source.contents.labels_problem == problem


def test_columns_of_a_folder_of_images_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(PNGS[0])
    with pytest.raises(UsageError, match="not in a table with columns"):
        open_source(str(tmp_path), ImageSettings(label_column="label"))


def test_a_missing_package_is_named_with_its_extra(save, monkeypatch):
    path = save()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(PackageError, match="a Parquet file, needs pyarrow, which is not") as caught:
        open_source(path)
    assert caught.value.hint == "Install it: pip install 'ganctl[parquet]'"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as Parquet"),
        (b"PAR1" + bytes(100), "cannot be read as Parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_other_content_is_refused(tmp_path, content, reason):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        open_source(str(tmp_path / "a.parquet"))


def test_a_file_is_known_by_its_first_bytes_too(save, tmp_path):
    Path(save()).rename(tmp_path / "blob")
    assert len(open_source(str(tmp_path / "blob")).entries) == 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.parquet"
    table = pa.table({"image": [{"bytes": content} for content in PNGS], "label": [0, 1] * 3 + [0]})
    pq.write_table(table, path, row_group_size=3)
    return path


@settings(max_examples=60)
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
       end=st.integers(0, 10_000))  # fmt: skip
def test_damage_has_a_reason(whole, places, end):
    content = bytearray(whole.read_bytes())
    for place, value in places:
        content[place % len(content)] = value
    damaged = whole.with_name("damaged.parquet")
    damaged.write_bytes(content[: end or len(content)])
    try:
        source = open_source(str(damaged))
    except (DataError, UsageError):
        return
    for entry in source.entries:
        with contextlib.suppress(BadImage):
            source.read(entry)


def test_a_large_row_group_is_never_in_memory(tmp_path):
    """Only a page of it is: pages of few rows here, of up to 1,024 in most files."""
    rng = np.random.default_rng(0)
    images = [rng.bytes(2**14) for _ in range(1000)]  # 16 MB
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": images}), path, row_group_size=10_000, write_batch_size=16)
    source = open_source(str(path))
    before, peak = pa.total_allocated_bytes(), 0
    for entry, content in zip(source.entries, images, strict=True):
        assert source.read(entry) == content
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert 0 < peak < 6e6


def test_the_cache_knows_the_columns_and_the_files(save, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = save(images=PNGS, a=["x", "y"] * 3 + ["x"], b=[0] * 7)
    for column, classes in {"a": {"x": 4, "y": 3}, "b": {"0": 7}}.items():
        chosen = ImageSettings(label_column=column)
        assert loading.prepare(path, chosen).survey.classes == classes
    save(images=PNGS[:5], a=["x"] * 5, b=[0] * 5)
    assert loading.prepare(path, chosen).survey.num_images == 5
