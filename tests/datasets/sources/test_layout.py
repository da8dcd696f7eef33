import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.datasets.sources.layout import Folder, Layout, folders_of, infer


def understood(*names: str):
    """Return ({training image: class}, held-out images, notes on splits, notes on classes)."""
    folders = {}
    for name in names:
        folders.setdefault(folders_of(name), Folder()).add(name.rpartition("/")[2])
    layout, notes, doubts = infer(folders)
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    train = {name: layout.class_of(folders_of(name)) for name in names
             if layout.is_train(folders_of(name))}  # fmt: skip
    held_out = {name for name in names if layout.is_held_out(folders_of(name))}
    assert held_out.isdisjoint(train)
    return train, held_out, notes, doubts


def images(*folders: str, count: int = 2, form: str = "{folder}/{number}.png", start: int = 0):
    return [form.format(folder=folder, number=start + number, index=index * count + number)
            for index, folder in enumerate(folders) for number in range(count)]  # fmt: skip


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("train2017", "val2017"),
        ("train", "test1"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("trainA", "testA"),
        ("train_images", "test_images"),
        ("DIV2K_train_HR", "DIV2K_valid_HR"),
        ("a/b/train", "a/b/dev"),
    ],
)
@pytest.mark.parametrize("classes", [(), ("cat", "dog")])
def test_folders_named_like_splits_are_splits(train, held_out, classes):
    names = images(*(f"{train}/{name}" for name in classes or ("",)), form="{folder}/{number}.png")
    others = images(*(f"{held_out}/{name}" for name in classes or ("",)))
    names, others = ([name.replace("//", "/") for name in some] for some in (names, others))
    found, kept, notes, doubts = understood(*names, *others)
    assert found == {name: folders_of(name)[-1] if classes else None for name in names}
    assert kept == set(others)
    assert len(notes) == 1
    assert doubts == []


@pytest.mark.parametrize(
    ("names", "held_out", "note"),
    [
        (
            images("train", "val", "test"),
            "test",
            "Trained on: 2 images in train/. Held out: 2 images in test/. "
            "Not used: 2 images in val/.",
        ),
        (
            [*images("train", "val", count=1), "readme.png"],
            "val",
            "Trained on: 1 image in train/. Held out: 1 image in val/. "
            "Not used: 1 image beside these folders.",
        ),
        (
            [*images("test", count=1), "1.png", "2.png"],
            "test",
            "Trained on: 2 images beside these folders. Held out: 1 image in test/.",
        ),
    ],
)
def test_one_of_several_splits_is_held_out_and_the_others_are_reported(names, held_out, note):
    found, kept, notes, _ = understood(*names)
    assert {folders_of(name) for name in kept} == {(held_out,)}
    assert set(found.values()) == {None}
    assert notes == [note]


def test_the_two_domains_of_a_split_are_classes():
    found, kept, notes, _ = understood(*images("trainA", "trainB", "testA", "testB"))
    assert set(found.values()) == {"A", "B"}
    assert len(kept) == 4
    assert notes == [
        "Trained on: 2 images in trainA/, 2 images in trainB/. "
        "Held out: 2 images in testA/, 2 images in testB/."
    ]
    assert set(understood(*images("train2014", "train2017", "val2017"))[0].values()) == {None}
    assert set(understood(*images("trainA", "trainB"))[0].values()) == {"A", "B"}


def test_splits_without_a_training_split_are_not_classes():
    found, kept, notes, _ = understood(*images("val", "test"))
    assert set(found.values()) == {None}
    assert (len(found), kept) == (4, set())
    assert notes == ["There is no training split beside test, val: training on all of them."]
    assert understood(*images("photos/val/cat", "photos/val/dog")) == (
        {name: name.split("/")[2] for name in images("photos/val/cat", "photos/val/dog")},
        set(), [], [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("folders", "is_doubtful"),
    [
        (("plane", "train"), False),
        (("test_tube", "train_station"), False),
        (("test_tube", "beaker"), False),
        (("test", "train", "unlabeled"), True),
        (("val", "cat", "dog"), True),
    ],
)
def test_a_split_among_other_folders_is_a_class_with_a_warning(folders, is_doubtful):
    found, kept, notes, doubts = understood(*images(*folders))
    assert set(found.values()) == set(folders)
    assert (kept, notes) == (set(), [])
    assert bool(doubts) is is_doubtful
    if is_doubtful:
        assert "since not all folders beside are splits" in doubts[0]


def test_splits_within_classes_are_reported():
    _, _, _, doubts = understood(*images("cat/train", "cat/test", "dog/train", "dog/test"))
    assert doubts[0].startswith("In the folders of the classes, test, train look like splits")
    assert understood(*images("cat/indoors", "cat/test", "dog/train"))[3] == []


@pytest.mark.parametrize(
    "names",
    [
        images("00000", "00001", count=20, form="{folder}/img{index:08}.png"),  # dataset_tool's
        images("00000", "01000", "02000", form="{folder}/{index:05}.png"),  # FFHQ's
        images("images1024x1024/00000", "images1024x1024/05000"),
        images("000", "002", count=9, form="{folder}/{index:05}.png"),
        images("train/00000", "train/01000", "test/00000"),
    ],
)
def test_folders_that_number_chunks_are_not_classes(names):
    found, _, _, doubts = understood(*names)
    assert set(found.values()) == {None}
    (doubt,) = doubts
    assert "only number chunks of the images" in doubt


@pytest.mark.parametrize(
    "names",
    [
        images(*"0123456789", form="{folder}/{index:05}.png"),
        images("00", "01", "02", form="{folder}/{index:05}.png"),
        images("00000", "00001", form="{folder}/00000_{number:05}.png"),  # GTSRB's
        images("00000", "00001", form="{folder}/{folder}_a.png"),
        images("0000", "00001", form="{folder}/{index}.png"),
        images("000", "one", form="{folder}/{index}.png"),
        images("\u0660\u0660\u0660", "\u0660\u0660\u0661", form="{folder}/{index}.png"),
        images("9" * 30, "8" * 30),
    ],
)
def test_folders_named_by_numbers_may_be_classes(names):
    found, _, _, doubts = understood(*names)
    assert found == {name: name.split("/")[0] for name in names}
    assert doubts == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["readme.png"], "readme.png lies beside the folders cat, dog. Move it elsewhere"),
        (["b.png", "a.png"], "a.png and 1 more lie beside the folders cat, dog. Move them"),
    ],
)
def test_an_image_beside_the_class_folders_is_named(names, said):
    found, _, _, doubts = understood(*images("cat", "dog"), *names)
    assert set(found.values()) == {None}
    assert doubts[0].startswith(f"No classes: {said}")


def test_a_folder_of_many_images_takes_little_memory():
    folder = Folder()
    for number in (7, 3, 9):
        folder.add(f"img{number:08}_v.png")
    assert (folder.count, folder.first, folder.numbers) == (3, "img00000003_v.png", (3, 9))
    folder.add("9" * 4000 + ".png")
    assert folder.numbers is None


@given(st.lists(st.text(st.sampled_from("train/estA0."), min_size=1, max_size=12), max_size=12))
def test_any_folders_have_a_layout(names):
    names = [f"{name}.png" for name in dict.fromkeys(names)]
    found, held_out, notes, doubts = understood(*names)
    assert len(found) + len(held_out) <= len(names)
    assert bool(found) is bool(names)
    assert all(isinstance(note, str) for note in (*notes, *doubts))
    labels = set(found.values())
    assert None not in labels or labels <= {None}, "all images have a class, or none"
    assert not math.isnan(len(labels))


@pytest.mark.parametrize(
    "data",
    [{}, {"split_at": -1, "train": [], "held_out": [], "class_at": None},
     {"split_at": 0, "train": 3, "held_out": [], "class_at": None},
     {"split_at": 0, "train": [], "held_out": [], "class_at": 1.5}],
)  # fmt: skip
def test_invalid_layouts_are_refused(data):
    with pytest.raises((ValueError, TypeError, KeyError)):
        Layout.from_dict(data)
