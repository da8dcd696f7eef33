import errno
import io
import shutil
import tempfile
from tempfile import NamedTemporaryFile

import pytest

from ganctl.datasets.sources import bounded
from ganctl.datasets.sources.bounded import Bounded, Unpacked, is_bomb
from ganctl.errors import DataError

pytestmark = pytest.mark.usefixtures("temporary")


def test_small_files_may_unpack_to_any_multiple_and_large_ones_may_not():
    assert not is_bomb(2**26, 100)
    assert is_bomb(2**26 + 1, 100)
    assert not is_bomb(2**30, 2**28)


def test_reading_too_much_at_once_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(20)))
    with Bounded(tmp_path / "file", 10) as file:
        assert file.read(10) == bytes(range(10))
        assert file.read() == bytes(range(10, 20))
        file.seek(0)
        for size in (11, -1, None):
            with pytest.raises(OSError, match="too large"):
                file.read(size)


def test_a_nearly_full_disk_is_not_filled(temporary, monkeypatch):
    usage = shutil.disk_usage(temporary)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(DataError, match="no space to unpack x in") as caught:
        Unpacked(io.BytesIO(bytes(100)), 100, "x")
    assert "TMPDIR" in str(caught.value.hint)
    assert list(temporary.iterdir()) == []


class Full(io.BytesIO):
    """A file on a full disk."""

    def write(self, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported(temporary, monkeypatch):
    def full_file(**options):
        file = NamedTemporaryFile(**options)  # noqa: SIM115
        monkeypatch.setattr(file, "file", Full())
        return file

    monkeypatch.setattr(bounded.tempfile, "NamedTemporaryFile", full_file)
    with pytest.raises(DataError, match="No space left on device"):
        Unpacked(io.BytesIO(bytes(100)), 100, "x")
    assert list(temporary.iterdir()) == []


def test_an_unwritable_folder_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="cannot be unpacked"):
        Unpacked(io.BytesIO(bytes(100)), 100, "x")


def test_an_interrupted_unpacking_leaves_nothing(temporary):
    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Unpacked(Interrupted(), 100, "x")
    assert list(temporary.iterdir()) == []
