"""The run directory: atomic writes, the latest checkpoint, snapshots, logs."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ganctl import checkpoint
from ganctl.checkpoint import Checkpoint
from ganctl.errors import CheckpointError, RunError

LATEST = "ckpt.pt"
CONFIG = "config.json"
_LOCK = ".lock"
_TEMPORARY = re.compile(r"^\.ganctl-.*\.tmp$")


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all.

    Written under a temporary name in the same folder, flushed to disk, then renamed over `path`;
    on any exception the temporary file is removed and `path` is as it was. Raises RunError.
    """
    temporary = path.with_name(f".ganctl-{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _write_error(path, error) from None


def write_atomic(path: Path, content: bytes) -> None:
    """`content` as the file `path`, whole or not at all. Raises RunError."""
    with atomic_writer(path) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """`path` and its parents, where they are not there yet. Raises RunError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(path, error) from None


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, a file or a run directory (its latest). Raises CheckpointError."""
    file = checkpoint_path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {_reason(error)}") from None
    try:
        return checkpoint.decode(content)
    except CheckpointError as error:
        raise named(error, file) from None


def newest_whole(run: RunDirectory) -> tuple[Checkpoint, list[CheckpointError]]:
    """The newest checkpoint of `run` that can be read, and what was wrong with newer ones.

    Raises CheckpointError where there is none.
    """
    problems: list[CheckpointError] = []
    for path in (run.latest, *reversed(run.snapshots())):
        try:
            return read_checkpoint(path), problems
        except CheckpointError as error:
            problems.append(error)
    raise problems[0]


def named(error: CheckpointError, path: Path) -> CheckpointError:
    """`error` with the file it speaks of."""
    return CheckpointError(f"{path} {error.message}", error.hint)


def checkpoint_path(path: Path) -> Path:
    """The file that `path`, a checkpoint or a run directory, stands for. Raises CheckpointError."""
    if path.is_dir():
        if (path / LATEST).is_file():
            return path / LATEST
        raise CheckpointError(
            f"{path} holds no {LATEST}",
            "Give a checkpoint file or a run directory of ganctl train.",
        )
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint at {path}")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    return path


class RunDirectory:
    """One run's folder: where each file is, and how it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def latest(self) -> Path:
        """The latest state."""
        return self.path / LATEST

    @property
    def animation(self) -> Path:
        """The fixed samples over the epochs."""
        return self.path / "training.gif"

    @property
    def losses_table(self) -> Path:
        """One row an epoch."""
        return self.path / "losses.csv"

    @property
    def losses_plot(self) -> Path:
        """Both losses over the epochs."""
        return self.path / "losses.png"

    def sample(self, epoch: int) -> Path:
        """The fixed samples after `epoch`, counted from 1."""
        return self.path / "samples" / f"epoch-{epoch:04d}.png"

    def samples(self) -> list[Path]:
        """The fixed samples so far, in the order of the epochs."""
        return _numbered(self.path / "samples", "epoch-*.png")

    def snapshot(self, epoch: int) -> Path:
        """The checkpoint kept after `epoch`, counted from 1."""
        return self.path / f"epoch-{epoch:04d}.pt"

    def snapshots(self) -> list[Path]:
        """The checkpoints kept so far, the oldest first."""
        return _numbered(self.path, "epoch-*.pt")

    def is_run(self) -> bool:
        """Whether a run was started here."""
        return self.latest.exists() or bool(self.snapshots())

    def require_new(self) -> None:
        """RunError unless a new run may begin here: no folder yet, or an empty one."""
        if self.is_run():
            raise RunError(
                f"{self.path} already holds a run; nothing was changed",
                f"Go on with it: add --resume. Or begin a new one: --out {self.free_sibling()}",
            )
        # What a run killed before its first checkpoint leaves behind is no obstacle.
        remains = {_LOCK, "samples"} | ({CONFIG} if "starts" in self.read_config() else set())
        try:
            used = self.path.exists() and any(
                entry.name not in remains and not _TEMPORARY.match(entry.name)
                for entry in self.path.iterdir()
            )
        except OSError as error:
            raise RunError(f"{self.path} cannot be a run directory: {_reason(error)}") from None
        parent = next(path for path in self.path.absolute().parents if path.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise RunError(
                f"{self.path} cannot be made: {parent} is not a folder to write to",
                "Choose another one with --out.",
            )
        if used:
            raise RunError(
                f"{self.path} is not empty and not a run of ganctl; nothing was changed",
                f"Choose another folder, for example --out {self.free_sibling()}",
            )

    def free_sibling(self) -> Path:
        """A path beside this one that is not taken: run-2, run-3, ..."""
        stem, number = self.path.absolute(), 2
        while (candidate := stem.with_name(f"{stem.name}-{number}")).exists():
            number += 1
        return self.path.parent / candidate.name

    def prepare(self) -> None:
        """Make the folders, and clear what a killed run left behind half-written."""
        make_folder(self.path / "samples")
        for folder in (self.path, self.path / "samples"):
            for entry in folder.iterdir():
                if _TEMPORARY.match(entry.name):
                    with contextlib.suppress(OSError):
                        entry.unlink()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep any other training out of this folder; a dead process's lock does not count.

        Raises RunError where another training holds it.
        """
        make_folder(self.path)
        try:
            file = (self.path / _LOCK).open("a+b")
        except OSError as error:
            raise _write_error(self.path, error) from None
        with file:
            if not _try_lock(file):
                raise RunError(
                    f"another training is running in {self.path}",
                    "Wait for it or stop it, or choose another folder with --out.",
                )
            yield

    def write_config(self, content: Mapping[str, Any]) -> None:
        """What the run is and how it was started."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        write_atomic(self.path / CONFIG, text.encode() + b"\n")

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote, or nothing where it is missing or damaged."""
        try:
            content = json.loads((self.path / CONFIG).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_losses(self, history: Sequence[Mapping[str, Any]]) -> None:
        """losses.csv, made anew from the whole history: it can never disagree with a checkpoint."""
        text = io.StringIO()
        if history:
            writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(history)
        write_atomic(self.losses_table, text.getvalue().encode())

    def write_snapshot(self, epoch: int, content: bytes, keep: int) -> None:
        """Keep `content` as the checkpoint of `epoch`, and only the newest `keep` of all."""
        write_atomic(self.snapshot(epoch), content)
        snapshots = self.snapshots()
        for path in snapshots[: max(0, len(snapshots) - keep)]:
            with contextlib.suppress(OSError):
                path.unlink()


def _numbered(folder: Path, pattern: str) -> list[Path]:
    def number(path: Path) -> int:
        digits = path.stem.partition("-")[2]
        return int(digits) if digits.isdecimal() else -1

    return sorted((path for path in folder.glob(pattern) if number(path) >= 0), key=number)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such thing, and some file systems refuse it."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(file: IO[bytes]) -> bool:
    """An exclusive lock that the system lets go of when its process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks is no reason not to train.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def _write_error(path: Path, error: OSError) -> RunError:
    hints = {
        errno.ENOSPC: "Free some space; a training then goes on with --resume.",
        errno.EACCES: "Choose a place that you may write to.",
        errno.EPERM: "Choose a place that you may write to.",
        errno.EROFS: "Choose a place that can be written to.",
        errno.ENOENT: f"Is the folder {path.parent} there?",
    }
    return RunError(f"{path} cannot be written: {_reason(error)}", hints.get(error.errno or 0))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
