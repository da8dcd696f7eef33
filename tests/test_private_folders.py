"""Private cache folders, also where there is no home folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from ganctl import private_folders

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no modes there")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files that belongs to the test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    private_folders._process_folder.cache_clear()
    yield folder
    private_folders._process_folder.cache_clear()


def mode(path):
    return path.stat().st_mode & 0o777


def test_folders_are_private_to_the_user(cache_folder):
    assert private_folders.folder("images") == cache_folder
    assert (mode(cache_folder), mode(cache_folder.parent)) == (0o700, 0o700)
    assert private_folders.notices() == []


def test_a_folder_that_others_could_enter_is_closed(cache_folder):
    cache_folder.mkdir(parents=True)
    cache_folder.chmod(0o777)
    cache_folder.parent.chmod(0o775)
    assert private_folders.folder("images") == cache_folder
    assert (mode(cache_folder), mode(cache_folder.parent)) == (0o700, 0o700)


def test_a_link_to_another_disk_is_followed(cache_folder, tmp_path):
    (tmp_path / "large").mkdir()
    cache_folder.parent.parent.mkdir(exist_ok=True)
    cache_folder.parent.symlink_to(tmp_path / "large")
    assert private_folders.folder("images") == cache_folder
    assert (tmp_path / "large" / "images").is_dir()


@pytest.mark.parametrize("is_home_missing", [True, False])
def test_without_a_usable_home_there_is_a_temporary_folder(
    temporary, cache_folder, monkeypatch, is_home_missing
):
    if is_home_missing:
        monkeypatch.setattr(private_folders, "_platform_folder", lambda: None)
    else:
        cache_folder.parent.write_text("not a folder")
    found = private_folders.folder("images")
    assert found == temporary / f"ganctl-{os.geteuid()}" / "images"
    assert (mode(found), mode(found.parent)) == (0o700, 0o700)
    (line,) = private_folders.notices()
    assert f"kept in {found.parent}: " in line
    assert ("no home folder" if is_home_missing else f"{cache_folder.parent} cannot") in line


def plant_link(path, tmp_path):
    (tmp_path / "theirs").mkdir()
    path.symlink_to(tmp_path / "theirs")


def plant_folder(path, tmp_path):
    if os.geteuid():
        pytest.skip("only root gives folders away")
    path.mkdir(mode=0o777)
    os.chown(path, 54321, 54321)


def plant_file(path, tmp_path):
    path.write_text("theirs")


@pytest.mark.parametrize("plant", [plant_link, plant_folder, plant_file])
def test_what_others_planted_there_is_not_used(temporary, monkeypatch, tmp_path, plant):
    monkeypatch.setattr(private_folders, "_platform_folder", lambda: None)
    planted = temporary / f"ganctl-{os.geteuid()}"
    plant(planted, tmp_path)
    found = private_folders.folder("images")
    assert found.parent != planted
    assert found.is_relative_to(temporary)
    assert mode(found.parent) == 0o700
    assert private_folders.folder("datasets").parent == found.parent
    assert not planted.is_dir() or list(planted.iterdir()) == []


def test_matplotlib_gets_a_folder_if_it_would_find_none(temporary, cache_folder, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/none")
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "")
    private_folders.use_private_matplotlib_folder()
    assert os.environ["MPLCONFIGDIR"] == str(cache_folder.parent / "matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    private_folders.use_private_matplotlib_folder()
    assert os.environ["MPLCONFIGDIR"] == "mine"


def test_compiled_code_is_kept_in_a_private_folder(cache_folder, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "")
    monkeypatch.delenv("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS")
    for default in (None, f"{tempfile.gettempdir()}/torchinductor_someone"):
        if default is None:
            monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        else:  # as torch sets it
            monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default)
        private_folders.use_private_compiler_folder()
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(cache_folder.parent / "compiled")
        assert os.environ["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] == "0"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    private_folders.use_private_compiler_folder()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how Linux finds a home folder")
def test_matplotlib_does_not_warn_about_its_folder(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/none", "TMPDIR": str(tmp_path)}
    code = "from ganctl import plots; assert plots.losses_png([], 'no epoch yet')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
