import pytest

from ganctl.datasets.sources.samples import is_image, is_label, rank, split


@pytest.mark.parametrize(
    ("name", "key", "field"),
    [  # the last ones must take no time
        ("000.png", "000", "png"),
        ("a/000.seg.PNG", "a/000", "seg.png"),
        ("frame.0001.png", "frame.0001", "png"),
        ("frame.0001.cls", "frame.0001", "cls"),
        ("cat.0.1.jpg", "cat.0.1", "jpg"),
        ("cat.0.seg.png", "cat.0", "seg.png"),
        ("v1.2/000.png", "v1.2/000", "png"),
        ("LICENSE", "LICENSE", ""),
        ("a." + "0." * 2**18 + "png", "a" + ".0" * 2**18, "png"),
        ("." * 2**18 + "/1.png", "." * 2**18 + "/1", "png"),
    ],
)
def test_names_are_split_into_sample_and_field(name, key, field):
    assert split(name) == (key, field)


def test_labels_and_images_are_recognized_by_name():
    assert is_label("000.cls", 2)
    assert is_label("a/000.json", 2)
    assert not is_label("000.cls", 2**20)
    assert not is_label("000.seg.json", 2)
    assert not is_label("._000.cls", 2)
    assert not is_label("__MACOSX/000.cls", 2)
    assert not is_label("dataset.json", 2), "a list of labels"
    assert is_image("000.png")
    assert is_image("000.jp2"), "missed, though it cannot be read"
    assert not is_image("._000.png")
    assert not is_image("000.npy")


def test_a_plain_suffix_ranks_first_unless_a_key_is_given():
    assert sorted(("seg.png", "jpg"), key=lambda field: rank(field, None)) == ["jpg", "seg.png"]
    assert (rank("seg.png", "SEG.png"), rank("jpg", "seg.png")) == (0, None)
