"""The index of existing shards names the images and classes that a full read finds."""

from __future__ import annotations

import io
import tarfile

import pytest

from ganctl.datasets.sources.tars import Tars
from ganctl.datasets.streaming import index, indexing
from ganctl.errors import DataError, UsageError

DOUBLE = b"\0\5\x16\7" + bytes(60)
"""The file that macOS puts beside another one, with ._ before its name."""


def write_shards(folder, *shards):
    """Write a tar to `folder` for each dictionary of members; return their names."""
    names = []
    for number, members in enumerate(shards):
        names.append(f"{number:03}.tar")
        with tarfile.open(folder / names[-1], "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return names


def indexed(folder, *shards, image_key=None):
    """Return the index of shards, written and read back."""
    names = write_shards(folder, *shards)
    address = folder / "index.json"
    made = indexing.make(str(address), names, lambda *_: None, image_key)
    address.write_bytes(made.to_json())
    read = index.read(str(address))
    assert read.digest == made.digest
    assert read.to_json() == made.to_json()
    return read


def streamed(found):
    """Return {image: class} of all shards, as streaming reads them."""
    images = {}
    for number, shard in enumerate(found.shards):
        prefix = f"{shard.name}/" if len(found.shards) > 1 else ""
        for sample in found.samples(number, range(shard.count)):
            images[prefix + sample.name] = sample.label
    return images


MANY = 70
"""More samples than there are between two marks of an index."""
CASES = {
    "numbers between dots": {f"frame.{i:04}.png": b"x" for i in range(MANY)},
    "a Mac's doubles": {
        name: content
        for i in range(MANY)
        for name, content in (
            (f"._{i:03}.png", DOUBLE), (f"{i:03}.png", b"x"),
            (f"._{i:03}.cls", DOUBLE), (f"{i:03}.cls", b"%d" % (i % 2)),
        )
    },
    "class folders": {f"p/{c}/{i}.png": b"x" for c in ("cat", "dog") for i in range(MANY)},
    "pairs": {
        name: b"x" for i in range(MANY) for name in (f"{i}.depth.png", f"{i}.jpg", f"{i}.seg.png")
    },
    "an image beside class folders": {"cat/1.png": b"x", "dog/1.png": b"x", "2.png": b"x"},
    "numbered chunks": {f"{i // 50:05}/img{i:08}.png": b"x" for i in range(MANY)},
    "splits": {
        f"{split}/{c}/{i}.png": b"x"
        for i in range(MANY) for split in ("test", "train") for c in ("cat", "dog")
    },
    "two kinds of training images": {
        f"{split}/{i}.png": b"x" for split in ("testA", "trainA", "trainB") for i in range(5)
    },
    "labels in both kinds of files": {
        "1.png": b"x", "1.json": b'{"label": 7}', "1.cls": b"\xff",
        "2.png": b"x", "2.json": b'{"label": 7}', "2.cls": b"8",
    },
    "other files between": {
        "1.png": b"x", "a.txt": b"x", "1.cls": b"0", "2.png": b"x", "2.npy": b"x", "2.cls": b"1",
    },
    "an image that cannot be read": {"1.jp2": b"x", "2.png": b"x"},
}  # fmt: skip


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(
    ("case", "image_key"), [*((case, None) for case in CASES), ("pairs", "seg.png")]
)
def test_streamed_shards_have_the_images_and_classes_of_shards_read_whole(
    tmp_path, case, image_key, copies
):
    found = indexed(tmp_path, *[CASES[case]] * copies, image_key=image_key)
    whole = Tars([str(tmp_path / shard.name) for shard in found.shards], image_key)
    listed = {entry.name: entry.label for entry in whole.entries}
    unreadable = {
        problem.name: None for problem in whole.problems if "not supported" in problem.reason
    }
    assert streamed(found) == listed | unreadable
    assert [known.name for known in found.classes] == list(whole.classes)
    assert found.num_images == len(whole.entries) + len(unreadable)
    assert sum(known.count for known in found.classes) in (0, found.num_images)
    assert found.labels_from == whole.contents.labels_from
    assert list(found.notes) == whole.contents.notes


def test_notes_tell_which_files_of_shards_are_not_used(tmp_path):
    found = indexed(
        tmp_path,
        {
            "0.jpg": b"x",
            "0.seg.png": b"x",
            "0.cls": b"cat",
            "1.jpg": b"x",
            "2.cls": b"dog",
            "3.jpg": b"x",
        },
    )
    assert [(known.name, known.count) for known in found.classes] == [("cat", 1)]
    assert found.notes == (
        "One image per sample is used. Left out: 1 seg.png.",
        "Images without a class: 2 of 3. A training run ends at the first of them, or skips bad "
        "ones.",
        "Labels without an image beside them: 1, in 000.tar. The files of a sample must follow one "
        "another, as in a tar that is sorted by name.",
    )


def test_a_list_of_labels_is_not_read_and_folders_are_not_classes_then(tmp_path):
    found = indexed(tmp_path, {"a/1.png": b"x", "b/2.png": b"x", "dataset.json": b"{}"})
    assert (found.num_images, found.classes, found.labels_from) == (2, (), None)
    assert found.notes[0].startswith("No classes: dataset.json is not read from streamed shards")


def test_the_files_of_a_sample_must_follow_one_another(tmp_path):
    members = {"0.jpg": b"x", "1.jpg": b"x", "0.seg.png": b"x", "1.seg.png": b"x"}
    with pytest.raises(DataError, match=r"the files of the sample 0 do not follow one another"):
        indexed(tmp_path, members)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({f"{i}.npy": b"x" for i in range(3)} | {".x": b""}, "000.tar, only other files: 3 npy"),
        ({}, "000.tar, nor any other files"),
        ({"test/1.npy": b"x", "README": b"x"}, "other files: 1 npy, 1 README"),
    ],
)
def test_shards_without_images_are_refused(tmp_path, members, said):
    with pytest.raises(DataError) as caught:
        indexed(tmp_path, members)
    assert f"no images in {said}" in caught.value.message or said in caught.value.message
    with pytest.raises(DataError, match="no images"):
        indexed(tmp_path, {"1.png": b"x"}, image_key="jpg")


def test_a_folder_is_refused_with_an_example(tmp_path):
    with pytest.raises(DataError, match="is a folder; give the tar shards in it") as caught:
        indexing.index_shards(f"{tmp_path}/", lambda *_: None)
    assert str(caught.value.hint).endswith(f"'{tmp_path}/{{000..127}}.tar'")


def test_shards_in_several_folders_are_refused(tmp_path):
    pytest.importorskip("braceexpand")
    with pytest.raises(UsageError, match="in several folders"):
        indexing.index_shards(f"{tmp_path}/{{a,b}}/0.tar", lambda *_: None)


def test_another_image_key_gives_another_index(tmp_path):
    members = {"0.jpg": b"x", "0.seg.png": b"x"}
    assert indexed(tmp_path, members).digest != indexed(tmp_path, members, image_key="jpg").digest


def test_the_number_of_kinds_of_files_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "_MAX_KINDS", 3)
    members = {"0.png": b"x"} | {f"0.{'abcdef'[i]}.png": b"x" for i in range(6)}
    (note,) = indexed(tmp_path, members).notes
    assert note.endswith("Left out: 3 others, 1 a.png, 1 b.png, 1 c.png.")
    monkeypatch.setattr(indexing.limits, "FOLDERS", 2)
    with pytest.raises(DataError, match="more than 2 folders"):
        indexed(tmp_path, {f"{i}/1.png": b"x" for i in range(3)})
