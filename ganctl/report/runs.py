"""The content of a report: plain values of a run, from files that anyone may have written."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ganctl import images, store
from ganctl.checkpoint import Checkpoint
from ganctl.config.schema import format_setting, settings
from ganctl.datasets import loading
from ganctl.datasets.dataset import Progress
from ganctl.evaluation import results
from ganctl.history import COLUMNS, Meter, Row, best, is_complete, quality_metric
from ganctl.images import Pixels
from ganctl.inspection.problems import problems
from ganctl.store import RunDirectory
from ganctl.text import counted_images, duration, printable
from ganctl.training.state import require_fit

T = TypeVar("T")

_NUM_IMAGES = 64
_MAX_CLASSES = 40
_MAX_STARTS = 12
_MAX_MADE_BY = 40
_SHEET_BYTES = 3 * 4096**2
"""Upper bound of the bytes of a sheet of nearest training images."""
_NUMBER_LIMIT = 10**15
"""Numbers of a history that are shown are smaller than this."""
_short = functools.partial(printable, max_chars=300)


@dataclass(frozen=True)
class Run:
    """A run to report on."""

    path: Path
    """The path as given: a run directory, or a checkpoint in one."""
    file: Path
    """The checkpoint that everything is read from."""
    checkpoint: Checkpoint
    problems: Sequence[str] = ()
    """Problems of the checkpoint or of the files beside it."""
    commands: Sequence[tuple[str, str]] = ()
    """Commands that continue with the run, each after its description."""
    sheet: Pixels | None = None
    """Some of the training images as one picture (H, W, C)."""
    nearest: Pixels | None = None
    """Samples beside their nearest training images (H, W, C)."""
    notices: Sequence[str] = ()
    """Notes on what could not be shown, and why."""

    @property
    def folder(self) -> RunDirectory:
        """The run directory, which holds the samples and the record of starts."""
        return RunDirectory(self.file.parent)

    @property
    def name(self) -> str:
        """Name of the folder, with that of the file if one was given."""
        folder = self.file.absolute().parent.name
        return printable(folder if self.path.is_dir() else f"{folder}/{self.file.name}", 80)

    @property
    def last_epoch(self) -> int:
        """Number of the epoch that the last step belonged to; 0 before the first step."""
        return -(-self.checkpoint.step // self.checkpoint.steps_per_epoch)

    @property
    def num_epochs(self) -> int:
        """Planned number of epochs."""
        return self.checkpoint.config.total_epochs(self.checkpoint.data["num_images"])

    @functools.cached_property
    def rows(self) -> list[Row]:
        """Rows of the epochs in order; last, the losses so far of an unfinished epoch."""
        rows: list[Row] = []
        for row in self.checkpoint.history:
            if type(row["epoch"]) is int and row["epoch"] > (rows[-1]["epoch"] if rows else 0):
                rows.append({**_sane(row), "epoch": row["epoch"]})
        meter = Meter.from_dict(self.checkpoint.partial)
        if meter.steps and self.last_epoch > (rows[-1]["epoch"] if rows else 0):
            counts = {"epoch": self.last_epoch, "step": self.checkpoint.step}
            rows.append({**counts, **_sane(meter.means())})
        return rows

    def facts(self) -> dict[str, str]:
        """Return the main facts about the run, by label."""
        config, data, rows = self.checkpoint.config, self.checkpoint.data, self.rows
        last = rows[-1] if rows else {"epoch": 0, "step": 0}
        timed = next((row for row in rows[::-1] if row.get("elapsed_seconds")), {})
        seconds, num_images = timed.get("elapsed_seconds"), timed.get("images")
        quality = quality_metric(rows)
        distances = [row for row in rows if row.get(quality.name) is not None]
        lowest = best(rows)
        is_finished = self.checkpoint.is_finished
        is_partial = not is_complete(last, self.checkpoint.steps_per_epoch) and not is_finished
        return {
            "State": "finished" if is_finished else "unfinished",
            "Epochs": f"{last['epoch']:,} of {self.num_epochs:,}"
            + (", the last one incomplete" if is_partial else ""),
            "Steps": f"{self.checkpoint.step:,}",
            "Preset": f"{_short(config.preset)}, seed {config.seed}",
            "Data": f"{_short(data['name'])}, "
            + counted_images(data["num_images"], data["num_held_out"]),
            "Begun from": _short(self._origin()),
            "Training time": duration(seconds) if seconds else "",
            "Images per second": f"{num_images / seconds:,.0f}" if seconds and num_images else "",
            "Generator": f"{sum(t.numel() for t in self.checkpoint.generator.values()):,} weights",
            "Generator loss": _text(last, "g_loss"),
            "Discriminator loss": _text(last, "d_loss"),
            quality.label.capitalize(): _text(distances[-1], quality.name) if distances else "",
            "Best epoch": f"{lowest['epoch']:,} ({quality.label} "
            f"{_text(lowest, quality.name)})" if lowest else "",
        }  # fmt: skip

    def _origin(self) -> str:
        """Return the checkpoint that the run began with, and its images; nothing if it had none."""
        made_by = self.checkpoint.made_by
        if "init_from" not in made_by:
            return ""
        return f"{made_by['init_from']}, trained on {made_by.get('init_from_data', '?')}"

    def evaluation(self) -> dict[str, str]:
        """Return the newest results of `evaluate`, or nothing if none were kept."""
        found = results.newest_for(self.folder, self.checkpoint.digest)
        if found is None:
            return {}
        is_current = found.digest == self.checkpoint.digest
        other = "" if is_current else f", another checkpoint of this run: {found.checkpoint}"
        weights = "moving average" if found.ema else "weights as trained"
        return {
            "Checkpoint": _short(f"step {found.step:,}, {weights}{other}"),
            "Samples": f"{found.metrics.num_samples:,}",
            "Compared with": _short(
                f"{found.num_test_images:,} {found.test_images} of {found.data}"
            ),
            "Features": _short(found.features or "none"),
            "Patches": f"of {found.num_patch_images:,} images of each",
            **{
                label: f"{samples} (real images: {real})"
                for label, samples, real, _ in found.rows()
            },
            **(
                {}
                if found.path_length is None
                else {
                    "Perceptual path length": f"{found.path_length:.2f} (1: images change evenly)"
                }
            ),
            **({"Warning": found.warning} if found.warning else {}),
        }

    def data(self) -> dict[str, str]:
        """Return the facts about the training images, by label."""
        data = self.checkpoint.data
        classes = [printable(name, 60) for name in data["classes"][:_MAX_CLASSES]]
        more = len(data["classes"]) - len(classes)
        shape = " x ".join(map(str, data["image_shape"][:4]))
        return {
            "Name": _short(data["name"]),
            "Images": counted_images(data["num_images"], data["num_held_out"]),
            "Shape": f"{_short(shape)} (channels x height x width)",
            "Classes": (", ".join(classes) or "none") + (f" and {more:,} more" if more else ""),
            "Digest": _short(data["digest"]),
        }

    def settings(self) -> dict[str, str]:
        """Return every setting by name."""
        return {
            name: _short(format_setting(value))
            for name, value in settings(self.checkpoint.config).items()
        }

    def environment(self) -> dict[str, str]:
        """Return the versions, device and command that made the checkpoint."""
        made_by = self.checkpoint.made_by
        names = [
            name
            for name, value in made_by.items()
            if not name.startswith("last_") or value != made_by.get(name.removeprefix("last_"))
        ]
        return {
            printable(name, 60).replace("_", " "): _short(str(made_by[name]))
            for name in names[:_MAX_MADE_BY]
        }

    def starts(self) -> list[dict[str, str]]:
        """Return the starts and resumes of the run; if there are many, the first and the latest."""
        first, later = (starts := self.folder.read_starts())[:1], starts[1:]
        names = ("date", "from_step", "device", "command")
        return [
            {name: _short(str(start.get(name, ""))) for name in names}
            for start in [*first, *later[1 - _MAX_STARTS :]]
        ]


def read(path: Path, *, with_images: bool = False, progress: Progress = lambda *_: None) -> Run:
    """Return the run that `path`, a run directory or a checkpoint, stands for.

    Everything is read from the newest intact checkpoint of a run directory. `with_images`: show
    training images that are not built in, too. Raises CheckpointError, and DataError if those
    cannot be read.
    """
    run, damaged = RunDirectory(path), []
    if path.is_dir() and run.is_run():
        found = store.newest_intact(run)
        file, checkpoint = found.path, found.checkpoint
        damaged = [str(problem) for problem in found.problems]
    else:
        file, checkpoint = store.checkpoint_path(path), store.read_checkpoint(path)
    with store.errors_about(file):
        require_fit(checkpoint)
    wrong = [problem.text for problem in problems(checkpoint)]
    sheet, notice = _training_images(checkpoint, with_images, progress)
    nearest = _nearest(RunDirectory(file.parent), checkpoint)
    notices = [notice] if notice else []
    return Run(
        path, file, checkpoint, [*damaged, *wrong],
        sheet=sheet, nearest=nearest, notices=notices,
    )  # fmt: skip


def _nearest(run: RunDirectory, checkpoint: Checkpoint) -> Pixels | None:
    """Return the sheet of nearest training images in the folder, if it shows this checkpoint."""
    if run.nearest.is_symlink() or not run.nearest.is_file():
        return None
    with run.nearest.open("rb") as file:
        picture, text = images.read_picture(
            file, max_bytes=_SHEET_BYTES, shapes=lambda shape: 0 < math.prod(shape) <= _SHEET_BYTES
        )
    return picture if text.get("checkpoint") == checkpoint.digest else None


def _training_images(
    checkpoint: Checkpoint, wanted: bool, progress: Progress
) -> tuple[Pixels | None, str]:
    """Return some of the training images if they are `wanted` or built in, or why not.

    The checkpoint says where they are, and they may be private: nothing is read unless asked for,
    and no images that this user never trained on.
    """
    config, digest = checkpoint.config, str(checkpoint.data["digest"])
    if not wanted and config.data not in loading.EMBEDDED:
        return None, ""
    name = config.data[:200]
    if not loading.is_trusted(config.data, digest):
        return None, f"{name} is left out: you never trained on these images on this machine."
    dataset = loading.load_training(config, progress)
    if dataset.digest != digest:
        return None, f"{name} is left out: these are not the images that the run was trained on."
    some = dataset.evenly_spaced(_NUM_IMAGES)
    return images.grid(some[thinned(range(len(some)), _NUM_IMAGES)]), ""


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced, with the last and, if several, the first."""
    if len(items) <= most or most == 1:
        return list(items[-most:])
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _sane(row: Row) -> Row:
    """Return a row with None for everything that is not a number of a reasonable size."""
    return {
        name: value if isinstance(value, int | float) and abs(value) < _NUMBER_LIMIT else None
        for name, value in row.items()
    }


def _text(row: Row, name: str) -> str:
    return COLUMNS[name].text(row.get(name))
