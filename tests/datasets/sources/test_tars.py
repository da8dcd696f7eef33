import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl.datasets.decoding.decode import BadImage, measure
from ganctl.datasets.sources.headers import Archive
from ganctl.datasets.sources.tars import Tars
from ganctl.datasets.streaming.shards import damage, samples
from ganctl.errors import DataError

pytestmark = pytest.mark.usefixtures("temporary")


def write(path: Path, members, mode: str = "w") -> str:
    """Write a tar at `path` with `members`, each a TarInfo or a name, and bytes."""
    with tarfile.open(path, mode) as tar:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_listed_by_name_with_its_classes(tmp_path, temporary, png, listed, mode):
    names = ["./p/dog/1.png", "./p/cat/2.png", "./p/cat/1.png", "./p/notes.txt"]
    source = Tars([write(tmp_path / "images.tar", [(name, png) for name in names], mode)])
    copy = pickle.loads(pickle.dumps(source))
    assert listed(copy) == {"p/cat/1.png": "cat", "p/cat/2.png": "cat", "p/dog/1.png": "dog"}
    assert copy.classes == ["cat", "dog"]
    assert {copy.read(entry) for entry in copy.entries} == {png}
    del copy  # takes nothing with it
    assert source.read(source.entries[0]) == png
    assert len(list(temporary.iterdir())) == (0 if mode == "w" else 1)
    del source
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("size", [-1024, 2**63, 2**80])
def test_an_impossible_size_is_refused(tmp_path, size):
    """A negative one would lead back to a header that was read before (CVE-2025-8194)."""
    content = b""
    for name, claimed in (("a.png", 0), ("b.png", 0), ("c.png", size)):
        info = tarfile.TarInfo(name)
        info.size = claimed
        content += info.tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "images.tar"
    path.write_bytes(content + bytes(1024))
    assert any("damaged" in problem.reason for problem in Tars([str(path)]).problems)
    with path.open("rb") as file, pytest.raises(DataError, match="damaged"), damage("it"):
        list(samples(file))


@pytest.mark.parametrize("content", [b"", b"no tar", bytes(5000)])
def test_a_file_that_is_not_a_tar_is_refused_or_empty(tmp_path, content):
    path = tmp_path / "images.tar"
    path.write_bytes(content)
    try:
        assert Tars([str(path)]).entries == []
    except DataError as error:
        assert "cannot be read as a tar" in error.message  # noqa: PT017 - zeros are an empty tar
    else:
        assert not content.strip(b"\0")


def test_the_members_before_the_end_of_half_a_tar_are_used(tmp_path, png, harm, listed):
    path = write(tmp_path / "images.tar", [(f"{n}.png", png + bytes(2000)) for n in range(4)])
    with Path(path).open("r+b") as file:
        file.truncate(2 * (512 + 2560) + 512 + 100)
    source = Tars([path])
    assert list(listed(source)) == ["0.png", "1.png", "2.png"]
    assert list(harm(source)) == [path]
    assert "damaged" in harm(source)[path]
    assert len(source.read(source.entries[1])) == len(png) + 2000
    with pytest.raises(BadImage, match="truncated"):
        source.read(source.entries[2])


@pytest.mark.parametrize(
    ("damage", "cut"), [(b"\x99" * 200, None), (b"", 100)], ids=["overwritten", "cut"]
)
def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, png, harm, listed, damage, cut):
    path = write(tmp_path / "images.tar", [(f"{n}.png", png) for n in range(4)])
    with tarfile.open(path) as tar:
        header = tar.getmembers()[2].offset
    with Path(path).open("r+b") as file:
        file.seek(header)
        file.write(damage)
        if cut is not None:
            file.truncate(header + cut)
    source = Tars([path])
    assert list(listed(source)) == ["0.png", "1.png"]
    assert "damaged: the rest of it is lost" in harm(source)[path]


def test_a_tar_without_end_blocks_is_complete(tmp_path, png, harm, listed):
    path = write(tmp_path / "images.tar", [("1.png", png)])
    with tarfile.open(path) as tar:
        (member,) = tar.getmembers()
    with Path(path).open("r+b") as file:
        file.truncate(member.offset_data + 512)
    source = Tars([path])
    assert list(listed(source)) == ["1.png"]
    assert harm(source) == {}


def test_half_a_compressed_tar_is_refused(tmp_path, temporary, png):
    path = write(tmp_path / "images.tgz", [("1.png", png)], "w:gz")
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be unpacked"):
        Tars([path])
    assert list(temporary.iterdir()) == []


def test_a_bomb_is_not_unpacked(tmp_path, temporary):
    path = tmp_path / "images.tar.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(100):
            file.write(bytes(2**20))
    with pytest.raises(DataError, match="looks like a decompression bomb") as caught:
        Tars([str(path)])
    assert "unpack it yourself" in str(caught.value.hint)
    assert list(temporary.iterdir()) == []


def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path):
    path = tmp_path / "images.tar"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**33 + 2**20)
    with pytest.raises(DataError, match="a header is too large"):
        Tars([str(path)])


def test_shards_have_labels_beside_their_images(fixtures, listed):
    source = Tars([str(fixtures / f"shard-{number}.tar") for number in range(2)])
    assert listed(source) == {
        "shard-0.tar/00.png": "0",
        "shard-0.tar/01.png": "1",
        "shard-1.tar/10.png": "0",
        "shard-1.tar/11.png": "1",
    }
    assert source.classes == ["0", "1"]
    assert source.problems == []
    copy = pickle.loads(pickle.dumps(source))
    assert {measure(copy.read(entry)).width for entry in reversed(copy.entries)} == {24}


def test_a_single_shard_has_labels_too(fixtures, listed):
    source = Tars([str(fixtures / "shard-json.tar")])
    assert listed(source) == {"a.png": "cat", "b.png": "dog"}
    assert source.classes == ["cat", "dog"]


@pytest.mark.parametrize(
    "label", [b"", b"\xff", b'{"label": 1.5}', b'["label"]', b"{", b"[" * 60_000, b'{"a": 1}']
)
def test_an_image_without_a_label_is_reported(tmp_path, png, harm, listed, label):
    suffix = "cls" if label in (b"", b"\xff") else "json"
    members = [("a.png", png), ("a.cls", b"7\n"), ("b.png", png), (f"b.{suffix}", label)]
    source = Tars([write(tmp_path / "shard.tar", members)])
    assert listed(source) == {"a.png": "7"}
    assert list(harm(source)) == ["b.png"]


def test_shards_without_labels_have_no_classes(tmp_path, png, listed):
    paths = [write(tmp_path / f"{n}.tar", [("cat/1.png", png)]) for n in range(2)]
    source = Tars(paths)
    assert listed(source) == {"0.tar/cat/1.png": None, "1.tar/cat/1.png": None}
    assert source.classes == []


def original() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("кот/1.png", "a" * 150 + "/2.png", "dog/1.cls"):
            info = tarfile.TarInfo(name)
            info.size = 20
            tar.addfile(info, io.BytesIO(bytes(20)))
    return buffer.getvalue()


ORIGINAL = original()


@settings(max_examples=200)
@given(
    changes=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=6),
    keep=st.floats(0.1, 1),
)
def test_a_damaged_tar_or_its_images_are_refused(tmp_path_factory, changes, keep):
    content = bytearray(ORIGINAL)
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(content[: int(len(content) * keep) + 1])
    try:
        source = Tars([str(path)])
    except DataError:
        return
    for entry in source.entries:
        try:
            assert len(source.read(entry)) == entry.size
        except BadImage as error:
            assert error.reason.isprintable()  # noqa: PT017 - most of them can be read


def _header(kind: bytes, content: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def _record(key: str, value: str) -> bytes:
    length = len(f"{key}={value}") + 6
    return f"{length:4} {key}={value}\n".encode().replace(b" ", b"0", 4 - len(str(length)))


PAX, GLOBAL, LONG = tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME
HOSTILE = {
    "digits before what is not there": (_header(PAX, b"1" * 200_000), "damaged"),
    "records that each reach to the end": (_header(PAX, b"4 a\n" * 20_000 + b"="), "damaged"),
    "a record of no length": (_header(PAX, b"0 a=b\n"), "damaged"),
    "global headers without end": (_header(GLOBAL, _record("a", "b")) * 400, "too many headers"),
    "headers without end": (_header(PAX, _record("path", "n")) * 2000, "too many headers"),
    "long names without end": (_header(LONG, b"n") * 2000, "too many headers"),
    "a name of megabytes": (_header(LONG, b"n" * 2**21), "too large"),
}


@pytest.mark.parametrize(("start", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_refused_wherever_a_tar_is_read(tmp_path, start, reason):
    path = tmp_path / "images.tar"
    path.write_bytes(start + _header(tarfile.REGTYPE, b"") + bytes(1024))
    with pytest.raises(DataError, match=reason):
        Tars([str(path)])
    with pytest.raises(DataError, match=reason), path.open("rb") as file, damage("images.tar"):
        list(samples(file))


def test_global_headers_are_not_kept_for_each_member(tmp_path, png, listed):
    path = tmp_path / "images.tar"
    start = _header(GLOBAL, b"".join(_record(f"key{i}", "v") for i in range(5000)))
    with tarfile.open(tmp_path / "rest.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("é/1.png", "é/2.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png)
            archive.addfile(info, io.BytesIO(png))
    path.write_bytes(start + (tmp_path / "rest.tar").read_bytes())
    assert listed(Tars([str(path)])) == {"é/1.png": None, "é/2.png": None}
    with path.open("rb") as file, Archive(fileobj=file) as archive:
        assert not any(member.pax_headers for member in archive.iter_members())
        assert not archive.pax_headers


def test_a_sparse_file_is_skipped(tmp_path, png, listed, harm):
    path = tmp_path / "images.tar"
    sparse = bytearray(_header(tarfile.GNUTYPE_SPARSE, b""))
    sparse[482] = 1  # more of its holes follow
    sparse[148:156] = bytes(8).replace(b"\0", b" ")
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    holes = (bytes(504) + b"\1" + bytes(7)) * 3 + bytes(512)
    image = tarfile.TarInfo("1.png")
    image.size = len(png)
    rest = image.tobuf() + png + bytes(-len(png) % 512 + 1024)
    path.write_bytes(sparse + holes + rest)
    source = Tars([str(path)])
    assert harm(source) == {"x": "not a plain file"}
    assert listed(source) == {"1.png": None}


def test_an_xz_that_asks_for_gigabytes_of_memory_is_refused(tmp_path, png, listed):
    path = tmp_path / "images.tar.xz"
    write(path, [("1.png", png)], "w:xz")
    content = path.read_bytes()
    path.write_bytes(content + bytes(4) + lzma.compress(b"another stream"))
    assert listed(Tars([str(path)])) == {"1.png": None}
    header = bytearray(content)
    assert header[14:16] == b"\x21\1"
    header[16] = 37  # the dictionary: 1.5 GiB
    header[20:24] = struct.pack("<I", zlib.crc32(header[12:20]))
    path.write_bytes(header)
    with pytest.raises(DataError, match="cannot be unpacked: Memory usage limit exceeded"):
        Tars([str(path)])
