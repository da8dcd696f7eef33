"""Files of latents: what is kept, and what is refused."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pytest
import torch

from ganctl import latents_file
from ganctl.errors import DataError, RunError, UsageError
from ganctl.latents_file import Latents


@pytest.fixture
def network(tiny_config):
    """Networks that take latents of length 8 and have no classes."""
    return tiny_config().network


@pytest.fixture
def conditional(tiny_config):
    """Networks that take latents of length 8 and have three classes."""
    return tiny_config(num_classes=3).network


def points(count=3):
    return np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)


def test_what_is_written_is_read(conditional, tmp_path):
    path = tmp_path / "a.npz"
    classes = np.array([2, 0, 1])
    made = Latents(points(), classes, range(4, 7), {"checkpoint": "ab", "seeds": "4-6"})
    latents_file.write(path, made)
    found = latents_file.read(path, conditional)
    assert np.array_equal(found.points, made.points)
    assert np.array_equal(found.classes, classes)
    assert (found.points.dtype, found.classes.dtype) == (np.float32, np.int64)
    assert (found.seeds, found.path) == ((4, 5, 6), path)
    assert found.provenance == made.provenance
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays.files == ["latents", "classes", "seeds", "provenance"]
    assert list(tmp_path.iterdir()) == [path]


def test_latents_alone_are_enough(network, tmp_path):
    for dtype in (np.float64, np.float16, np.int8):
        np.savez_compressed(tmp_path / "a.npz", latents=np.ones((2, 8), dtype), more=np.arange(3))
        found = latents_file.read(str(tmp_path / "a.npz"), network)
        assert found.points.tolist() == [[1.0] * 8] * 2
        assert (found.classes, found.seeds, found.provenance) == (None, None, {})


BAD = {
    "length 7, and this checkpoint takes 8": {"latents": np.zeros((2, 7))},
    r"the shape \(8,\), not \(N, latent_dim\)": {"latents": np.zeros(8)},
    "has no latents": {"latents": np.zeros((0, 8))},
    "latent 1 has the value nan": {"latents": np.array([[0.0] * 8, [np.nan] * 8])},
    "latent 0 has the value -inf": {"latents": np.full((2, 8), -np.inf)},
    r"latent 0 has the value 1e\+300": {"latents": np.full((2, 8), 1e300)},
    "latents is complex128": {"latents": np.zeros((2, 8), complex)},
    "object, not names or numbers": {"latents": np.array([[None] * 8])},
    "no array 'latents', only arr_0, x": {"arr_0": np.zeros((2, 8)), "x": np.zeros(3)},
    "no array 'latents', only nothing": {},
    r"classes is int64 \(3,\), not a number for each of 2": {
        "latents": np.zeros((2, 8)), "classes": np.arange(3)},
    "has the class 3, and the classes of this checkpoint are 0 to 2": {
        "latents": np.zeros((2, 8)), "classes": np.array([0, 3])},
    "has the class -1": {"latents": np.zeros((2, 8)), "classes": np.array([0, -1])},
    "classes are float64, not whole numbers": {"latents": np.zeros((1, 8)), "classes": np.ones(1)},
    "seeds are not all from 0": {"latents": np.zeros((1, 8)), "seeds": np.array([-1])},
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_files_that_cannot_be_drawn_are_refused(conditional, tmp_path, message):
    np.savez(tmp_path / "a.npz", **BAD[message])
    with pytest.raises((DataError, UsageError), match=message) as raised:
        latents_file.read(tmp_path / "a.npz", conditional)
    assert "a.npz" in str(raised.value)


def test_classes_of_an_unconditional_checkpoint_are_refused(network, tmp_path):
    latents_file.write(tmp_path / "a.npz", Latents(points(), np.zeros(3, np.int64)))
    with pytest.raises(UsageError, match="has classes, and this checkpoint has none"):
        latents_file.read(tmp_path / "a.npz", network)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"PK\x03\x04 and so on"])
def test_other_files_are_no_npz(network, tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz' is not an \.npz file"):
        latents_file.read(tmp_path / "a.npz", network)
    with pytest.raises(DataError, match="is a folder") as error:
        latents_file.read(tmp_path, network)
    assert f"Give the file in it: {tmp_path / 'a.npz'}" in error.value.hint
    with pytest.raises(DataError, match=r"nothing\.npz' cannot be read: No such file"):
        latents_file.read(tmp_path / "nothing.npz", network)


def test_a_changed_file_is_damaged(network, tmp_path):
    path = tmp_path / "a.npz"
    latents_file.write(path, Latents(points()))
    whole = bytearray(path.read_bytes())
    whole[whole.index(points().tobytes())] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match="is damaged: Bad CRC-32"):
        latents_file.read(path, network)


def test_an_array_that_claims_more_than_it_has_is_refused_before_it_is_read(network, tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w") as archive,
        archive.open("latents.npy", "w") as member,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 8)}
        np.lib.format.write_array_header_1_0(member, header)
    with pytest.raises(DataError, match="too large"):
        latents_file.read(tmp_path / "a.npz", network)


def test_provenance_of_another_kind_is_nothing(network, tmp_path):
    for text in ("[1]", "{", 7, ["a"]):
        np.savez(tmp_path / "a.npz", latents=points(), provenance=np.array(text))
        assert latents_file.read(tmp_path / "a.npz", network).provenance == {}


def test_whatever_a_caller_gives(network, tmp_path):
    made = Latents(points())
    latents_file.write(tmp_path / "a.npz", made)
    for given in (made, points(), points().tolist(), torch.from_numpy(points()),
                  tmp_path / "a.npz", str(tmp_path / "a.npz")):  # fmt: skip
        assert np.array_equal(latents_file.fitting(given, network).points, points())
    for wrong, message in (
        (np.zeros((2, 9)), "the array has latents of length 9"),
        (np.zeros(8), re.escape("the shape (8,)")),
        (np.full((1, 8), np.nan), "has the value nan"),
        (Latents(np.zeros((2, 9), np.float32)), "of length 9"),
    ):
        with pytest.raises(UsageError, match=message):
            latents_file.fitting(wrong, network)


def test_writing_needs_an_npz_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match=r"an \.npz file, not"):
        latents_file.write(tmp_path / "a.png", Latents(points()))
    with pytest.raises(RunError, match="cannot be written"):
        latents_file.write(tmp_path / "nowhere" / "a.npz", Latents(points()))
    assert list(tmp_path.iterdir()) == []


def test_picked_latents_keep_what_is_known_about_each(tmp_path):
    made = Latents(points(3), np.array([2, 0, 1]), range(4, 7), {"step": "3"}, tmp_path)
    found = made.picked([2, 0, 2])
    assert np.array_equal(found.points, points(3)[[2, 0, 2]])
    assert (found.classes.tolist(), found.seeds) == ([1, 2, 1], [6, 4, 6])
    assert (found.provenance, found.path) == (made.provenance, tmp_path)
    with pytest.raises(UsageError, match="there is no latent 3"):
        made.picked([0, 3])


def test_latents_of_another_checkpoint_give_a_notice(tmp_path):
    made = Latents(points(), provenance={"checkpoint": "ab" * 32})
    assert made.notices("ab" * 32) == []
    assert Latents(points()).notices("ab" * 32) == []
    (notice,) = made.notices("cd" * 32)
    assert "made with another checkpoint, abababababab" in notice
