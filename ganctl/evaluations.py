"""What `evaluate` finds, and what of it is kept with a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganctl import limits
from ganctl.evaluation import Figures
from ganctl.store import RunDirectory

_MAX_KEPT = 20
_MAX_COUNT = 10**15
"""Larger numbers are no figures of an evaluation, and the largest no numbers that can be shown."""
_SHOWN = {
    "frechet_distance": ("Frechet distance", "lower", ".2f"),
    "kernel_distance": ("kernel distance", "lower", ".4f"),
    "precision": ("precision", "higher", ".3f"),
    "recall": ("recall", "higher", ".3f"),
    "density": ("density", "higher", ".3f"),
    "coverage": ("coverage", "higher", ".3f"),
    "classifier_score": ("classifier score", "higher", ".2f"),
    "sure_share": ("classifier is sure", "higher", ".1%"),
    "classes_found": ("classes found", "higher", ",d"),
    "class_divergence": ("classes, KL from uniform", "lower", ".4f"),
    "nearest_training": ("nearest training image", "not lower", ".2f"),
}


@dataclass(frozen=True)
class Evaluation:
    """How near one checkpoint's samples are to real images."""

    checkpoint: str
    digest: str
    step: int
    ema: bool
    data: str
    num_test_images: int
    test_images: str
    """What those are: "test images", "held-out images" or "training images"."""
    features: str
    """The name of the network that images were compared in."""
    figures: Figures
    floor: Figures
    """Figures of real images: hardly any can be better."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Evaluation:
        """Rebuild what `dataclasses.asdict` gave. Raises KeyError, TypeError or ValueError."""
        both: dict[str, Any] = {name: _figures(content[name]) for name in ("figures", "floor")}
        plain = {
            field.name: _typed(content[field.name], str(field.type))
            for field in dataclasses.fields(cls)
            if field.name not in both
        }
        return cls(**plain, **both)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return what a table shows: each figure's label, samples, real images, better is."""
        return [
            (
                label,
                format(getattr(self.figures, name), form),
                format(getattr(self.floor, name), form),
                better,
            )
            for name, (label, better, form) in _SHOWN.items()
            if getattr(self.figures, name) is not None
            and getattr(self.floor, name) is not None
            and (self.figures.class_shares or name != "sure_share")
        ]


def keep(evaluation: Evaluation, run: RunDirectory) -> None:
    """Write `evaluation` into its run's folder, before earlier ones. Raises RunError.

    An earlier one of the same samples and images is dropped.
    """

    def subject(one: Evaluation) -> object:
        return one.digest, one.ema, one.features, one.figures.num_samples, one.test_images

    earlier = [one for one in kept(run) if subject(one) != subject(evaluation)]
    run.write_evaluations([asdict(one) for one in [evaluation, *earlier][:_MAX_KEPT]])


def kept(run: RunDirectory) -> list[Evaluation]:
    """Return the evaluations in a run's folder, the newest first; none that is damaged."""
    found = []
    for content in run.read_evaluations()[:_MAX_KEPT]:
        try:
            found.append(Evaluation.from_dict(content))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def described(run: RunDirectory, digest: str) -> list[dict[str, Any]]:
    """Return the evaluations in a run's folder as JSON-like values.

    `current` says of each whether it is of the checkpoint whose digest is `digest`.
    """
    return [{**asdict(one), "current": one.digest == digest} for one in kept(run)]


def best_known(run: RunDirectory, digest: str) -> Evaluation | None:
    """Return the newest evaluation of the checkpoint whose digest is `digest`, else the newest."""
    found = kept(run)
    current = (one for one in found if one.digest == digest)
    return next(current, found[0] if found else None)


def _figures(content: Mapping[str, Any]) -> Figures:
    shares = [float(_typed(share, "float")) for share in content["class_shares"][: limits.CLASSES]]
    numbers = {
        field.name: _typed(content[field.name], str(field.type))
        for field in dataclasses.fields(Figures)
        if field.name != "class_shares"
    }
    return Figures(class_shares=shares, **numbers)


def _typed(value: Any, kind: str) -> Any:
    """Return `value` if it is of the type that an annotation names. Raises ValueError."""
    kinds: dict[str, tuple[type, ...]] = {
        "str": (str,), "bool": (bool,), "int": (int,), "float": (int, float),
    }  # fmt: skip
    name, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    is_bool = isinstance(value, bool) and name != "bool"
    if not isinstance(value, kinds[name]) or is_bool:
        raise ValueError(f"not {kind}")
    if isinstance(value, str) and len(value) > limits.NAME_CHARS:
        raise ValueError("too long")
    if isinstance(value, int | float) and not abs(value) < _MAX_COUNT:
        raise ValueError("not a figure")
    return value
