import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl import limits
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources import base
from ganctl.datasets.sources.listing import Listing
from ganctl.errors import DataError


def contents(*names: str, **lists: object):
    """Return the contents of a listing of `names` and of `lists` by name, with '_' for '.'."""
    files = dict.fromkeys(names, b"")
    for name, content in lists.items():
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        files[name.replace("__", "/").replace("_", ".")] = content
    found = Listing()
    for name in files:
        found.add(name, 10, name)
    return found.contents(lambda name: files[name])


def labels_of(found):
    return {entry.name: entry.label for entry in found.entries}


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
def test_classes_are_the_topmost_folders_that_differ(names, labels):
    found = contents(*names)
    assert list(labels_of(found).values()) == labels
    assert found.classes == sorted({label for label in labels if label})
    assert found.labels_from == ("folders" if found.classes else None)
    assert found.problems == found.notes == []


def test_held_out_images_are_listed_separately():
    found = contents("x/train/cat/1.png", "x/train/dog/2.png", "x/Val/cat/3.png", "x/test/4.png")
    assert labels_of(found) == {"x/train/cat/1.png": "cat", "x/train/dog/2.png": "dog"}
    assert [entry.name for entry in found.held_out] == ["x/test/4.png"]
    assert found.notes == [
        "Trained on: 2 images in train/. Held out: 1 image in test/. Not used: 1 image in Val/."
    ]


STYLEGAN = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00000002.png"]


@pytest.mark.parametrize("above", ["", "set/"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.json", {"labels": [[name, number % 2] for number, name in enumerate(STYLEGAN)]}),
        (
            "metadata.jsonl",
            b'{"file_name": "00000/img00000000.png", "label": 0}\n\n'
            b'{"label": "1", "file_name": "./00000/img00000001.png"}\n'
            b'{"file_name": "00001\\\\img00000002.png", "label": 0}',
        ),
        (
            "metadata.csv",
            b'\xef\xbb\xbffile_name,text,label\r\n00000/img00000000.png,"a, b",0\r\n'
            b"00000/img00000001.png,c,1\r\n00001/img00000002.png,d,0\r\n",
        ),
        (
            "labels.csv",
            b"Class;File\n0;00000/img00000000.png\n1;00000/img00000001.png\n"
            b"0;00001/img00000002.png",
        ),
    ],
)
def test_a_list_of_labels_takes_precedence_over_folders(name, content, above):
    images = [above + image for image in STYLEGAN]
    found = contents(*images, **{(above + name).replace("/", "__").replace(".", "_"): content})
    assert labels_of(found) == dict(zip(images, "010", strict=True))
    assert (found.classes, found.labels_from) == (["0", "1"], above + name)
    assert found.problems == found.notes == []


def test_a_list_can_say_that_there_are_no_classes():
    found = contents("cat/1.png", "dog/2.png", dataset_json={"labels": None})
    assert (found.classes, found.labels_from) == ([], None)
    assert found.notes == ["No classes: dataset.json says that there are none."]


@pytest.mark.parametrize(
    "content", [{"photos": []}, ["a", 1]], ids=["another object", "another array"]
)
def test_a_list_of_something_else_leaves_the_classes_to_the_folders(content):
    found = contents("cat/1.png", "dog/2.png", dataset_json=content, metadata_csv=b"id,age\n1,2\n")
    assert (found.classes, found.labels_from) == (["cat", "dog"], "folders")
    assert {problem.name: problem.harmless for problem in found.problems} == {
        "dataset.json": True,
        "metadata.csv": True,
    }


def test_without_any_classes_a_list_of_something_else_is_reported():
    found = contents("1.png", "2.png", labels_csv=b"id,breed\n1,2\n")
    (why,) = found.notes
    assert why.startswith("No classes: labels.csv has none: its first line names no columns")
    assert contents("cat/1.png", "dog/2.png", labels_csv=b"id,breed\n1,2\n").notes == []


def test_a_list_that_cannot_be_understood_is_a_harmful_problem():
    found = contents("cat/1.png", "dog/2.png", dataset_json=b'{"labels": [')
    assert [(problem.name, problem.harmless) for problem in found.problems] == [
        ("dataset.json", False)
    ]
    assert found.problems[0].reason.startswith("cannot be understood: Expecting value")
    found = contents("1.png", labels_csv=b"file,label\n2.png,cat\n3.png,dog\n")
    assert [problem.reason for problem in found.problems] == [
        "names none of the training images, but 2.png, 3.png"
    ]


def test_a_list_that_cannot_be_read_is_reported():
    def unreadable(_):
        raise BadImage("cannot be read: Permission denied")

    found = Listing()
    for name in ("1.png", "labels.csv"):
        found.add(name, 1, name)
    assert found.contents(unreadable).problems == [
        base.Problem("labels.csv", "cannot be read: Permission denied")
    ]


def test_a_list_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(limits, "LABEL_LIST_BYTES", 1_000_000)
    found = Listing()
    found.add("1.png", 1, "1.png")
    found.add("labels.csv", 1_000_001, None)
    problem = base.Problem("labels.csv", "too large a list of labels: 1 MB")
    assert found.contents(lambda _: 1 / 0).problems == [problem]


def test_differences_between_a_list_and_the_images_are_reported():
    found = contents("1.png", "2.png", "3.png", labels_csv=b"file,label\n1.png,a\n4.png,b\n2.png,")
    assert labels_of(found) == {"1.png": "a"}
    assert found.notes == ["labels.csv names files that are not there: 4.png."]
    assert {problem.name: problem.reason for problem in found.problems} == dict.fromkeys(
        ("2.png", "3.png"), "no class in labels.csv"
    )


def test_the_list_nearest_to_the_training_images_is_used():
    names = ["train/1.png", "train/2.png", "test/1.png"]
    rows = b"file_name,label\n1.png,near\n2.png,near\n"
    found = contents(
        *names, train__metadata_csv=rows, test__metadata_csv=rows, dataset_json={"labels": None}
    )
    assert labels_of(found) == {"train/1.png": "near", "train/2.png": "near"}
    assert found.labels_from == "train/metadata.csv"
    assert {problem.name for problem in found.problems} == {"test/metadata.csv", "dataset.json"}
    found = contents(*names, labels_csv=b"file,label\ntrain/1.png,a\ntrain/2.png,b\ntest/1.png,a")
    assert found.classes == ["a", "b"]
    assert len(found.notes) == 1, "the test images' labels are not missing"


def test_names_match_however_their_accents_are_encoded():
    decomposed, odd = "cafe\u0301.png", "\x1b.png"
    found = contents(decomposed, odd, dataset_json={"labels": [["caf\u00e9.png", 0], [odd, 1]]})
    assert labels_of(found) == {decomposed: "0", "\\x1b.png": "1"}


def test_labels_beside_the_images_take_precedence():
    found = Listing()
    for name in ("cat/1.png", "dog/2.png", "dataset.json"):
        found.add(name, 1, name)
    found = found.contents(lambda _: b"", {"cat/1.png": "3", "dog/2.png": "4"})
    assert labels_of(found) == {"cat/1.png": "3", "dog/2.png": "4"}
    assert found.labels_from == "files beside the images"
    assert [problem.name for problem in found.problems] == ["dataset.json"]


@pytest.mark.parametrize(
    ("name", "reason", "harmless"),
    [
        (".DS_Store", "hidden", True),
        ("._1.png", "hidden", True),
        (".git/1.png", "hidden", True),
        ("__MACOSX/cat/1.png", "hidden", True),
        ("Thumbs.db", "hidden", True),
        ("cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "hidden", True),
        ("#recycle/1.png", "hidden", True),
        ("$RECYCLE.BIN/1.png", "hidden", True),
        ("System Volume Information/1.png", "hidden", True),
        ("lost+found/1.png", "hidden", True),
        (".thumbnails/1.png", "hidden", True),
        (".ipynb_checkpoints/1.png", "hidden", True),
        ("notes.txt", "not an image by its name", True),
        ("LICENSE", "not an image by its name", True),
        ("more.zip", "archives inside it are not opened", True),
        ("scan.JP2", ".jp2 files are not supported: save it as PNG or JPEG", False),
    ],
)
def test_files_that_are_not_images_are_reported_with_the_reason(name, reason, harmless):
    found = contents(name, "1.PNG")
    assert list(labels_of(found)) == ["1.PNG"]
    assert found.problems == [base.Problem(name, reason, harmless)]


def test_a_file_that_is_too_large_is_not_used():
    found = Listing()
    found.add("1.png", limits.IMAGE_BYTES + 1, None)
    found.add("2.png", limits.IMAGE_BYTES, None)
    assert [problem.reason for problem in found.problems] == ["too large: 268 MB"]
    assert list(found.places) == ["2.png"]


def test_a_second_file_of_the_same_name_is_not_used():
    found = Listing()
    found.add("1.png", 1, "first")
    found.add("1.png", 2, "second")
    assert found.places == {"1.png": "first"}
    assert [problem.reason for problem in found.problems] == ["a second file of that name"]


def test_the_number_of_files_is_limited(monkeypatch):
    monkeypatch.setattr(limits, "MEMBERS", 3)
    found = Listing()
    found.add("1.txt", 1, None)
    for number in range(2):
        found.add(f"{number}.png", 1, None)
    with pytest.raises(DataError, match="more than 3 files"):
        found.add("4.png", 1, None)


NAMES = st.lists(st.text(st.sampled_from("ab/1\udcff\x1bé"), min_size=1, max_size=8), max_size=12)


@given(NAMES, st.randoms())
def test_entries_and_classes_are_a_function_of_the_names_alone(names, random):
    names = [f"{name}.png" for name in dict.fromkeys(names)]
    shuffled = random.sample(names, len(names))
    one, other = contents(*names), contents(*shuffled)
    one.problems.sort(key=str)
    other.problems.sort(key=str)
    assert one == other
    assert {entry.label for entry in one.entries} in (set(one.classes), {None}, set())
    assert [entry.name for entry in one.entries] == sorted({entry.name for entry in one.entries})
