"""Cache folders that are private to this user."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from ganctl.errors import RunError


def folder(name: str) -> Path:
    """Return the folder `name` of ganctl's cache, which is made if it is missing.

    It belongs to this user and nobody else can enter it (0700): its content is trusted, and may
    show pictures that others must not see. It is in a temporary folder if the platform's cache
    folder cannot be used. Raises RunError if there is no place for that either.
    """
    usual = _platform_folder()
    if usual is not None and _is_private(usual) and _is_private(usual / name):
        return usual / name
    made = _temporary() / name
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def notices() -> list[str]:
    """Return a line that names the cache folder if it is a temporary one; else nothing."""
    usual, made = _platform_folder(), folder("images")
    if usual is not None and made == usual / "images":
        return []
    why = "there is no home folder" if usual is None else f"{usual} cannot be used"
    return [f"Decoded images and downloads are kept in {made.parent}: {why}."]


def use_private_matplotlib_folder() -> None:
    """Give matplotlib a folder if it would warn of finding none. Call this before importing it."""
    homes = (platformdirs.user_config_path, platformdirs.user_cache_path)
    if not os.environ.get("MPLCONFIGDIR") and not all(_is_usable(home) for home in homes):
        os.environ["MPLCONFIGDIR"] = str(folder("matplotlib"))


def use_private_compiler_folder() -> None:
    """Give torch.compile a private folder unless the user chose one. Call this before importing it.

    Optimizers and networks on the meta device import it. Its default is a folder for temporary
    files that anyone may have made and filled with code. Precompiled headers are always kept there,
    so they are disabled.
    """
    os.environ.setdefault("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0")
    variable = "TORCHINDUCTOR_CACHE_DIR"
    # torch itself sets the variable to its default as soon as an optimizer is made.
    default = os.path.join(tempfile.gettempdir(), "torchinductor_")  # noqa: PTH118
    if (os.environ.get(variable) or default).startswith(default):
        os.environ[variable] = str(folder("compiled"))


def _platform_folder() -> Path | None:
    try:
        return platformdirs.user_cache_path("ganctl")
    except RuntimeError:  # no home folder
        return None


def _is_usable(find: Callable[[str], Path]) -> bool:
    """Return whether matplotlib could write to the folder that `find` returns."""
    try:
        path = find("matplotlib")
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        return Path.home().is_dir() and nearest.is_dir() and os.access(nearest, os.W_OK)
    except (OSError, RuntimeError):
        return False


def _is_private(path: Path, *, may_be_link: bool = True) -> bool:
    """Make the folder `path`, or close it to others; return whether it is private and usable."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat() if may_be_link else path.lstat()
        if sys.platform == "win32":
            return True
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)


def _temporary() -> Path:
    """Return a temporary folder for all runs of this user or, if that is unsafe, for this run."""
    try:
        if sys.platform != "win32":
            # Its name can be guessed: anyone may have put a folder or a link there.
            path = Path(tempfile.gettempdir()) / f"ganctl-{os.geteuid()}"
            if _is_private(path, may_be_link=False):
                return path
        return _process_folder()
    except OSError as error:
        raise RunError(
            f"there is no folder for temporary files: {(error.strerror or str(error)).lower()}",
            "Set TMPDIR to a writable folder.",
        ) from None


@functools.cache
def _process_folder() -> Path:
    """Return a temporary folder that is removed when this process ends."""
    path = Path(tempfile.mkdtemp(prefix="ganctl-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
