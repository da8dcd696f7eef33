"""What a report tells of a run: plain values, read from files that anyone may have written."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ganctl import store
from ganctl.checkpoint import Checkpoint
from ganctl.config.schema import settings
from ganctl.evaluation import results
from ganctl.history import Meter, Row, best
from ganctl.images import Pixels
from ganctl.store import RunDirectory
from ganctl.text import counted, duration, printable

T = TypeVar("T")

_MAX_TEXT = 300
_MAX_CLASSES = 40
_MAX_STARTS = 12
_MAX_MADE = 40
_MAX_COUNT = 10**15
"""Larger numbers are no figures of a training."""


@dataclass(frozen=True)
class Run:
    """A run to report on."""

    path: Path
    """As it was given: a run directory, or a checkpoint in one."""
    file: Path
    """The checkpoint that all is read from."""
    checkpoint: Checkpoint
    problems: Sequence[str] = ()
    """What is wrong with it, in words."""
    commands: Sequence[tuple[str, str]] = ()
    """What can be done with it: a description, and the command that does it."""
    sheet: Pixels | None = None
    """Some of the images that it was trained on, as one picture (H, W, C)."""

    @property
    def folder(self) -> RunDirectory:
        """Where the samples are, and the record of the run's starts."""
        return RunDirectory(self.file.parent)

    @property
    def name(self) -> str:
        """Its folder's name, and the file's where one was given."""
        folder = self.file.absolute().parent.name
        return printable(folder if self.path.is_dir() else f"{folder}/{self.file.name}", 80)

    @property
    def steps_per_epoch(self) -> int:
        """Of the images it was trained on."""
        return self.checkpoint.config.steps_per_epoch(self.checkpoint.data["num_images"])

    @property
    def last_epoch(self) -> int:
        """The number of the epoch that the last step belonged to; 0 before the first step."""
        return -(-self.checkpoint.step // self.steps_per_epoch)

    @property
    def num_epochs(self) -> int:
        """The run's planned length."""
        return self.checkpoint.config.total_epochs(self.checkpoint.data["num_images"])

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its planned end."""
        total = self.checkpoint.config.total_steps(self.checkpoint.data["num_images"])
        return self.checkpoint.step >= total

    @functools.cached_property
    def rows(self) -> list[Row]:
        """The epochs so far in their order, and the one that is under way, if there is one."""
        rows: list[Row] = []
        for row in self.checkpoint.history:
            if type(row["epoch"]) is int and row["epoch"] > (rows[-1]["epoch"] if rows else 0):
                sane = {name: _sane(value) for name, value in row.items()}
                rows.append({**sane, "epoch": row["epoch"], "part": False})
        meter = Meter.from_dict(self.checkpoint.partial)
        if meter.steps and self.last_epoch > (rows[-1]["epoch"] if rows else 0):
            means = {name: _sane(value) for name, value in meter.means().items()}
            count = {"epoch": self.last_epoch, "step": self.checkpoint.step, "part": True}
            rows.append({**count, **means})
        return rows

    def facts(self) -> dict[str, str]:
        """The run at a glance."""
        config, data = self.checkpoint.config, self.checkpoint.data
        rows = self.rows
        last = rows[-1] if rows else {}
        measured = [row for row in rows if row.get("frechet_distance") is not None]
        lowest = best(rows)
        seconds = next((row["elapsed_seconds"] for row in rows[::-1] if not row["part"]), None)
        images = next((row["images"] for row in rows[::-1] if not row["part"]), None)
        parameters = sum(tensor.numel() for tensor in self.checkpoint.generator.values())
        return {
            "State": "finished" if self.is_finished else "not finished",
            "Epochs": f"{last.get('epoch', 0):,} of {self.num_epochs:,}"
            + (", the last one in part" if last.get("part") and not self.is_finished else ""),
            "Steps": f"{self.checkpoint.step:,}",
            "Preset": f"{printable(config.preset, _MAX_TEXT)}, seed {config.seed}",
            "Data": f"{printable(data['name'], _MAX_TEXT)}, {counted(data['num_images'], 'image')}",
            "Training time": duration(seconds) if seconds else "",
            "Images a second": f"{images / seconds:,.0f}" if seconds and images else "",
            "Generator": f"{parameters:,} weights",
            "Losses": f"{last['g_loss']:.3f} generator, {last['d_loss']:.3f} discriminator"
            if last.get("g_loss") is not None and last.get("d_loss") is not None
            else "",
            "Frechet distance": f"{measured[-1]['frechet_distance']:.3f}" if measured else "",
            "Best epoch": f"{lowest['epoch']:,}, with {lowest['frechet_distance']:.3f}"
            if lowest
            else "",
        }

    def evaluation(self) -> dict[str, str]:
        """What `evaluate` found last, if it was kept."""
        found = results.best_known(self.folder, self.checkpoint.digest)
        if found is None:
            return {}
        is_current = found.digest == self.checkpoint.digest
        other = "" if is_current else f", another checkpoint of this run: {found.checkpoint}"
        weights = "moving average" if found.ema else "weights as trained"
        return {
            "Checkpoint": printable(f"step {found.step:,}, {weights}{other}", _MAX_TEXT),
            "Samples": f"{found.metrics.num_samples:,}",
            "Compared with": printable(
                f"{found.num_test_images:,} {found.test_images} of {found.data}", _MAX_TEXT
            ),
            "Features": printable(found.features, _MAX_TEXT),
            **{
                f"{label[:1].upper()}{label[1:]}": f"{samples} (real images: {real})"
                for label, samples, real, _ in found.rows()
            },
        }

    def data(self) -> dict[str, str]:
        """What the images were."""
        data = self.checkpoint.data
        classes = [printable(name, 60) for name in data["classes"][:_MAX_CLASSES]]
        more = len(data["classes"]) - len(classes)
        return {
            "Name": printable(data["name"], _MAX_TEXT),
            "Images": f"{data['num_images']:,}",
            "Shape": printable(" x ".join(map(str, data["image_shape"][:4])), _MAX_TEXT)
            + " (channels x height x width)",
            "Classes": ", ".join(classes) + (f" and {more:,} more" if more else "")
            if classes
            else "none",
            "Digest": printable(data["digest"], _MAX_TEXT),
        }

    def settings(self) -> dict[str, str]:
        """Every setting by name."""
        return {name: _setting(value) for name, value in settings(self.checkpoint.config).items()}

    def environment(self) -> dict[str, str]:
        """What made the checkpoint."""
        made = self.checkpoint.made_by
        told = [
            (name, value)
            for name, value in made.items()
            if value != made.get(name.removeprefix("last_")) or not name.startswith("last_")
        ]
        return {
            printable(name, 60).replace("_", " "): printable(str(value), _MAX_TEXT)
            for name, value in told[:_MAX_MADE]
        }

    def starts(self) -> list[dict[str, str]]:
        """Each time the run was begun or resumed, the first and the latest of them; all text."""
        starts = thinned_ends(self.folder.read_starts(), _MAX_STARTS)
        names = ("date", "from_step", "device", "command")
        return [
            {name: printable(str(start.get(name, "")), _MAX_TEXT) for name in names}
            for start in starts
        ]


def find(path: Path) -> tuple[Path, Checkpoint, list[str]]:
    """The checkpoint that `path`, a run directory or a file, stands for; and what is damaged.

    Of a run it is the newest whole one. Raises CheckpointError.
    """
    run = RunDirectory(path)
    if path.is_dir() and run.is_run():
        found = store.newest_intact(run)
        return found.path, found.checkpoint, [str(problem) for problem in found.problems]
    return store.checkpoint_path(path), store.read_checkpoint(path), []


def thinned(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of the items, evenly spaced, the last and, with two or more, the first too."""
    if len(items) <= most or most == 1:
        return list(items[-most:])
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def thinned_ends(items: Sequence[T], most: int) -> list[T]:
    """At most `most` (2 at least) of the items: the first, and the last ones."""
    return list(items) if len(items) <= most else [items[0], *items[1 - most :]]


def union(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names in any of the tables, each in the place where it first comes."""
    return list(dict.fromkeys(name for table in tables for name in table))


def _sane(value: object) -> object:
    return value if isinstance(value, int | float) and abs(value) < _MAX_COUNT else None


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        "–"
        if value is None
        else f"{value:g}"
        if isinstance(value, float)
        else printable(str(value), _MAX_TEXT)
    )
