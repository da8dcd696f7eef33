import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl import limits
from ganctl.datasets.sources.base import Listing, Problem, class_order, climbs, shown
from ganctl.errors import DataError


def labels_of(*names: str):
    """({name: label}, classes, problems) of a listing of `names`."""
    listing = Listing()
    for name in names:
        listing.add(name, 10, name)
    entries, classes = listing.entries()
    return {entry.name: entry.label for entry in entries}, classes, listing.problems


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["1.png", "2.png"], [None, None]),
        (["cat/1.png", "dog/1.png"], ["cat", "dog"]),
        (["photos/cat/1.png", "photos/dog/1.png"], ["cat", "dog"]),
        (["photos/1.png", "photos/2.png"], [None, None]),
        (["cat/1.png", "cat/2.png"], [None, None]),
        (["cat/a/1.png", "cat/b/2.png", "dog/a/1.png"], ["cat", "cat", "dog"]),
        (["cat/1.png", "dog/deep/down/1.png"], ["cat", "dog"]),
        (["a/b/c/1.png"], [None]),
        ([], []),
    ],
)
def test_a_class_is_the_topmost_folder_that_tells_images_apart(names, labels):
    found, classes, problems = labels_of(*names)
    assert list(found.values()) == labels
    assert classes == sorted({label for label in labels if label})
    assert problems == []


def test_images_beside_the_folders_leave_no_classes_and_that_is_said():
    found, classes, problems = labels_of("1.png", "cat/1.png", "dog/1.png")
    assert set(found.values()) == {None}
    assert classes == []
    assert [(problem.reason, problem.harmless) for problem in problems] == [
        ("no classes: images beside the folders: 1", True)
    ]


def test_of_a_benchmarks_splits_only_the_training_images_are_taken_and_that_is_said():
    names = ["x/train/cat/1.png", "x/train/dog/2.png", "x/Val/cat/3.png", "x/test/4.png"]
    found, classes, problems = labels_of(*names)
    assert found == {names[0]: "cat", names[1]: "dog"}
    assert classes == ["cat", "dog"]
    assert {problem.name: problem.reason for problem in problems} == {
        "Val/": "not for training; images in it: 1",
        "test/": "not for training; images in it: 1",
    }


def test_a_class_that_is_called_train_is_one_beside_others():
    found, classes, problems = labels_of("train/1.png", "plane/1.png")
    assert classes == ["plane", "train"]
    assert len(found) == 2
    assert problems == []


def test_classes_are_in_the_order_of_numbers_where_they_are_numbers():
    assert class_order(["10", "9", "007", "7", "0"]) == ["0", "007", "7", "9", "10"]
    assert class_order(["b", "10", "9"]) == ["10", "9", "b"]
    assert class_order(["²", "1"]) == ["1", "²"]
    assert class_order(["9" * 5000, "1"]) == ["1", "9" * 5000]  # int() would refuse it


@pytest.mark.parametrize(
    ("name", "reason", "harmless"),
    [
        (".DS_Store", "hidden", True),
        ("._1.png", "hidden", True),
        (".git/1.png", "hidden", True),
        ("__MACOSX/cat/1.png", "hidden", True),
        ("Thumbs.db", "hidden", True),
        ("notes.txt", "not an image by its name", True),
        ("LICENSE", "not an image by its name", True),
        ("more.zip", "an archive in it is not looked into", True),
        ("scan.JP2", ".jp2 files are not supported: save it as PNG or JPEG", False),
    ],
)
def test_what_is_not_an_image_says_why(name, reason, harmless):
    found, _, problems = labels_of(name, "1.PNG")
    assert list(found) == ["1.PNG"]
    assert problems == [Problem(name, reason, harmless)]


def test_a_file_that_is_too_large_is_not_used():
    listing = Listing()
    listing.add("1.png", limits.IMAGE_BYTES + 1, None)
    listing.add("2.png", limits.IMAGE_BYTES, None)
    assert [problem.reason for problem in listing.problems] == ["too large: 268 MB"]
    assert [entry.name for entry in listing.entries()[0]] == ["2.png"]


def test_a_second_file_of_a_name_is_not_used():
    listing = Listing()
    listing.add("1.png", 1, "first")
    listing.add("1.png", 2, "second")
    assert listing.places == {"1.png": "first"}
    assert [problem.reason for problem in listing.problems] == ["a second file of that name"]


def test_a_listing_ends(monkeypatch):
    monkeypatch.setattr(limits, "MEMBERS", 3)
    listing = Listing()
    listing.add("1.txt", 1, None)
    for number in range(2):
        listing.add(f"{number}.png", 1, None)
    with pytest.raises(DataError, match="more than 3 files"):
        listing.add("4.png", 1, None)


NAMES = st.lists(st.text(st.sampled_from("ab/1\udcff\x1bé"), min_size=1, max_size=8), max_size=12)


@given(NAMES, st.randoms())
def test_entries_and_classes_are_a_function_of_the_names_alone(names, random):
    names = [f"{name}.png" for name in dict.fromkeys(names)]
    shuffled = random.sample(names, len(names))
    listings = []
    for order in (names, shuffled):
        listing = Listing()
        for name in order:
            listing.add(name, 1, name)
        listings.append(listing.entries())
    assert listings[0] == listings[1]
    entries, classes = listings[0]
    assert {entry.label for entry in entries} in (set(classes), {None}, set())
    assert [entry.name for entry in entries] == sorted({entry.name for entry in entries})


@given(st.text(st.characters(codec=None)))
def test_names_are_fit_to_be_shown(name):
    assert shown(name).isprintable()
    shown(name).encode()


def test_names_in_any_script_are_shown_as_they_are():
    assert shown("猫/кот/قط é.png") == "猫/кот/قط é.png"
    assert shown("\x1b[31m\udcff\n") == "\\x1b[31m\\udcff\\n"


@pytest.mark.parametrize("name", ["../1.png", "/1.png", "a/../../1.png", "C:/1.png", "a/.."])
def test_paths_that_lead_out_are_known(name):
    assert climbs(name)


@pytest.mark.parametrize("name", ["1.png", "a/1.png", "a..b/..c.png", "..."])
def test_paths_that_stay_are_known(name):
    assert not climbs(name)
