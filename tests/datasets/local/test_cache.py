"""Decoded images on disk are found again complete, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ganctl import files
from ganctl.datasets.local import cache
from ganctl.errors import DataError, RunError

KEY, OTHER = cache.key_of("some"), cache.key_of("other")
IMAGES = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)
LABELS = np.array([0, 1, 1, 0])


def nobody():
    """Fail, since nobody would end the wait for another process."""
    raise AssertionError("waiting")


def store(key=KEY, under=None, images=IMAGES):
    with cache.reserve(key, nobody) as slot:
        np.save(slot.images, images)
        return slot.store(LABELS, {"of": key}, under or key)


def assert_stored(stored, key=KEY):
    np.testing.assert_array_equal(stored.images, IMAGES)
    np.testing.assert_array_equal(stored.labels, LABELS)
    assert stored.meta == {"of": key}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_stored_images_are_found(cache_folder):
    assert cache.find(KEY) is None
    assert_stored(store())
    assert_stored(cache.find(KEY))
    assert cache.find(OTHER) is None
    assert names(cache_folder) == [KEY, f"{KEY}.lock"]


def test_keys_are_functions_of_their_parts():
    assert cache.key_of(1, "a") == cache.key_of(1, "a")
    assert len({cache.key_of(1, "a"), cache.key_of("1", "a"), cache.key_of([1, "a"]), KEY}) == 4
    assert cache.key_of("\udcff")  # of a name that is no text


def test_images_are_mapped_and_changes_stay_in_memory():
    stored = store()
    assert isinstance(stored.images, np.memmap)
    stored.images[0] = 7
    assert_stored(cache.find(KEY))


def test_one_key_leads_to_another():
    store(KEY, under=OTHER)
    assert_stored(cache.find(KEY))
    assert_stored(cache.find(OTHER))
    third = cache.key_of("third")
    with cache.reserve(third, nobody) as slot:
        slot.link(OTHER)
    assert_stored(cache.find(third))


def test_images_that_were_not_stored_are_removed(cache_folder):
    with pytest.raises(AttributeError), cache.reserve(KEY, nobody) as slot:
        np.save(slot.images, IMAGES).fails()
    assert names(cache_folder) == [f"{KEY}.lock"]


def test_images_that_another_process_stored_meanwhile_are_used():
    with cache.reserve(KEY, nobody) as slot:
        np.save(slot.images, IMAGES)
        store(OTHER)
        assert_stored(slot.store(LABELS, {"of": KEY}, OTHER), OTHER)


# Damage


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "short", "long", "other", "folder"])
def test_damaged_files_are_not_found_and_are_replaced(cache_folder, name, damage):
    store()
    path = cache_folder / KEY / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(
            {"empty": b"", "short": content[:-1], "long": content + b"0", "other": b"[1, 2]"}[
                damage
            ]
        )
    assert cache.find(KEY) is None
    assert_stored(store())
    assert_stored(cache.find(KEY))


def test_any_changed_byte_of_the_metadata_is_noticed(cache_folder):
    store()
    path = cache_folder / KEY / "meta.json"
    content = path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert cache.find(KEY) is None


def test_an_array_that_would_run_code_is_not_read(cache_folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "the-code-ran"),)

    store()
    for name in ("images.npy", "labels.npy"):
        np.save(cache_folder / KEY / name, np.array([Hostile()]), allow_pickle=True)
        assert cache.find(KEY) is None
    assert not (tmp_path / "the-code-ran").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"key": "../../x"}', b'{"key": 7}', b"[]"])
def test_a_broken_reference_finds_nothing(cache_folder, content):
    store()
    (cache_folder / f"{OTHER}.json").write_bytes(content)
    assert cache.find(OTHER) is None


# Others


def test_images_that_another_process_is_making_are_waited_for(monkeypatch):
    monkeypatch.setattr(cache, "_POLL_SECONDS", 0.01)
    waits, made = threading.Event(), threading.Event()

    def make():
        with cache.reserve(KEY, nobody) as slot:
            made.set()
            assert waits.wait(60)
            np.save(slot.images, IMAGES)
            slot.store(LABELS, {"of": KEY}, KEY)

    maker = threading.Thread(target=make)
    maker.start()
    assert made.wait(60)
    with cache.reserve(KEY, waits.set):
        assert_stored(cache.find(KEY))
    maker.join()


def test_leftovers_of_a_killed_process_are_removed(cache_folder):
    source = (
        "import os, sys, numpy\nfrom ganctl.datasets.local import cache\n"
        "with cache.reserve(sys.argv[1], None) as slot:\n"
        "    slot.images.write_bytes(b'half')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", source, OTHER], check=False)
    if sys.platform == "linux":
        assert names(cache_folder) == [f"{OTHER}.lock", f"{OTHER}.tmp"]
    store()
    assert f"{OTHER}.tmp" not in names(cache_folder)


def test_a_slot_in_use_is_not_removed_as_a_leftover():
    with cache.reserve(OTHER, nobody) as slot:
        np.save(slot.images, IMAGES)
        store()
        assert_stored(slot.store(LABELS, {"of": OTHER}, OTHER), OTHER)


# Disks


def test_a_temporary_folder_replaces_an_unusable_cache(cache_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    cache_folder.parent.mkdir(parents=True)
    cache_folder.write_text("not a folder")
    assert_stored(store())
    assert_stored(cache.find(KEY))
    assert cache.folder().is_relative_to(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_the_cache_is_private_to_its_user(cache_folder):
    cache_folder.mkdir(parents=True, mode=0o755)
    store()
    assert cache_folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder.parent.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in (cache_folder / KEY).iterdir()}
    assert modes == dict.fromkeys(("images.npy", "labels.npy", "meta.json"), 0o600)


def test_a_full_disk_is_reported_and_leaves_nothing_behind(cache_folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.disk, "sync", full)
    with pytest.raises(DataError, match="no space left on device") as caught:
        store()
    assert "--clear-cache" in str(caught.value.hint)
    assert names(cache_folder) == [f"{KEY}.lock"]


def test_images_that_do_not_fit_on_the_disk_are_refused_before_decoding(cache_folder, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with (
        cache.reserve(KEY, nobody) as slot,
        pytest.raises(RunError, match=r"would take 2\.0 GB, and 1\.0 GB are free") as caught,
    ):
        slot.require_room(2 * 10**9)
    assert "--clear-cache" in caught.value.hint


# Clearing


def test_clearing_removes_everything_and_returns_its_size(cache_folder):
    assert cache.clear() == (0, 0)
    store(KEY, under=OTHER)
    (cache_folder / f"{KEY}.tmp").mkdir()
    (cache_folder / f"{KEY}.tmp" / "images.npy").write_bytes(b"1234")
    size = sum(path.stat().st_size for path in cache_folder.rglob("*") if path.is_file())
    assert cache.clear() == (size, 0)
    assert names(cache_folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there an open file cannot be removed")
def test_clearing_keeps_images_in_use(cache_folder):
    stored = store()
    store(OTHER)
    view = stored.images[1:]  # a training tensor holds on to the mapping alone
    del stored
    removed, in_use = cache.clear()
    assert removed > 0
    assert in_use == 1
    assert_stored(cache.find(KEY))
    assert cache.find(OTHER) is None
    del view
    assert cache.clear()[1] == 0
    assert KEY not in names(cache_folder)


def test_clearing_keeps_a_slot_in_use(cache_folder):
    with cache.reserve(KEY, nobody) as slot:
        np.save(slot.images, IMAGES)
        assert cache.clear() == (0, 1)
        assert_stored(slot.store(LABELS, {"of": KEY}, KEY))


def test_clearing_keeps_files_of_others(cache_folder, tmp_path):
    store()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"precious")
    (cache_folder / "notes.txt").write_text("mine")
    (cache_folder / "photos").mkdir()
    (cache_folder / OTHER).symlink_to(tmp_path / "mine", target_is_directory=True)
    cache.clear()
    assert names(cache_folder) == sorted(["notes.txt", "photos", OTHER])
    assert (tmp_path / "mine" / "photo.png").read_bytes() == b"precious"


def test_a_cleared_cache_can_be_filled_again():
    store()
    cache.clear()
    assert_stored(store())


def test_the_cache_is_in_the_platforms_cache_folder(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert cache.folder() == tmp_path / "ganctl" / "images"


def test_no_file_stays_open(cache_folder):
    """Long programs with several runs must not run out of file descriptors."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    store()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        cache.find(KEY)
        shutil.rmtree(cache_folder / KEY)
        store()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
