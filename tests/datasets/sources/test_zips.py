import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources.zips import Zip
from ganctl.errors import DataError


@pytest.fixture
def pack(tmp_path, png):
    """Write a zip of members by name, each an image or the bytes given; return its path."""

    def pack(*names, compression=zipfile.ZIP_STORED, **contents) -> str:
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name in names:
                archive.writestr(name, png)
            for name, content in contents.items():
                archive.writestr(name, content)
        return str(path)

    return pack


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_listed_by_name_with_its_classes(pack, png, listed, compression):
    path = pack("p/dog/1.png", "p/cat/2.png", "p/cat/1.png", compression=compression)
    source = Zip(path)
    source.read(source.entries[0])  # what is open does not travel
    source = pickle.loads(pickle.dumps(source))
    assert listed(source) == {"p/cat/1.png": "cat", "p/cat/2.png": "cat", "p/dog/1.png": "dog"}
    assert source.classes == ["cat", "dog"]
    assert source.problems == []
    assert {source.read(entry) for entry in source.entries} == {png}


def test_files_added_by_operating_systems_are_harmless(pack, harm, harmless):
    path = pack("cat/1.png", "__MACOSX/cat/._1.png", "cat/.DS_Store", "Thumbs.db")
    source = Zip(path)
    assert harm(source) == {}
    assert len(harmless(source)) == 3


def test_paths_that_climb_out_are_refused(pack, harm, listed):
    source = Zip(pack("../1.png", "/etc/2.png", "a/../../3.png", "C:/4.png", "..\\5.png", "6.png"))
    assert list(listed(source)) == ["6.png"]
    assert set(harm(source).values()) == {"its path leads out of the archive"}
    assert len(harm(source)) == 5


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_member_of_the_same_name_is_refused(pack, harm):
    source = Zip(pack("1.png", "1.png"))
    assert len(source.entries) == 1
    assert harm(source) == {"1.png": "a second file of that name"}


def test_names_with_backslashes_are_read(pack, listed):
    # Python itself would put '/' for '\\' on Windows only.
    assert listed(Zip(pack("cat\\1.png", "dog\\1.png"))) == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_utf_8_names_without_the_flag_are_read(tmp_path, png, listed):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("кот/1.png", png)
        archive.writestr("пёс/1.png", png)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset + 1] &= ~0x08  # the flag of UTF-8
            position = content.find(signature, position + 1)
    path.write_bytes(content)
    assert listed(Zip(str(path))) == {"кот/1.png": "кот", "пёс/1.png": "пёс"}


def test_an_encrypted_member_is_refused(pack, harm, listed):
    path = pack("1.png")
    with Path(path).open("r+b") as file:
        content = bytearray(file.read())
        content[content.index(b"PK\1\2") + 8] |= 1
        file.seek(0)
        file.write(content)
    source = Zip(path)
    assert listed(source) == {}
    assert harm(source) == {"1.png": "encrypted"}


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compression_methods_are_refused(pack, harm, compression):
    source = Zip(pack("1.png", compression=compression))
    assert harm(source) == {"1.png": "compressed, but not with deflate"}


def test_a_bomb_is_refused_by_its_size(pack, harm, listed):
    path = pack("1.png", compression=zipfile.ZIP_DEFLATED, **{"bomb.png": bytes(100 * 2**20)})
    source = Zip(path)
    assert list(listed(source)) == ["1.png"]
    assert harm(source) == {"bomb.png": "looks like a decompression bomb: 105 MB unpacked"}


def test_a_bomb_that_lies_about_its_size_takes_no_memory(pack):
    path = pack(compression=zipfile.ZIP_DEFLATED, **{"bomb.png": bytes(100 * 2**20)})
    with Path(path).open("r+b") as file:
        content = bytearray(file.read())
        for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
            struct.pack_into("<I", content, content.index(signature) + offset, 1000)
        file.seek(0)
        file.write(content)
    source = Zip(path)
    assert [entry.size for entry in source.entries] == [1000]
    tracemalloc.start()
    try:
        with pytest.raises(BadImage, match="damaged in the archive"):
            source.read(source.entries[0])
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_directory_that_claims_gigabytes_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    size = 2**32 - 2**20
    with path.open("wb") as file:
        file.truncate(size)  # takes no space on disk
        file.seek(size)
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="cannot be read as a zip: its directory is too large"):
            Zip(str(path))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_member_without_a_name_is_not_an_image(pack, png, listed):
    path = Path(pack("1.png", "2.png"))
    content = path.read_bytes().replace(b"2.png", b"")
    start, end = content.rindex(b"PK\1\2"), content.rindex(b"PK\5\6")
    local = content.index(b"PK\3\4", 4)
    content = bytearray(content)
    for at in (start + 28, local + 26):
        struct.pack_into("<H", content, at, 0)
    struct.pack_into("<I", content, end + 12, end - content.index(b"PK\1\2"))
    struct.pack_into("<I", content, end + 16, content.index(b"PK\1\2"))
    path.write_bytes(content)
    assert listed(Zip(str(path))) == {"1.png": None}


def test_members_that_share_their_bytes_are_refused(pack):
    path = Path(pack("1.png", "2.png"))
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\1\2")
    struct.pack_into("<I", content, second + 20, len(content))
    path.write_bytes(content)
    with pytest.raises(DataError, match="its members have more bytes than the file"):
        Zip(str(path))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\5\6" + bytes(17)])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path, content):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a zip") as caught:
        Zip(str(path))
    assert caught.value.hint


def test_half_a_zip_is_refused(pack):
    path = pack("1.png", "2.png")
    with Path(path).open("r+b") as file:
        file.truncate(150)
    with pytest.raises(DataError, match="cannot be read as a zip"):
        Zip(path)


def test_an_archive_that_disappears_is_reported(pack, tmp_path):
    source = pickle.loads(pickle.dumps(Zip(pack("1.png"))))
    (tmp_path / "images.zip").unlink()
    with pytest.raises(BadImage, match="cannot be read"):
        source.read(source.entries[0])


def original() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("cat/1.png", "dog/2.png", "notes.txt"):
            archive.writestr(name, b"some content" * 20)
    return buffer.getvalue()


ORIGINAL = original()


@settings(max_examples=200)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(ORIGINAL) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    keep=st.floats(0.5, 1),
)
def test_a_damaged_zip_or_its_images_are_refused(tmp_path_factory, changes, keep):
    content = bytearray(ORIGINAL)
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(content[: int(len(content) * keep) + 1])
    try:
        source = Zip(str(path))
    except DataError:
        return
    for entry in source.entries:
        try:
            assert source.read(entry) is not None
        except BadImage as error:
            assert error.reason.isprintable()  # noqa: PT017 - most of them can be read
