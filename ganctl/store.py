"""A run directory: its files, its lock, and its newest intact checkpoint."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganctl import checkpoint, files, generator_file, limits
from ganctl.checkpoint import Checkpoint
from ganctl.errors import CheckpointError, RunError, Setting, Text, UnreadableError
from ganctl.files import make_folder, reason, write_atomic
from ganctl.generator_file import ExportedGenerator

Version = tuple[tuple[int, int] | None, ...]

LATEST = "ckpt.pt"
DAMAGED = "ckpt.pt.damaged"
CONFIG = "config.json"
TRACKERS = "trackers.json"
TENSORBOARD = "tensorboard"
_TRACKER_ID = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LOCK = ".lock"
_SAMPLES = "samples"


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`, a file or a run directory. Raises CheckpointError."""
    file = checkpoint_path(path)
    if is_exported(file):
        raise CheckpointError(
            f"{file} is an exported generator: it can be drawn from, but has no discriminator and "
            "no history",
            "Give the run directory or the .pt file that it was exported from.",
        )
    with errors_about(file):
        try:
            with file.open("rb") as opened:
                return checkpoint.decode(opened)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {reason(error)}") from None


@contextlib.contextmanager
def errors_about(path: Path) -> Iterator[None]:
    """Put the file's name before the message of any CheckpointError raised in this context."""
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"{path} {error.message}", error.hint) from None


def checkpoint_path(path: Path) -> Path:
    """Return the checkpoint file at `path`, a file or a run directory. Raises CheckpointError."""
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


def is_checkpoint(path: Path) -> bool:
    """Return whether `path` looks like what samples are drawn from.

    This is a .pt file, the folder of a run, or an exported generator.
    """
    if path.is_dir():
        return (path / LATEST).is_file()
    return path.suffix == ".pt" or is_exported(path)


def is_exported(file: Path) -> bool:
    """Return whether `file` looks like an exported generator, which is not a whole checkpoint."""
    return file.suffix.lower() == generator_file.SUFFIX


def read_exported(file: Path) -> ExportedGenerator:
    """Return the generator in a `.safetensors` file. Raises CheckpointError."""
    with errors_about(file):
        return generator_file.read(file)


@dataclass(frozen=True)
class IntactCheckpoint:
    """The newest checkpoint of a run that can be read."""

    checkpoint: Checkpoint
    path: Path
    version: Version
    """The run's version before anything was read."""
    problems: list[CheckpointError]
    """Why newer ones cannot be read, the latest first."""


def newest_intact(run: RunDirectory) -> IntactCheckpoint:
    """Return the newest checkpoint of `run` that can be read. Raises CheckpointError.

    That is the latest; if it is missing or damaged, the one with the most steps of all others.
    Raises UnreadableError if the latest may be intact: resuming from an older one would lose it.
    """
    problems: list[CheckpointError] = []
    newest: IntactCheckpoint | None = None
    version = run.version()
    for path in run.checkpoints():
        try:
            found = IntactCheckpoint(read_checkpoint(path), path, version, problems)
        except UnreadableError:
            raise
        except CheckpointError as error:
            problems.append(error)
            continue
        if newest is None or found.checkpoint.step > newest.checkpoint.step:
            newest = found
        if path == run.latest:
            break
    if newest is None:
        raise problems[0]
    return newest


class RunDirectory:
    """The folder of one run: where each file is, and how it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.latest = path / LATEST
        """The latest checkpoint."""
        self.best = path / "best.pt"
        """The checkpoint of the epoch with the lowest Frechet distance."""
        self.animation = path / "training.gif"
        """The fixed samples over the epochs."""
        self.losses_table = path / "losses.csv"
        """One row per epoch."""
        self.losses_plot = path / "losses.png"
        """Both losses over the epochs."""
        self.evaluations = path / "evaluation.json"
        """The results of `evaluate`, the newest first."""
        self.nearest = path / "nearest.png"
        """Samples beside their nearest training images, if `evaluate` was told to write them."""
        self._trackers = path / TRACKERS
        self._samples = path / _SAMPLES
        self._lock_is_in_place: Callable[[], bool] = lambda: True
        """Whether the lock, once this process holds it, is still in place."""

    def sample(self, epoch: int) -> Path:
        """Return the path of the fixed samples after `epoch`, counted from 1."""
        return self._samples / f"epoch-{epoch:04d}.png"

    def samples(self) -> list[Path]:
        """Return the fixed samples so far, in the order of the epochs; none through a link."""
        return [] if self._samples.is_symlink() else _numbered(self._samples, "epoch-*.png")

    def snapshot(self, epoch: int) -> Path:
        """Return the path of the checkpoint kept after `epoch`, counted from 1."""
        return self.path / f"epoch-{epoch:04d}.pt"

    def snapshots(self) -> list[Path]:
        """Return the checkpoints kept so far, the oldest first."""
        return _numbered(self.path, "epoch-*.pt")

    def checkpoints(self) -> list[Path]:
        """Return the latest, even if it is missing, then the others, the newest snapshot first."""
        best = [self.best] if self.best.exists() else []
        return [self.latest, *reversed(self.snapshots()), *best]

    def version(self) -> Version:
        """Return a value that changes whenever a checkpoint is written."""
        return tuple(map(_file_version, self.checkpoints()))

    def is_run(self) -> bool:
        """Return whether a run was started here."""
        return self.latest.exists() or self.best.exists() or bool(self.snapshots())

    def num_bytes(self) -> int:
        """Return the size of all files in the folder, in bytes; links are not followed."""
        found = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):  # gone, or not ours to see
                    found += (Path(folder) / name).lstat().st_size
        return found

    def require_new(self) -> None:
        """Raise RunError unless a new run may begin here: the folder is missing or empty."""
        path, sibling = self.path, Setting("out", self.free_sibling())
        if self.is_run():
            resume = Setting("resume", True)
            hint = Text("Resume it with {}, or start a new run with {}.", resume, sibling)
            raise RunError(f"{path} already holds a run; nothing was changed", hint)
        # What a run killed before its first checkpoint leaves behind is no obstacle.
        remains = {_LOCK} | ({CONFIG, TRACKERS, TENSORBOARD} if self.read_starts() else set())
        if not self.samples():
            remains.add(_SAMPLES)
        try:
            is_used = path.exists() and any(
                entry.name not in remains and not files.is_temporary(entry)
                for entry in path.iterdir()
            )
        except OSError as error:
            raise RunError(f"{path} cannot be a run directory: {reason(error)}") from None
        absolute = path.absolute()
        parent = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            why = f"no write permission in {parent}" if parent.is_dir() else f"{parent} is a file"
            hint = Text("Choose another folder with {}.", Setting("out"))
            raise RunError(f"cannot create {path}: {why}", hint)
        if is_used:
            hint = Text("Choose another folder, for example {}", sibling)
            raise RunError(f"{path} is not empty and not a run; nothing was changed", hint)

    def free_sibling(self) -> Path:
        """Return a path beside this one that does not exist: run-2, run-3, ..."""
        stem, number = self.path.absolute(), 2
        while (candidate := stem.parent / f"{stem.name}-{number}").exists():
            number += 1
        return self.path.parent / candidate.name

    def prepare(self) -> None:
        """Make the folders, and remove the unfinished files of a killed run."""
        with files.real_folder(self._samples):
            for folder in (self.path, self._samples):
                files.clear_abandoned(folder)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other training runs out of this folder; a dead process holds no lock.

        Raises RunError if another one is in it.
        """
        make_folder(self.path)
        with files.exclusive(self.path / _LOCK) as is_in_place:
            if is_in_place is None:
                hint = "Wait for it or stop it, or choose another folder with {}."
                raise RunError(
                    f"another training run is using {self.path}", Text(hint, Setting("out"))
                )
            self._lock_is_in_place = is_in_place
            try:
                yield
            finally:
                self._lock_is_in_place = lambda: True

    def write(self, path: Path, content: bytes) -> None:
        """Write `content` to the file `path` of this run: every one of its files is written here.

        Raises RunError, also if the lock is not in this folder any more: another run can start in
        the place of a folder that was removed, and must not be overwritten.
        """
        if not self._lock_is_in_place():
            raise RunError(
                f"{self.path} was removed or replaced during training; nothing more was written "
                "there",
                Text("Start again in another folder, with {}.", Setting("out")),
            )
        if path.parent == self._samples:  # a link there would lead out of the run
            with files.real_folder(self._samples) as dir_fd:
                write_atomic(path, content, dir_fd)
        else:
            write_atomic(path, content)

    def replace_latest(self, other: Path) -> None:
        """Make the checkpoint `other` the latest; a damaged one is kept beside it."""
        with contextlib.suppress(OSError):
            self.latest.replace(self.path / DAMAGED)
        self.write(self.latest, other.read_bytes())

    def write_config(self, content: Mapping[str, Any]) -> None:
        """Write config.json: the settings of the run and its starts."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        # A name that is not UTF-8 is in the text as lone surrogates, for which Python's backslashes
        # are JSON's own: "\\udcff" is read back as what it was.
        self.write(self.path / CONFIG, text.encode(errors="backslashreplace") + b"\n")

    def read_config(self) -> dict[str, Any]:
        """Return the content of config.json, or nothing if it is missing or damaged."""
        return _read_object(self.path / CONFIG)

    def read_starts(self) -> list[dict[str, Any]]:
        """Return the starts recorded in config.json without what does not look like one."""
        return [
            start
            for start in _objects(self.read_config(), "starts")
            if all(isinstance(value, str | int | float) for value in start.values())
        ]

    def write_evaluations(self, evaluations: Sequence[Mapping[str, Any]]) -> None:
        """Write evaluation.json. Raises RunError."""
        text = json.dumps({"evaluations": evaluations}, indent=2)
        self.write(self.evaluations, text.encode() + b"\n")

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Return the content of evaluation.json without what does not look like an evaluation."""
        return _objects(_read_object(self.evaluations), "evaluations")

    def write_trackers(self, ids: Mapping[str, str]) -> None:
        """Write trackers.json: the id of this run in each tracker, by the tracker's name."""
        self.write(self._trackers, json.dumps(ids, indent=2).encode() + b"\n")

    def read_trackers(self) -> dict[str, str]:
        """Return the content of trackers.json without what does not look like an id.

        Libraries make paths and addresses of ids, and the folder may come from someone else.
        """
        found = _read_object(self._trackers).items()
        return {
            name: value
            for name, value in found
            if isinstance(value, str) and _TRACKER_ID.fullmatch(value)
        }

    def write_losses(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write losses.csv from the whole history, so that it never disagrees with a checkpoint."""
        text = io.StringIO()
        if history:
            writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(history)
        self.write(self.losses_table, text.getvalue().encode())

    def write_snapshot(self, epoch: int, content: bytes, keep: int) -> None:
        """Write the checkpoint of `epoch`, and keep the newest `keep` (1 or more) up to that epoch.

        Later ones exist if a run was resumed from an older checkpoint than its newest; they must
        not push out the one that was just written.
        """
        latest = self.snapshot(epoch)
        self.write(latest, content)
        snapshots = self.snapshots()
        for path in snapshots[: max(0, snapshots.index(latest) + 1 - keep)]:
            with contextlib.suppress(OSError):
                path.unlink()


def _file_version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns)


def _read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a run's file, or nothing if it is missing or damaged."""
    try:
        status = path.lstat()  # neither a pipe nor a link is read
        if not stat.S_ISREG(status.st_mode) or status.st_size > limits.CONFIG_BYTES:
            return {}
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _objects(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = content.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _numbered(folder: Path, pattern: str) -> list[Path]:
    """Return the files in `folder` by number; links lead to others' files and are left out."""

    def number(path: Path) -> int:
        digits = path.stem.partition("-")[2]
        return int(digits) if digits.isdecimal() else -1

    found = [path for path in folder.glob(pattern) if number(path) >= 0 and not path.is_symlink()]
    return sorted(found, key=number)
