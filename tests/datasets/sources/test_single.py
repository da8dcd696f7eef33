import pytest

from ganctl.datasets.sources.single import Single
from ganctl.errors import DataError
from tests.conftest import draw


def test_a_file_is_its_only_entry(tmp_path):
    path = draw(tmp_path / "a b.png")
    source = Single(str(path))
    (entry,) = source.entries
    assert (entry.name, entry.label) == ("a b.png", None)
    assert source.read(entry) == path.read_bytes()


@pytest.mark.parametrize(("name", "words"), [("x.psd", "not supported"), ("x.txt", "not an image")])
def test_other_files_are_refused(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=words):
        Single(str(tmp_path / name))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png' cannot be read: No such file"):
        Single(str(tmp_path / "none.png"))
