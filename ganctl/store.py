"""The run directory: where everything is, the newest whole checkpoint, snapshots, logs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganctl import checkpoint, files, limits
from ganctl.checkpoint import Checkpoint
from ganctl.errors import CheckpointError, RunError, Setting, Text, UnreadableError
from ganctl.files import Held, make_folder, reason, write_atomic

Version = tuple[int, int] | None

LATEST = "ckpt.pt"
DAMAGED = "ckpt.pt.damaged"
CONFIG = "config.json"
_LOCK = ".lock"


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, a file or a run directory (its latest). Raises CheckpointError."""
    file = checkpoint_path(path)
    try:
        with file.open("rb") as opened:
            return checkpoint.decode(opened)
    except OSError as error:
        raise UnreadableError(f"{file} cannot be read: {reason(error)}") from None
    except CheckpointError as error:
        raise named(error, file) from None


@dataclass(frozen=True)
class Found:
    """The newest checkpoint of a run that can be read."""

    checkpoint: Checkpoint
    path: Path
    version: tuple[Version, ...]
    """The run's, from before anything was read."""
    problems: list[CheckpointError]
    """What is wrong with those that cannot be, the latest first; empty where that one is whole."""


def newest_whole(run: RunDirectory) -> Found:
    """The newest checkpoint of `run` that can be read. Raises CheckpointError if there is none.

    That is the latest; where it is missing or damaged, of all others the one with the most steps.
    UnreadableError where one may be whole all the same: going on from an older one would lose it.
    """
    problems: list[CheckpointError] = []
    newest: Found | None = None
    version = run.version()
    for path in run.checkpoints():
        try:
            found = Found(read_checkpoint(path), path, version, problems)
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


def file_version(path: Path) -> Version:
    """Differs from an earlier one once `path` was written anew; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns)


def named(error: CheckpointError, path: Path) -> CheckpointError:
    """`error` with the file it speaks of."""
    return type(error)(f"{path} {error.message}", error.hint)


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
        self._held: Held | None = None

    @property
    def latest(self) -> Path:
        """The latest state."""
        return self.path / LATEST

    @property
    def best(self) -> Path:
        """The state after the epoch whose samples were nearest to real images."""
        return self.path / "best.pt"

    @property
    def animation(self) -> Path:
        """The fixed samples over the epochs."""
        return self.path / "training.gif"

    @property
    def losses_table(self) -> Path:
        """One row an epoch."""
        return self.path / "losses.csv"

    @property
    def evaluations(self) -> Path:
        """What `evaluate` found, the newest first."""
        return self.path / "evaluation.json"

    @property
    def losses_plot(self) -> Path:
        """Both losses over the epochs."""
        return self.path / "losses.png"

    @property
    def _samples(self) -> Path:
        return self.path / "samples"

    def sample(self, epoch: int) -> Path:
        """The fixed samples after `epoch`, counted from 1."""
        return self._samples / f"epoch-{epoch:04d}.png"

    def samples(self) -> list[Path]:
        """The fixed samples so far, in the order of the epochs; none through a link."""
        return [] if self._samples.is_symlink() else _numbered(self._samples, "epoch-*.png")

    def snapshot(self, epoch: int) -> Path:
        """The checkpoint kept after `epoch`, counted from 1."""
        return self.path / f"epoch-{epoch:04d}.pt"

    def snapshots(self) -> list[Path]:
        """The checkpoints kept so far, the oldest first."""
        return _numbered(self.path, "epoch-*.pt")

    def checkpoints(self) -> list[Path]:
        """The latest, be it there or not, then all others, the newest snapshot first."""
        best = [self.best] if self.best.exists() else []
        return [self.latest, *reversed(self.snapshots()), *best]

    def version(self) -> tuple[Version, ...]:
        """Differs from an earlier one once any checkpoint was written anew."""
        return tuple(map(file_version, self.checkpoints()))

    def is_run(self) -> bool:
        """Whether a run was started here."""
        return self.latest.exists() or self.best.exists() or bool(self.snapshots())

    def require_new(self) -> None:
        """RunError unless a new run may begin here: no folder yet, or an empty one."""
        if self.is_run():
            raise RunError(
                f"{self.path} already holds a run; nothing was changed",
                Text(
                    "Go on with it: add {}. Or begin a new one: {}",
                    Setting("resume", True),
                    Setting("out", self.free_sibling()),
                ),
            )
        # What a run killed before its first checkpoint leaves behind is no obstacle.
        remains = {_LOCK} | ({CONFIG} if self.read_starts() else set())
        if not self.samples():
            remains.add("samples")
        try:
            used = self.path.exists() and any(
                entry.name not in remains and not files.is_temporary(entry)
                for entry in self.path.iterdir()
            )
        except OSError as error:
            raise RunError(f"{self.path} cannot be a run directory: {reason(error)}") from None
        whole = self.path.absolute()
        parent = next(path for path in (whole, *whole.parents) if path.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise RunError(
                f"{self.path} cannot be made: {parent} is not a folder to write to",
                Text("Choose another one with {}.", Setting("out")),
            )
        if used:
            raise RunError(
                f"{self.path} is not empty and not a run of ganctl; nothing was changed",
                Text("Choose another folder, for example {}", Setting("out", self.free_sibling())),
            )

    def free_sibling(self) -> Path:
        """A path beside this one that is not taken: run-2, run-3, ..."""
        stem, number = self.path.absolute(), 2
        while (candidate := stem.parent / f"{stem.name}-{number}").exists():
            number += 1
        return self.path.parent / candidate.name

    def prepare(self) -> None:
        """Make the folders, and clear what a killed run left behind half-written."""
        self._make_samples()
        for folder in (self.path, self._samples):
            files.clear_abandoned(folder)

    def _make_samples(self) -> None:
        """Make the folder of the samples; a link in its place leads out of the run and is removed.

        A run that somebody else made, or can write to, must not have others' files changed.
        """
        files.clear_link(self._samples)
        make_folder(self._samples)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep any other training out of this folder; a dead process's lock does not count.

        Raises RunError where another training holds it.
        """
        make_folder(self.path)
        with files.exclusive(self.path / _LOCK) as held:
            if held is None:
                raise RunError(
                    f"another training is running in {self.path}",
                    Text(
                        "Wait for it or stop it, or choose another folder with {}.", Setting("out")
                    ),
                )
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def write(self, path: Path, content: bytes) -> None:
        """`content` as the file `path` of this run: the one way in which any of them is written.

        Raises RunError; also where the lock is not in this folder any more. A training can begin in
        the place of a folder that was removed, and is not to be written over.
        """
        if self._held is not None and not self._held.is_in_place():
            raise RunError(
                f"{self.path} was removed or replaced while this training ran in it; nothing more "
                "was written there",
                Text("Begin anew in a folder of its own, with {}.", Setting("out")),
            )
        if path.parent == self._samples:
            self._make_samples()
        write_atomic(path, content)

    def replace_latest(self, other: Path) -> None:
        """Make the checkpoint `other` the latest; a damaged one is kept beside it, not lost."""
        with contextlib.suppress(OSError):
            self.latest.replace(self.path / DAMAGED)
        self.write(self.latest, other.read_bytes())

    def write_config(self, content: Mapping[str, Any]) -> None:
        """What the run is and how it was started."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        # A name that is not UTF-8 is in the text as lone surrogates, for which Python's backslashes
        # are JSON's own: "\\udcff" is read back as what it was.
        self.write(self.path / CONFIG, text.encode(errors="backslashreplace") + b"\n")

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote, or nothing where it is missing or damaged."""
        return _read_object(self.path / CONFIG)

    def read_starts(self) -> list[dict[str, Any]]:
        """The starts on record in the config, or none; only what looks like one is handed on."""
        starts = self.read_config().get("starts")
        return [
            start
            for start in (starts if isinstance(starts, list) else [])
            if isinstance(start, dict)
            and all(isinstance(value, str | int | float) for value in start.values())
        ]

    def write_evaluations(self, evaluations: Sequence[Mapping[str, Any]]) -> None:
        """Write evaluation.json. Raises RunError."""
        text = json.dumps({"evaluations": evaluations}, indent=2)
        self.write(self.evaluations, text.encode() + b"\n")

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Return what `write_evaluations` wrote, but for what looks like no evaluation."""
        found = _read_object(self.evaluations).get("evaluations")
        return [one for one in (found if isinstance(found, list) else []) if isinstance(one, dict)]

    def write_losses(self, history: Sequence[Mapping[str, Any]]) -> None:
        """losses.csv, made anew from the whole history: it can never disagree with a checkpoint."""
        text = io.StringIO()
        if history:
            writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(history)
        self.write(self.losses_table, text.getvalue().encode())

    def write_snapshot(self, epoch: int, content: bytes, keep: int) -> None:
        """Keep `content` as the checkpoint of `epoch`, and of all up to it only the newest `keep`.

        `keep` is 1 at least. Later ones can be there where a run went on from an older checkpoint
        than its newest; they must not push out the one that was just written.
        """
        latest = self.snapshot(epoch)
        self.write(latest, content)
        snapshots = self.snapshots()
        up_to_now = snapshots[: snapshots.index(latest) + 1]
        for path in up_to_now[: max(0, len(up_to_now) - keep)]:
            with contextlib.suppress(OSError):
                path.unlink()


def _read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a run's file, or nothing where it is missing or damaged."""
    try:
        status = path.lstat()  # neither a pipe nor a link is read
        if not stat.S_ISREG(status.st_mode) or status.st_size > limits.CONFIG_BYTES:
            return {}
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _numbered(folder: Path, pattern: str) -> list[Path]:
    """Return the files in `folder` by number; links lead to others' files and are left out."""

    def number(path: Path) -> int:
        digits = path.stem.partition("-")[2]
        return int(digits) if digits.isdecimal() else -1

    found = [path for path in folder.glob(pattern) if number(path) >= 0 and not path.is_symlink()]
    return sorted(found, key=number)
