"""The results of `evaluate`, kept in the folder of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganctl import limits
from ganctl.evaluation.evaluator import Metrics
from ganctl.evaluation.intra_class import IntraClass
from ganctl.history import COLUMNS, QUALITY_METRICS, Column
from ganctl.store import RunDirectory

_MAX_SAVED = 20
_NUMBER_LIMIT = 10**15
"""Numbers in a file are smaller than this, or the file is damaged."""
_COPIES_BELOW = 0.5
"""Samples whose distance to training images is less than this fraction of that of real images are
probably copies."""
_JSON_NAMES = {"metrics": "figures"}
_SHOWN = (
    *(COLUMNS[name] for name in QUALITY_METRICS if not name.endswith("_class")),
    Column("inception_score", "Inception score", format=".3f", better="higher"),
    Column("classes_found", "classes found", format=",d", better="higher"),
    Column("class_divergence", "classes, KL from uniform", format=".4f", better="lower"),
    Column("nearest_training", "nearest training image", format=".2f", better=">= real"),
)


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one checkpoint's samples, and of real images for comparison."""

    checkpoint: str
    digest: str
    step: int
    ema: bool
    data: str
    num_test_images: int
    test_images: str
    """Kind of the images that samples are compared with: "test images", "held-out images" or
    "training images"."""
    features: str | None
    """The name of the feature network; None if patches alone were compared."""
    num_patch_images: int
    """Number of images of each set whose patches were compared."""
    metrics: Metrics
    floor: Metrics
    """The metrics of real images, which hardly any generator can beat."""
    path_length: float | None = None
    """The perceptual path length; None without a feature network."""
    intra_class: IntraClass | None = None
    """The Frechet distance within classes; None without classes or without a feature network."""

    @property
    def warning(self) -> str | None:
        """A warning if samples look like copies of training images, else None."""
        ours, real = self.metrics.nearest_training, self.floor.nearest_training
        if ours is None or real is None or ours >= _COPIES_BELOW * real:
            return None
        return (
            "samples are probably copies of training images: half of them are within "
            f"{ours:.2f} of one, and half of the {self.test_images} only within {real:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like values with the `warning`; `metrics` is called "figures"."""
        values = {_JSON_NAMES.get(name, name): value for name, value in asdict(self).items()}
        return {**values, "warning": self.warning}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Evaluation:
        """Rebuild what `to_dict` returned. Raises KeyError, TypeError or ValueError."""
        evaluation: Evaluation = _rebuild(cls, content)
        return evaluation

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of a table: label, of the samples, of real images, which is better."""
        return metric_rows(self.metrics, self.floor)


def save(evaluation: Evaluation, run: RunDirectory) -> None:
    """Write `evaluation` into the run's folder, before earlier ones. Raises RunError.

    It replaces an earlier one of the same checkpoint, features and number of samples.
    """

    def subject(one: Evaluation) -> object:
        return one.digest, one.ema, one.features, one.metrics.num_samples, one.test_images

    earlier = [one for one in load(run) if subject(one) != subject(evaluation)]
    run.write_evaluations([one.to_dict() for one in [evaluation, *earlier][:_MAX_SAVED]])


def load(run: RunDirectory) -> list[Evaluation]:
    """Return the evaluations in a run's folder, the newest first, without damaged ones."""
    found = []
    for content in run.read_evaluations()[:_MAX_SAVED]:
        try:
            found.append(Evaluation.from_dict(content))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def documents(run: RunDirectory, digest: str) -> list[dict[str, Any]]:
    """Return the evaluations in a run's folder as JSON-like values.

    `current` tells whether each is of the checkpoint whose digest is `digest`.
    """
    return [{**one.to_dict(), "current": one.digest == digest} for one in load(run)]


def newest_for(run: RunDirectory, digest: str) -> Evaluation | None:
    """Return the newest evaluation of the checkpoint with this digest, or else of any."""
    found = load(run)
    return next((one for one in found if one.digest == digest), found[0] if found else None)


def metric_rows(
    metrics: Metrics, floor: Metrics | None, nearest: str = "nearest training image"
) -> list[tuple[str, str, str, str]]:
    """Return a row for each metric: its label, its value, the `floor`, which is better.

    `nearest` is the label of the distance to the nearest image.
    """
    table = []
    for metric in _SHOWN:
        value, real = (
            metric.text(getattr(each, metric.name)) if each else "" for each in (metrics, floor)
        )
        if value and (real or floor is None):
            label = nearest if metric.name == "nearest_training" else metric.label
            table.append((label, value, real, metric.better))
    return table


def _rebuild(kind: Any, content: Mapping[str, Any]) -> Any:
    return kind(**{
        field.name: _checked(content[_JSON_NAMES.get(field.name, field.name)], str(field.type))
        for field in dataclasses.fields(kind)
    })  # fmt: skip


def _checked(value: Any, annotation: str) -> Any:
    """Return `value` as the type that `annotation` names. Raises as `Evaluation.from_dict`."""
    if annotation == "Metrics":
        return _rebuild(Metrics, value)
    if annotation == "list[float]":
        return [float(_checked(one, "float")) for one in value[: limits.CLASSES]]
    if annotation == "list[int]":
        return [_checked(one, "int") for one in value[: limits.CLASSES]]
    name, _, optional = annotation.partition(" | ")
    if value is None and optional:
        return None
    if name == "IntraClass":
        return _rebuild(IntraClass, value)
    kinds = {"str": str, "bool": bool, "int": int, "float": int | float}
    is_bool = isinstance(value, bool)
    if not isinstance(value, kinds[name]) or (is_bool and name != "bool"):
        raise ValueError(f"not {annotation}")
    if len(value) > limits.NAME_CHARS if isinstance(value, str) else not abs(value) < _NUMBER_LIMIT:
        raise ValueError("too long or too large")
    return value
