import gc
import multiprocessing
import os
import shutil
import sys
import warnings

import numpy as np
import pytest

from ganctl import limits
from ganctl.datasets.local.paths import fingerprint
from ganctl.datasets.sources.opening import KINDS, expand_pattern, open_source
from ganctl.errors import DataError, GanctlError, PackageError, UsageError


@pytest.fixture
def folder(tmp_path, png):
    """A folder of two images, `images` below `tmp_path`."""
    for name in ("cat/1.png", "dog/2.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(png)
    return tmp_path / "images"


@pytest.mark.parametrize("kind", ["", "zip", "tar", "gztar", "bztar", "xztar"])
def test_every_kind_of_source_gives_the_same_images(folder, tmp_path, png, kind):
    path = str(folder)
    if kind:
        path = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "images")
    source = open_source(path)
    prefix = "images/" if kind else ""
    assert [(entry.name, entry.label, entry.size) for entry in source.entries] == [
        (f"{prefix}cat/1.png", "cat", len(png)),
        (f"{prefix}dog/2.png", "dog", len(png)),
    ]
    assert source.classes == ["cat", "dog"]
    assert [source.read(entry) for entry in source.entries] == [png, png]


@pytest.mark.parametrize("kind", ["", "zip", "tar", "gztar", "npz", "tars"])
def test_no_file_is_left_open(folder, tmp_path, kind):
    path = str(folder)
    if kind == "npz":
        path = str(tmp_path / "packed.npz")
        np.savez(path, images=np.zeros((2, 8, 8), np.uint8))
    elif kind == "tars":
        for number in range(2):
            shutil.make_archive(str(tmp_path / f"packed-{number}"), "tar", tmp_path, "images")
        path = str(tmp_path / "packed-{0..1}.tar")
    elif kind:
        path = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "images")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        source = open_source(path)
        for entry in source.entries:
            source.read(entry)
        del source
        gc.collect()
    assert [str(warning.message) for warning in found] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_a_fork_has_its_own_file_position(folder, tmp_path, kind):
    source = open_source(shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "images"))
    source.read(source.entries[0])  # so that a file is open

    def handle() -> tuple[int, int]:
        """Return the descriptor of the file that is read in this process."""
        source.read(source.entries[0])
        file = source._archive.fp if kind == "zip" else next(iter(source._files.values()))
        return os.fstat(file.fileno()).st_ino, file.fileno()

    ours = handle()
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=lambda: writer.send(handle()))
    child.start()
    theirs = reader.recv()
    child.join()
    assert theirs[0] == ours[0]  # the same file
    assert theirs[1] != ours[1]  # opened again
    source.read(source.entries[0])  # a child takes no temporary file with it


def test_an_npz_is_a_source(tmp_path):
    np.savez(tmp_path / "some.npz", images=np.full((2, 8, 8), 7, np.uint8))
    source = open_source(str(tmp_path / "some.npz"))
    assert [source.read(entry).mean() for entry in source.entries] == [7, 7]


def test_a_pattern_expands_to_shards(fixtures):
    source = open_source(str(fixtures / "shard-{0..1}.tar"))
    assert [entry.label for entry in source.entries] == ["0", "1", "0", "1"]


def test_a_pattern_may_name_one_shard(fixtures):
    source = open_source(str(fixtures / "shard-{1..1}.tar"))
    assert [entry.name for entry in source.entries] == ["10.png", "11.png"]


def test_a_glob_names_the_shards_that_it_matches(fixtures, tmp_path, monkeypatch):
    for name in ("b", "a"):
        shutil.copy(fixtures / "shard-0.tar", tmp_path / f"{name}.tar")
    monkeypatch.chdir(tmp_path)
    assert expand_pattern("*.tar") == ["a.tar", "b.tar"]
    source = open_source(f"{tmp_path}/?.tar")
    assert [entry.name for entry in source.entries][::2] == ["a.tar/00.png", "b.tar/00.png"]
    before = fingerprint("*.tar", None)
    (tmp_path / "b.tar").rename("c.tar")
    assert fingerprint("*.tar", None) != before
    (tmp_path / "[1].tar").touch()
    assert expand_pattern("[1].tar") == ["[1].tar"]
    monkeypatch.setattr(limits, "SHARDS", 2)
    with pytest.raises(GanctlError, match="names more than 2 shards"):
        open_source("*.tar")


def test_a_missing_shard_is_reported(fixtures):
    with pytest.raises(DataError, match=r"shard-2\.tar' cannot be read: No such file"):
        open_source(str(fixtures / "shard-{0..2}.tar"))


def test_a_pattern_matches_files_of_one_kind(tmp_path):
    for name in ("a.parquet", "b.tar"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"b\.tar', which is not a Parquet file"):
        open_source(str(tmp_path / "*"))


def test_a_folder_with_braces_in_its_name_is_a_folder(folder):
    braces = folder.with_name("{a,b}")
    folder.rename(braces)
    assert len(open_source(str(braces)).entries) == 2


def test_a_pattern_without_braceexpand_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    with pytest.raises(PackageError) as caught:
        open_source("shards/{000..127}.tar")
    assert "ganctl[webdataset]" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "'nowhere' cannot be read: No such file or directory"),
        ("", "'' cannot be read"),
        ("a\0b", "cannot be read"),
        ("no\x1b[31m", r"'no\x1b[31m' cannot be read"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("https://example.com/images.zip", "is not on this machine"),
        ("pipe:curl example.com", "is not on this machine"),
        ("{000..127", "is not a pattern"),
        ("*.tar", "there is nothing at '*.tar'"),
        ("*mpty", "matches 'empty', which is not a tar"),
        ("s3://bucket/*.tar", "is not on this machine"),
        ("{1,2}.txt", "does not name tar archives"),
        ("pipe:touch {1,2}.tar", "is not on this machine"),
        ("{0..999999999}.tar", "names more than 100,000 shards"),
    ],
)
def test_missing_paths_are_refused(path, words, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GanctlError) as caught:
        open_source(path)
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


@pytest.mark.parametrize("name", ["photo.png", "images.rar", "images", "images.txt"])
def test_an_unsupported_file_lists_the_supported_kinds(tmp_path, name, png):
    (tmp_path / name).write_bytes(png)
    with pytest.raises(DataError, match="not a supported kind of file") as caught:
        open_source(str(tmp_path / name))
    assert KINDS in str(caught.value.hint)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.zip")
    with pytest.raises(DataError, match="is a pipe or a device"):
        open_source(str(tmp_path / "images.zip"))
