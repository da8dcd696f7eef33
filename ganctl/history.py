"""The history of a training run: one row per epoch, the columns of a row, and signs of trouble.

losses.csv, checkpoints, plots, the report, the live screen and JSON all take names, labels and
formats from `COLUMNS`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganctl.errors import Setting, Text

Row = dict[str, Any]
"""One epoch: a value for each of COLUMNS, in their order."""


@dataclass(frozen=True)
class Column:
    """A column of the history: its names, and the format of its values."""

    name: str
    """Key in checkpoints, JSON and losses.csv."""
    label: str
    heading: str = ""
    """Label in a table that has little room; the label itself unless given."""
    format: str = ".3f"
    better: str = ""
    """Direction in which values improve: "lower", "higher" or neither."""
    subject: str = ""
    """Images that the value is about, where the label does not say so."""
    on_samples: bool = False
    """Whether it is measured on samples, and None in epochs in which it was not."""

    @property
    def short(self) -> str:
        """Label for a narrow table."""
        return self.heading or self.label

    @property
    def legend(self) -> str:
        """Label for a line in a chart."""
        return f"{self.label}, {self.subject}" if self.subject else self.label

    def text(self, value: float | None) -> str:
        """Return a value as it is shown; nothing for None."""
        return "" if value is None else format(value, self.format)


STEP_METRICS = ("g_loss", "d_loss", "d_real", "d_fake")
"""Metrics of every step: both losses, and D(x) and D(G(z)) as probabilities."""
_on_samples = functools.partial(Column, on_samples=True)
COLUMNS = {
    column.name: column
    for column in (
        Column("epoch", "epoch", format=",d"),
        Column("step", "step", format=",d"),
        Column("images", "images", format=",d"),
        Column("seconds", "seconds", format=".1f"),
        Column("elapsed_seconds", "elapsed seconds", format=".1f"),
        Column("g_loss", "generator loss", "G loss"),
        Column("d_loss", "discriminator loss", "D loss"),
        Column("d_real", "D(x)", subject="real images"),
        Column("d_fake", "D(G(z))", subject="generated images"),
        _on_samples("diversity", "diversity", format=".2f"),
        _on_samples("patch_distance", "patch distance", "patches", ".4f", "lower"),
        _on_samples("frechet_distance", "Frechet distance", "Frechet", ".2f", "lower"),
        _on_samples("kernel_distance", "kernel distance", format=".4f", better="lower"),
        _on_samples("precision", "precision", better="higher"),
        _on_samples("recall", "recall", better="higher"),
        _on_samples("density", "density", better="higher"),
        _on_samples("coverage", "coverage", better="higher"),
        _on_samples("classifier_score", "classifier score", format=".2f", better="higher"),
        _on_samples("sure_share", "classifier is sure", format=".1%", better="higher"),
        _on_samples("smallest_class", "rarest class"),
        _on_samples("largest_class", "most frequent class"),
        Column("images_per_sec", "images/s", format=",.0f"),
    )
}
"""Columns by name. Epoch, step, images and elapsed seconds count from the beginning of the run."""
OPTIONAL = frozenset(column.name for column in COLUMNS.values() if column.on_samples)
"""Columns that are None in epochs in which they were not measured."""
QUALITY_METRICS = tuple(name for name in COLUMNS if name in OPTIONAL and name != "diversity")
"""Metrics of an epoch's samples against real images, by a network's features or by patches."""


@dataclass
class Meter:
    """Sums over the steps of the current epoch.

    Checkpoints hold them, so that the means of a resumed epoch are exact.
    """

    sums: list[float] = field(default_factory=lambda: [0.0] * len(STEP_METRICS))
    steps: int = 0
    images: int = 0
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, partial: Mapping[str, Any]) -> Meter:
        """Rebuild what `to_dict` returned; from anything else, an empty meter."""
        sums = partial.get("sums")
        counts = [partial.get(name) for name in ("steps", "images", "seconds")]
        if (
            isinstance(sums, list)
            and len(sums) == len(STEP_METRICS)
            and all(isinstance(value, float) and math.isfinite(value) for value in sums)
            and all(isinstance(value, int | float) and 0 <= value < 2**53 for value in counts)
        ):
            return cls(list(sums), int(counts[0] or 0), int(counts[1] or 0), float(counts[2] or 0))
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {**vars(self), "sums": list(self.sums)}

    def add(self, metrics: Sequence[float]) -> None:
        """Add the STEP_METRICS of one step."""
        self.sums = [total + value for total, value in zip(self.sums, metrics, strict=True)]
        self.steps += 1

    def means(self) -> dict[str, float]:
        """Return the mean of each of STEP_METRICS; at least one step must have been added."""
        return dict(zip(STEP_METRICS, (total / self.steps for total in self.sums), strict=True))

    @property
    def images_per_sec(self) -> float:
        """Images per second of training."""
        return self.images / max(self.seconds, 1e-9)

    def row(
        self, *, epoch: int, step: int, history: Sequence[Row], measured: Mapping[str, float | None]
    ) -> Row:
        """Return the row that follows `history`, with what was `measured` on samples."""
        last = history[-1] if history else {}
        return {
            "epoch": epoch,
            "step": step,
            "images": int(last.get("images", 0)) + self.images,
            "seconds": round(self.seconds, 3),
            "elapsed_seconds": round(float(last.get("elapsed_seconds", 0)) + self.seconds, 3),
            **self.means(),
            **{name: measured.get(name) for name in COLUMNS if name in OPTIONAL},
            "images_per_sec": round(self.images_per_sec, 1),
        }


def is_complete(row: Row, steps_per_epoch: int) -> bool:
    """Return whether a row covers a whole epoch: a run can end inside one."""
    return bool(row["step"] == row["epoch"] * steps_per_epoch)


def epoch_label(row: Row, steps_per_epoch: int) -> str:
    """Return the number of a row's epoch, marked if the epoch is not complete."""
    return f"{row['epoch']}{'' if is_complete(row, steps_per_epoch) else ' part'}"


def with_state(row: Row, steps_per_epoch: int) -> Row:
    """Return a row as JSON documents have it, with `complete` and the names of its `signs`."""
    names = [sign.name for sign in signs(row)]
    return {**row, "complete": is_complete(row, steps_per_epoch), "signs": names}


def quality_metric(history: Sequence[Mapping[str, Any]]) -> Column:
    """Return the column by which the best of these epochs is chosen.

    This is the patch distance if some epochs have one and none has a Frechet distance.
    """
    names = ("frechet_distance", "patch_distance")
    found = (name for name in names if any(row.get(name) is not None for row in history))
    return COLUMNS[next(found, names[0])]


def best(history: Sequence[Row]) -> Row | None:
    """Return the first row with the lowest `quality_metric`; None if none was measured."""
    name = quality_metric(history).name
    measured = [row for row in history if row.get(name) is not None]
    return min(measured, key=lambda row: float(row[name]), default=None)


_SETTLED = 1000
"""Number of steps before which there are no signs: at first all samples look the same."""
_SURE = 0.95
_ALIKE = 0.1


@dataclass(frozen=True)
class Sign:
    """A sign of trouble in an epoch whose numbers are all finite."""

    name: str
    """Name in losses.csv and JSON."""
    meaning: str
    advice: Text


DISCRIMINATOR_WINS = Sign(
    "discriminator wins",
    "the discriminator can tell almost every generated image from a real one, so the generator "
    "learns little from it",
    Text(
        "If the samples do not improve, start a new run with a lower {} and another {}.",
        Setting("lr_d"),
        Setting("out"),
    ),
)
SAMPLES_ALIKE = Sign(
    "samples alike",
    "the samples are almost identical: the generator has collapsed",
    Text(
        "Generators rarely recover from a collapse. Start a new run with lower learning rates "
        "({}, {}) or another {}; a snapshot (epoch-*.pt) may be from before the collapse.",
        Setting("lr_g"),
        Setting("lr_d"),
        Setting("seed"),
    ),
)


def signs(row: Mapping[str, Any]) -> list[Sign]:
    """Return the signs of trouble in an epoch."""
    found: list[Sign] = []
    if row["step"] < _SETTLED:
        return found
    if row["d_real"] > _SURE and row["d_fake"] < 1 - _SURE:
        found.append(DISCRIMINATOR_WINS)
    if row["diversity"] is not None and row["diversity"] < _ALIKE:
        found.append(SAMPLES_ALIKE)
    return found


def new_signs(history: Sequence[Row]) -> list[Sign]:
    """Return the signs of trouble in the last epoch that no earlier epoch had."""
    *earlier, last = history
    known = {sign for row in earlier for sign in signs(row)}
    return [sign for sign in signs(last) if sign not in known]
