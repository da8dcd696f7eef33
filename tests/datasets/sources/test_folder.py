import os
import pickle
import socket
import sys

import pytest

from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.base import Entry
from ganctl.datasets.sources.folder import Folder, walk

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and modes")


@pytest.fixture
def folder(tmp_path, png):
    """A folder with two classes."""
    for name in ("cat/2.png", "cat/10.png", "dog/1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    return tmp_path / "images"


def test_a_folder_is_listed_by_name_with_its_classes(folder, png, listed):
    source = pickle.loads(pickle.dumps(Folder(str(folder))))
    assert listed(source) == {"cat/10.png": "cat", "cat/2.png": "cat", "dog/1.png": "dog"}
    assert [entry.size for entry in source.entries] == [len(png)] * 3
    assert source.classes == ["cat", "dog"]
    assert source.problems == []
    assert {source.read(entry) for entry in source.entries} == {png}


@needs_links
def test_links_are_followed_but_each_folder_is_visited_once(folder, png, listed, harmless):
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "cat")
    (folder / "itself").symlink_to(folder / "itself")
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_bytes(png)
    (folder / "owl").symlink_to(elsewhere)
    (folder / "dog" / "file.png").symlink_to(elsewhere / "1.png")
    source = Folder(str(folder))
    assert set(listed(source)) == {
        "cat/10.png", "cat/2.png", "dog/1.png", "dog/file.png", "owl/1.png",
    }  # fmt: skip
    assert set(harmless(source)) == {"cat/up", "again"}
    assert source.classes == ["cat", "dog", "owl"]


@needs_links
def test_broken_links_are_reported(folder, harm):
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    assert set(harm(Folder(str(folder)))) == {"gone.png", "loop.png"}
    assert harm(Folder(str(folder)))["gone.png"] == "a link to nothing"


@needs_links
def test_of_two_links_to_a_folder_the_first_by_name_is_used(folder, png, listed):
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_bytes(png)
    for name in ("z", "a", "m"):
        (folder / name).symlink_to(elsewhere)
    assert "a/1.png" in listed(Folder(str(folder)))


@needs_links
def test_links_that_lead_out_are_reported(folder, png):
    elsewhere = folder.parent / f"{folder.name} beside"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_bytes(png)
    (folder / "dog" / "inside.png").symlink_to(folder / "cat")
    assert Folder(str(folder)).contents.notes == []
    (folder / "holidays\x1b[2J").symlink_to(elsewhere)
    (folder / "cat" / "9.png").symlink_to("../../" + elsewhere.name + "/1.png")
    (folder / "gone.png").symlink_to(elsewhere / "gone")
    (note,) = Folder(str(folder)).contents.notes
    assert note == (
        r"Links that lead out of the folder are followed: 3 (cat/9.png, gone.png, holidays\x1b[2J)."
    )


@needs_links
def test_links_are_not_sorted_again_for_each_folder(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"link-{number}").symlink_to(tmp_path / f"{number}")
    sorts: list = []

    def count(_, event, called):
        if event == "c_call" and called.__name__ == "sort":
            sorts.append(called)

    sys.setprofile(count)
    try:
        found = list(walk(str(tmp_path)))
    finally:
        sys.setprofile(None)
    assert len(found) == 300
    assert not sorts


@needs_links
def test_pipes_and_sockets_are_never_waited_for(folder, harm, monkeypatch):
    os.mkfifo(folder / "pipe.png")
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        source = Folder(str(folder))
    assert set(harm(source)) == {"pipe.png", "socket.png"}
    (folder / "dog" / "1.png").unlink()
    os.mkfifo(folder / "dog" / "1.png")  # after it was listed
    with pytest.raises(BadImage, match="not a file"):
        source.read(source.entries[-1])


@needs_links
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_unreadable_files_are_reported(folder, harm):
    (folder / "cat").chmod(0)
    (folder / "dog" / "1.png").chmod(0)
    try:
        source = Folder(str(folder))
        assert harm(source) == {"cat": "cannot be listed: Permission denied"}
        with pytest.raises(BadImage, match="cannot be read: Permission denied"):
            source.read(source.entries[0])
    finally:
        (folder / "cat").chmod(0o755)


def test_a_folder_that_cannot_be_listed_is_reported(folder, harm, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert harm(Folder(str(folder))) == {"cat": "cannot be listed: Permission denied"}


def test_a_file_that_is_gone_is_a_bad_image(folder):
    source = Folder(str(folder))
    (folder / "dog" / "1.png").unlink()
    with pytest.raises(BadImage, match="cannot be read: No such file"):
        source.read(source.entries[-1])


@needs_links
def test_a_file_that_has_grown_is_not_read_to_its_end(folder):
    source = Folder(str(folder))
    os.truncate(folder / "dog" / "1.png", 2**40)
    with pytest.raises(BadImage, match="too large"):
        source.read(source.entries[-1])


def test_names_in_any_script(folder, png, listed):
    (folder / "猫").mkdir()
    (folder / "猫" / "кот 🐈.png").write_bytes(png)
    source = Folder(str(folder))
    assert listed(source)["猫/кот 🐈.png"] == "猫"


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_names_that_are_not_unicode_are_printed_and_read(folder, png, listed):
    try:
        (folder / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes only text")
    (folder / os.fsdecode(b"caf\xe9") / "\x1b[31m.png").write_bytes(png)
    source = pickle.loads(pickle.dumps(Folder(str(folder))))
    assert listed(source)["caf\\udce9/\\x1b[31m.png"] == "caf\\udce9"
    entry = next(entry for entry in source.entries if entry.name.startswith("caf"))
    assert source.read(entry) == png


def test_cases_differ(folder, png, listed):
    (folder / "Cat").mkdir(exist_ok=True)
    (folder / "Cat" / "1.PNG").write_bytes(png)
    if not (folder / "cat" / "1.PNG").exists():  # a file system where they do
        assert listed(Folder(str(folder)))["Cat/1.PNG"] == "Cat"


def test_an_empty_folder_is_empty(tmp_path):
    source = Folder(str(tmp_path))
    assert (source.entries, source.classes, source.problems) == ([], [], [])


def test_an_unknown_entry_is_a_bug(folder):
    with pytest.raises(KeyError):
        Folder(str(folder)).read(Entry("../../etc/passwd", None, 1))
