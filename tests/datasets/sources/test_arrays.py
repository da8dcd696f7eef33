import io
import math
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.arrays import Arrays
from ganctl.errors import DataError

pytestmark = pytest.mark.usefixtures("temporary")

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 10), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def save(tmp_path):
    """Return a function that saves arrays by name and returns the path."""

    def save(**arrays) -> str:
        np.savez_compressed(tmp_path / "images.npz", **arrays)
        return str(tmp_path / "images.npz")

    return save


@pytest.mark.parametrize("images", [IMAGES, COLOR, np.asfortranarray(COLOR)])
@pytest.mark.parametrize("key", ["images", "x_train", "x", "arr_0", "anything"])
def test_images_are_read_unchanged(save, temporary, images, key):
    source = Arrays(save(**{key: images}))
    copy = pickle.loads(pickle.dumps(source))
    assert [entry.name for entry in copy.entries] == [f"{key}[{i}]" for i in range(12)]
    assert {entry.label for entry in copy.entries} == {None}
    assert {entry.size for entry in copy.entries} == {images[0].size}
    assert copy.classes == []
    for entry, image in zip(copy.entries, images, strict=True):
        pixels = copy.read(entry)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, image)
    del source, copy
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("key", ["labels", "y_train", "y"])
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (LABELS, ["0", "1", "2"]),
        (LABELS[:, None].astype(np.uint8), ["0", "1", "2"]),
        (LABELS * 5, ["0", "5", "10"]),
        (np.array(["cat", "dog", "owl"])[LABELS], ["cat", "dog", "owl"]),
        (np.array([b"c\xc3\xa9", b"dog", b"owl"])[LABELS], ["cé", "dog", "owl"]),
    ],
)
def test_labels_are_classes(save, key, labels, classes):
    source = Arrays(save(images=IMAGES, **{key: labels}))
    assert sorted(source.classes) == sorted(classes)
    assert [entry.label for entry in source.entries] == [classes[label] for label in LABELS]


def test_class_names_may_be_given_in_their_own_order(save):
    names = np.array(["zebra", "ape", "owl", "none of these"])
    source = Arrays(save(images=IMAGES, labels=LABELS, class_names=names))
    assert source.classes == ["zebra", "ape", "owl", "none of these"]
    assert [entry.label for entry in source.entries[:4]] == ["zebra", "ape", "owl", "zebra"]


def test_test_images_are_left_out_and_reported(save, harmless):
    source = Arrays(save(x_test=IMAGES[:2], y_test=LABELS[:2], x_train=COLOR, y_train=LABELS))
    assert len(source.entries) == 12
    assert source.entries[0].name == "x_train[0]"
    assert harmless(source) == {"x_test": "not the training images"}


@pytest.mark.parametrize("kind", ["u2", ">i4", "f2", ">f8"])
def test_values_of_more_than_8_bits_are_read_as_they_are(save, kind):
    values = IMAGES.astype(kind)
    source = Arrays(save(x=values))
    assert source.entries[0].size == 80 * values.itemsize
    np.testing.assert_array_equal(source.read(source.entries[5]), values[5])
    assert Arrays(save(x=values, bytes=COLOR)).entries[0].name == "bytes[0]"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "no array of images; it is empty"),
        ({"x": IMAGES / 255j}, "no array of images; x is complex128 (12, 8, 10)"),
        ({"x": IMAGES.reshape(12, -1)}, "x is uint8 (12, 80)"),
        ({"x": np.moveaxis(COLOR, 3, 1)[:, [0, 1, 2, 0]]}, "x is uint8 (12, 4, 8, 10)"),
        ({"x": IMAGES > 9}, "x is bool (12, 8, 10)"),
        ({"x": COLOR[0]}, "x is uint8 (8, 10, 3): one image, but many are needed"),
        ({"arr_0": COLOR[0, ..., :1]}, "arr_0 is uint8 (8, 10, 1): one image"),
        ({"x": IMAGES[:0]}, "x is uint8 (0, 8, 10)"),
        ({"x": np.array([IMAGES[0], None], object)}, "x is object (2,)"),
        ({"a": IMAGES, "b": IMAGES}, "several arrays may be the images: a, b"),
    ],
)
def test_unsuitable_arrays_are_refused_with_the_reason(save, temporary, arrays, words):
    with pytest.raises(DataError) as caught:
        Arrays(save(**arrays))
    assert words in caught.value.message
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_one_hot_rows_are_classes(save, kind):
    source = Arrays(save(x=IMAGES, y=np.eye(10)[LABELS].astype(kind)))
    assert source.classes == ["0", "1", "2"]
    assert [entry.label for entry in source.entries] == [str(label) for label in LABELS]
    named = Arrays(save(x=IMAGES, y=np.eye(3)[LABELS], classes=np.array(["cat", "dog", "owl"])))
    assert named.classes == ["cat", "dog", "owl"]
    assert named.entries[2].label == "owl"


@pytest.mark.parametrize("kind", [np.float32, bool])
def test_numbers_of_other_types_are_classes(save, kind):
    source = Arrays(save(x=IMAGES, y=(LABELS % 2).astype(kind)))
    assert source.classes == ["0", "1"]


TWO_OF_THREE = np.eye(3)[LABELS] + np.eye(3)[[0] * 12]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": LABELS[:5]}, "y is int64 (5,), not a label for each of 12 images"),
        ({"y": LABELS / 2}, "y is float64 (12,), and not all values are whole numbers"),
        ({"y": np.full(12, np.nan)}, "y is float64 (12,), and not all values are whole numbers"),
        ({"y": np.array([None] * 12)}, "y is object (12,), not a label for each of 12 images"),
        ({"y": TWO_OF_THREE}, "y is float64 (12, 3), and not exactly one value of each row is 1"),
        ({"y": np.zeros((12, 3))}, "y is float64 (12, 3), and not exactly one value of each row"),
        ({"y": np.full((12, 3), 1 / 3)}, "y is float64 (12, 3), and not exactly one value"),
        ({"y": np.eye(12)[:5]}, "y is float64 (5, 12), not a label for each of 12 images"),
        ({"y": LABELS, "names": np.array(["a", "b"])}, "names is <U1 (2,), not a different name"),
        ({"y": LABELS - 1, "names": np.array(["a", "b"])}, "not a different name for each label"),
        ({"y": LABELS, "names": np.array(["a", "b", "a"])}, "not a different name for each label"),
        ({"y": LABELS, "names": np.array([None])}, "names is object, not names or numbers"),
    ],
)
def test_unusable_labels_leave_the_images_without_classes(save, arrays, words):
    contents = Arrays(save(x=IMAGES, **arrays)).contents
    assert contents.labels_problem.startswith(words) or words in contents.labels_problem
    assert contents.notes == [f"No classes: {contents.labels_problem}."]
    assert (contents.classes, contents.labels_from) == ([], None)
    assert {entry.label for entry in contents.entries} == {None}


@pytest.mark.parametrize("images", [COLOR, COLOR[..., :1]])
def test_channels_may_come_first_and_this_is_reported(save, images):
    source = Arrays(save(x=np.moveaxis(images, 3, 1)))
    (note,) = source.contents.notes
    assert note == f"x is {(12, images.shape[3], 8, 10)}: read as (N, C, H, W), channels first."
    for entry, image in zip(source.entries, images, strict=True):
        np.testing.assert_array_equal(source.read(entry), image)


def test_an_npy_file_is_read_in_place(tmp_path, temporary):
    for images in (IMAGES, COLOR, np.asfortranarray(COLOR)):
        np.save(tmp_path / "plain.npy", images)
        source = pickle.loads(pickle.dumps(Arrays(str(tmp_path / "plain.npy"))))
        assert [entry.name for entry in source.entries] == [f"plain[{i}]" for i in range(12)]
        for entry, image in zip(source.entries, images, strict=True):
            np.testing.assert_array_equal(source.read(entry), image)
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is damaged"),
        (b"words", "is damaged"),
        (npy(IMAGES)[:-1], "is damaged"),
        (npy(np.array([None, {}])), "plain is object (2,)"),
        (npy(COLOR[0]), "plain is uint8 (8, 10, 3): one image"),
        (npy(IMAGES).replace(b"(12, 8, 10)", b"(99999999999999, 8, 10)")[:200], "plain"),
    ],
)
def test_an_unsuitable_npy_file_is_refused_with_the_reason(tmp_path, content, words):
    (tmp_path / "plain.npy").write_bytes(content)
    with pytest.raises(DataError) as caught:
        Arrays(str(tmp_path / "plain.npy"))
    assert words in caught.value.message
    assert "Traceback" not in caught.value.message


def test_a_bomb_is_not_unpacked(save, temporary):
    path = save(images=np.zeros((10_000, 100, 100), np.uint8))
    with pytest.raises(DataError, match="looks like a decompression bomb"):
        Arrays(path)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("key", ["x", "y"])
def test_an_array_that_claims_more_images_than_bytes_is_damaged(save, key, temporary):
    arrays = {"x": io.BytesIO(), "y": io.BytesIO()}
    np.save(arrays["x"], IMAGES)
    np.save(arrays["y"], LABELS)
    path = save()
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in arrays.items():
            content = file.getvalue()
            archive.writestr(f"{name}.npy", content[:-20] if name == key else content)
    with pytest.raises(DataError, match="is damaged"):
        Arrays(path)
    assert list(temporary.iterdir()) == []


def test_no_object_is_ever_loaded(save):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    evil = np.array([Evil()] * 12, object)
    assert Arrays(save(x=IMAGES, anything=evil)).classes == []
    assert "object" in Arrays(save(x=IMAGES, y=evil)).contents.labels_problem


def test_a_temporary_file_that_disappears_is_reported(save, temporary):
    source = pickle.loads(pickle.dumps(kept := Arrays(save(x=IMAGES))))
    for path in temporary.iterdir():
        path.unlink()
    with pytest.raises(BadImage, match="cannot be read"):
        source.read(source.entries[0])
    del kept


def original() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=IMAGES[:3], y=LABELS[:3])
    return buffer.getvalue()


ORIGINAL = original()


@settings(max_examples=200)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(ORIGINAL) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
def test_a_damaged_npz_is_refused_or_read(tmp_path_factory, changes):
    content = bytearray(ORIGINAL)
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    try:
        source = Arrays(str(path))
    except DataError as error:
        assert error.message.isprintable()  # noqa: PT017 - some can be read
        return
    assert [source.read(entry).dtype for entry in source.entries] == [np.uint8] * 3


class Blank:
    """An array of zeros, which compresses to a thousandth of its size."""

    def __init__(self, shape, descr):
        self.shape, self.descr = shape, descr

    def write_to(self, file):
        header = {"descr": self.descr, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)
        left = math.prod(self.shape) * np.dtype(self.descr).itemsize
        while left:
            left -= file.write(bytes(min(left, 2**20)))


class Header(Blank):
    """An array whose header is very long."""

    def write_to(self, file):
        file.write(b"\x93NUMPY\2\0" + struct.pack("<I", 2**27))
        for _ in range(2**7):
            file.write(b" " * 2**20)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"labels": LABELS, "classes": Blank((2**24,), "<U2")}, "not a different name"),
        ({"labels": LABELS, "classes": Blank((2, 2**10), "<U2")}, "not a different name"),
        ({"labels": LABELS, "classes": Blank((2**15,), "<U1000")}, "which is too large"),
        ({"x": Blank((10**7, 1, 2), "|u1")}, "x claims more images than it has bytes"),
        ({"x": Header((), "")}, "is damaged"),
        ({f"a{number}": LABELS for number in range(300)}, "more than 256 arrays"),
    ],
)
def test_a_highly_compressed_array_takes_no_memory(tmp_path, temporary, more, words):
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in ({"images": IMAGES} | more if "x" not in more else more).items():
            with archive.open(f"{name}.npy", "w") as file:
                array.write_to(file) if isinstance(array, Blank) else np.save(file, array)
    tracemalloc.start()
    try:
        try:
            reason = Arrays(str(path)).contents.labels_problem
        except DataError as error:
            reason = error.message
        assert words in reason
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_huge_directory_is_not_read(tmp_path):
    path = tmp_path / "images.npz"
    size = 2**23
    path.write_bytes(bytes(size) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(DataError, match="its directory is too large") as caught:
        Arrays(str(path))
    assert caught.value.message.count(str(path)) == 1


def test_a_bomb_that_lies_about_its_packed_size_is_not_unpacked(save):
    path = save(images=np.zeros((10_000, 100, 100), np.uint8))
    content = bytearray(Path(path).read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 20, 2**30)
    Path(path).write_bytes(content)
    with pytest.raises(DataError, match="its members have more bytes than the file"):
        Arrays(path)
