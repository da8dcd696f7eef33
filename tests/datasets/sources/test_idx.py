import gzip
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl import limits
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.local.paths import fingerprint
from ganctl.datasets.sources.idx import Idx, is_idx
from ganctl.datasets.sources.opening import open_source
from ganctl.errors import DataError

pytestmark = pytest.mark.usefixtures("temporary")

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 10), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 10, 1, 3, 1], np.uint8)
CODES = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}


def idx(array) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def save(tmp_path):
    """Return a function that writes files by name to a folder, and returns its path."""

    def save(**contents) -> str:
        for name, content in contents.items():
            path = tmp_path / "raw" / name
            path.parent.mkdir(exist_ok=True, parents=True)
            data = content if isinstance(content, bytes) else idx(content)
            path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(tmp_path / "raw")

    return save


@pytest.mark.parametrize(("dot", "packed"), [("-", ""), ("-", ".gz"), (".", "")])
def test_a_folder_of_mnists_files_has_images_classes_and_test_images(save, temporary, dot, packed):
    files = {
        f"train-images{dot}idx3-ubyte{packed}": IMAGES,
        f"train-labels{dot}idx1-ubyte{packed}": LABELS,
        f"t10k-images{dot}idx3-ubyte{packed}": IMAGES[:2],
        f"t10k-labels{dot}idx1-ubyte{packed}": LABELS[:2],
        "README": b"about",
    }
    source = open_source(save(**files))
    copy = pickle.loads(pickle.dumps(source))
    contents = copy.contents
    assert [entry.label for entry in contents.entries] == ["3", "1", "10", "1", "3", "1"]
    assert contents.classes == ["1", "3", "10"]
    assert contents.labels_from == f"train-labels{dot}idx1-ubyte{packed}"
    assert contents.entries[2].name == f"train-images{dot}idx3-ubyte{packed}[2]"
    assert {entry.size for entry in contents.entries} == {80}
    for entry, image in zip(contents.entries, IMAGES, strict=True):
        np.testing.assert_array_equal(copy.read(entry), image)
    for entry, image in zip(contents.held_out, IMAGES[:2], strict=True):
        np.testing.assert_array_equal(copy.read(entry), image)
    assert [(problem.name, problem.harmless) for problem in contents.problems] == [("README", True)]
    del source, copy
    assert list(temporary.iterdir()) == []


def test_a_file_is_trained_on_with_the_labels_beside_it(save):
    folder = save(**{
        "train-images-idx3-ubyte.gz": IMAGES, "train-labels-idx1-ubyte": LABELS,
        "t10k-images-idx3-ubyte": IMAGES[:2],
    })  # fmt: skip
    source = open_source(f"{folder}/train-images-idx3-ubyte.gz")
    assert (len(source.entries), len(source.classes), source.contents.held_out) == (6, 3, [])
    _, labels = fingerprint(f"{folder}/train-images-idx3-ubyte.gz", None)
    assert labels[0].endswith("raw/train-labels-idx1-ubyte")
    save(**{"train-labels-idx1-ubyte": LABELS[:3]})
    assert fingerprint(f"{folder}/train-images-idx3-ubyte.gz", None)[1] != labels
    test = open_source(f"{folder}/t10k-images-idx3-ubyte")
    assert (len(test.entries), test.classes) == (2, [])


def test_a_file_beside_itself_packed_is_used_once(save):
    # As torchvision leaves them.
    folder = save(**{
        "MNIST/train-images-idx3-ubyte": IMAGES, "MNIST/train-images-idx3-ubyte.gz": IMAGES,
        "other/more/train-images-idx3-ubyte": COLOR,
    })  # fmt: skip
    source = open_source(folder)
    assert [entry.name for entry in source.entries][:1] == ["MNIST/train-images-idx3-ubyte[0]"]
    assert [problem.name for problem in source.problems] == [
        "MNIST/train-images-idx3-ubyte.gz", "other/more/train-images-idx3-ubyte",
    ]  # fmt: skip


@pytest.mark.parametrize(("images", "is_first"), [(COLOR, False), (np.moveaxis(COLOR, 3, 1), True)])
def test_color_images_may_have_their_channels_first(save, images, is_first):
    source = open_source(save(**{"images-idx4-ubyte": images}))
    for entry, image in zip(source.entries, COLOR, strict=True):
        np.testing.assert_array_equal(source.read(entry), image)
    assert len(source.contents.notes) == is_first


def test_a_folder_with_image_files_is_a_folder_of_these(save, png):
    source = open_source(save(**{"train-images-idx3-ubyte": IMAGES, "a.png": png}))
    assert [entry.name for entry in source.entries] == ["a.png"]


def test_names_of_other_files_are_not_those_of_idx_files():
    assert not any(map(is_idx, ["a.gz", "shard.idx", "idx.csv", "x-idx3-ubyte.png", "idx"]))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:5], "labels-idx1-ubyte is uint8 (5,), not a label for each of 6 images"),
        (LABELS.astype(np.float32), "is float32 (6,), not a label"),
        (LABELS[:, None], "is uint8 (6, 1), not a label"),
        (idx(LABELS)[:-1], "it has fewer bytes than uint8 (6,) takes"),
        (idx(LABELS) + b"x", "it has more bytes than uint8 (6,) takes"),
        (b"words", "is not an idx file of images or labels"),
    ],
)
def test_unusable_labels_leave_the_images_without_classes(save, labels, words):
    files = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": labels}
    contents = open_source(save(**files)).contents
    assert words in contents.labels_problem
    assert contents.notes == [f"No classes: {contents.labels_problem}."]
    assert (contents.classes, contents.labels_from, len(contents.entries)) == ([], None, 6)


def test_numbers_of_several_bytes_are_classes(save):
    files = {"images-idx3-ubyte": IMAGES, "labels-idx1-int": LABELS.astype(np.int32) * 1000}
    assert open_source(save(**files)).classes == ["1000", "3000", "10000"]


PACKED = gzip.compress(idx(IMAGES))


def test_values_of_more_than_8_bits_are_read_as_they_are(save):
    values = IMAGES.astype(np.float32) / 7
    source = open_source(save(**{"train-images-idx3-float": values}))
    np.testing.assert_array_equal(source.read(source.entries[5]), values[5])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an idx file"),
        (b"\0\0\x08", "is not an idx file"),
        (b"\0\0\x08\xff" + bytes(1100), "is not an idx file"),
        (b"\0\0\x08\x03\0\0", "is damaged"),
        (idx(IMAGES)[:-1], "has fewer bytes than uint8 (6, 8, 10) takes"),
        (idx(IMAGES) + b"x", "has more bytes than uint8 (6, 8, 10) takes"),
        (PACKED[:-20], "is damaged"),
        (PACKED[:100] + b"\xff" * 20 + PACKED[120:], "is damaged"),
        (gzip.compress(idx(IMAGES)[:-1]), "has fewer bytes"),
        (idx(IMAGES[:0]), "has no images: it is uint8 (0, 8, 10)"),
        (idx(LABELS), "has no images: it is uint8 (6,)"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 9, 9), "is too large"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 9, 2**32 - 1, 9), "is too large"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 10**6, 2, 2), "claims more images than it has bytes"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(save, content, words):
    folder = save(**{"train-images-idx3-ubyte": content})
    with pytest.raises(DataError) as caught:
        open_source(folder)
    assert words in caught.value.message
    assert caught.value.message.startswith("train-images-idx3-ubyte ")


def test_a_bomb_is_not_unpacked(save, temporary, monkeypatch):
    monkeypatch.setattr(limits, "FREE_BYTES", 2**16)
    blank = np.zeros((10, 300, 300), np.uint8)
    with pytest.raises(DataError, match="looks like a decompression bomb"):
        open_source(save(**{"images-idx3-ubyte.gz": blank}))
    assert list(temporary.iterdir()) == []


def test_damaged_test_images_do_not_hide_the_training_images(save, harm):
    files = {"train-images-idx3-ubyte": IMAGES, "t10k-images-idx3-ubyte": idx(IMAGES)[:-1]}
    source = open_source(save(**files))
    assert len(source.entries) == 6
    assert "fewer bytes" in harm(source)["t10k-images-idx3-ubyte"]


@pytest.mark.parametrize(
    "names",
    [
        ("a-train-images-idx3-ubyte", "b-train-images-idx3-ubyte"),
        ("MNIST/train-images-idx3-ubyte", "KMNIST/train-images-idx3-ubyte"),
    ],
)
def test_several_sets_of_images_are_named_not_chosen_from(save, names):
    with pytest.raises(DataError, match="several files may be the training images") as caught:
        open_source(save(**dict.fromkeys(names, IMAGES)))
    assert all(name in caught.value.message for name in names)


def test_labels_alone_are_no_images(save):
    folder = save(**{"train-labels-idx1-ubyte": LABELS})
    for path in (folder, f"{folder}/train-labels-idx1-ubyte"):
        with pytest.raises(DataError, match="no images, only labels: train-labels-idx1-ubyte"):
            open_source(path)


def test_a_file_that_disappears_is_reported(save, tmp_path):
    source = Idx(save(**{"images-idx3-ubyte": IMAGES}), ["images-idx3-ubyte"])
    (tmp_path / "raw" / "images-idx3-ubyte").unlink()
    with pytest.raises(BadImage, match="cannot be read"):
        source.read(source.entries[0])


@settings(max_examples=100)
@given(
    content=st.sampled_from([PACKED, idx(IMAGES)]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_any_damage_is_refused_or_read(tmp_path_factory, content, changes):
    damaged = bytearray(content)
    for position, value in changes:
        damaged[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged-idx3-ubyte"
    path.write_bytes(damaged)
    try:
        source = open_source(str(path))
    except DataError as error:
        assert error.message.isprintable()  # noqa: PT017 - some can be read
        return
    assert all(source.read(entry).dtype == np.uint8 for entry in source.entries)
