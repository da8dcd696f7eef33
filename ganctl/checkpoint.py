"""The checkpoint's schema: state ↔ bytes. Knows no paths and no networks.

See docs/checkpoint.md. Reading trusts nothing: torch sees only what `archive` has checked, reads it
with its restricted unpickler, and a digest over all content is compared before anything is used.
CheckpointError messages begin with a verb: the caller puts the file's name first.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import torch
from torch import Tensor

from ganctl import archive
from ganctl.classes import MAX_CLASSES, MAX_NAME
from ganctl.config.schema import TrainConfig, from_dict, to_dict
from ganctl.errors import CheckpointError, UnreadableError, UsageError

FORMAT = "ganctl"
VERSION = 7


def _add_diversity(content: dict[str, Any]) -> dict[str, Any]:
    """1 → 2: each epoch has a `diversity`, which is not known of earlier ones."""
    history = content.get("history")
    if not isinstance(history, list):
        return content
    rows = [{**row, "diversity": None} if isinstance(row, dict) else row for row in history]
    return {**content, "history": rows}


def _add_figures(content: dict[str, Any]) -> dict[str, Any]:
    """2 → 3: each epoch has figures of quality, and the config says on how many samples."""
    config, history = content.get("config"), content.get("history")
    if not isinstance(config, dict) or not isinstance(history, list):
        return content
    unknown = dict.fromkeys(FIGURES)
    rows = [{**row, **unknown} if isinstance(row, dict) else row for row in history]
    return {**content, "config": {"eval_samples": 1000, **config}, "history": rows}


def _add_classes(content: dict[str, Any]) -> dict[str, Any]:
    """3 → 4: networks may know classes; until then the generator of `fast` had a layer less."""
    config = content.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("network"), dict):
        return content
    network = {"num_classes": 0, "refine": False, **config["network"]}
    return {**content, "config": {"conditional": False, **config, "network": network}}


def _add_threads(content: dict[str, Any]) -> dict[str, Any]:
    """4 → 5: the config says how many threads; until then it was as many as torch took."""
    config = content.get("config")
    if not isinstance(config, dict):
        return content
    return {**content, "config": {"threads": None, **config}}


def _add_images(content: dict[str, Any]) -> dict[str, Any]:
    """5 → 6: images of one's own, of any size, and names of classes; until then two stages."""
    config, data = content.get("config"), content.get("data")
    if not isinstance(config, dict) or not isinstance(data, dict):
        return content
    network = config.get("network")
    if not isinstance(network, dict):
        return content
    count = network.get("num_classes", 0)
    known = type(count) is int and 0 <= count <= MAX_CLASSES
    classes = [str(label) for label in range(count)] if known else []
    unset = {"image_size": None, "image_channels": None, "fit": "crop", "background": "white",
             "skip_bad": False, "mirror": False, "augment": "none", "accumulate": 1,
             "compile": False}  # fmt: skip
    config = {**unset, **config, "network": {"stages": 2, **network}}
    return {**content, "config": config, "data": {"classes": classes, **data}}


def _add_image_key(content: dict[str, Any]) -> dict[str, Any]:
    """6 → 7: the config says which image of a tar's samples is used; until then it was chosen."""
    config = content.get("config")
    if not isinstance(config, dict):
        return content
    return {**content, "config": {"image_key": None, **config}}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _add_diversity,
    2: _add_figures,
    3: _add_classes,
    4: _add_threads,
    5: _add_images,
    6: _add_image_key,
}
"""For each old version, the function that turns its dict into the next version's."""

FIGURES = (
    *("frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage"),
    *("classifier_score", "sure_share", "smallest_class", "largest_class"),
)
"""How near an epoch's samples are to real images; None where that was not measured."""
HISTORY_COLUMNS = {
    *("epoch", "step", "images", "seconds", "elapsed_seconds", "images_per_sec"),
    *("g_loss", "d_loss", "d_real", "d_fake", "diversity", *FIGURES),
}
"""Every row of the history has these, all of them numbers, or None in some:"""
_CAN_BE_NONE = {"diversity", *FIGURES}

_MAX_DEPTH = 16
_MAX_COUNT = 2**53

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that is needed to sample, to look inside, and to go on as if never stopped."""

    config: TrainConfig
    step: int
    """Updates done so far."""
    generator: Weights
    generator_ema: Weights | None
    discriminator: Weights
    optimizer_g: dict[str, Weights]
    """Adam's `exp_avg` and `exp_avg_sq` by parameter name; its rates follow from the config."""
    optimizer_d: dict[str, Weights]
    history: list[dict[str, Any]]
    """One row a finished epoch, as in losses.csv."""
    partial: dict[str, Any]
    """Sums over the steps of the epoch that is under way."""
    data: dict[str, Any]
    """What the images were: name, num_images, image_shape, digest, and their classes' names."""
    made_by: dict[str, Any] = field(default_factory=dict)
    """Versions, command line, date, device."""
    digest: str = ""
    """Set by `decode`: SHA-256 over all of the above."""
    schema: int = VERSION
    """Set by `decode`: the file's own version, be it one that was upgraded."""


def encode(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as a `.pt` file's content. Tensors are taken as they are, from any device."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "config": to_dict(checkpoint.config),
        **{name: getattr(checkpoint, name) for name in _FIELDS},
    }
    content = _map_tensors(content, lambda tensor: tensor.detach().cpu().contiguous().clone())
    content["digest"] = content_digest(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def decode(source: bytes | IO[bytes]) -> Checkpoint:
    """The inverse of `encode`, for bytes or a file of unknown origin. Raises CheckpointError."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    content = _unpickle(archive.vetted(file))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(archive.FOREIGN)
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise CheckpointError("is damaged: it has no schema version")
    if version > VERSION:
        raise UnreadableError(
            f"was written by a newer ganctl (schema {version}; this one reads up to {VERSION})",
            "Upgrade with: pip install --upgrade ganctl",
        )
    _map_tensors(content, _checked)
    digest = content.get("digest")
    if digest != content_digest(content):
        raise CheckpointError(
            "is damaged: its content does not match its digest", archive.DAMAGE_HINT
        )
    for old in range(version, VERSION):
        content = UPGRADES[old](content)
    return _from_content(content, digest, version)


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 over a checkpoint's dict, except its own `digest`."""
    digest = hashlib.sha256()
    _feed(digest, {key: value for key, value in content.items() if key != "digest"}, 0)
    return digest.hexdigest()


_FIELDS: dict[str, type] = {
    "step": int,
    "generator": dict,
    "generator_ema": dict,
    "discriminator": dict,
    "optimizer_g": dict,
    "optimizer_d": dict,
    "history": list,
    "partial": dict,
    "data": dict,
    "made_by": dict,
}
_WEIGHTS = ("generator", "generator_ema", "discriminator")
_OPTIMIZERS = ("optimizer_g", "optimizer_d")
_MOMENTS = {"exp_avg", "exp_avg_sq"}


def _unpickle(file: IO[bytes]) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: object = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(archive.NOT_PLAIN, archive.NOT_OPENED) from None
    except Exception:
        # Whatever torch stumbles over in a hostile file, the user needs one answer.
        raise CheckpointError(archive.ODD, archive.DAMAGE_HINT) from None
    return content


def _checked(tensor: Tensor) -> Tensor:
    if tensor.dtype not in (torch.float32, torch.int64) or not tensor.is_contiguous():
        raise CheckpointError("is damaged: it holds a tensor that ganctl does not write")
    return tensor


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor], depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise CheckpointError("is damaged: it is nested too deeply")
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        if any(isinstance(key, Tensor) for key in value):
            raise CheckpointError("is damaged: a tensor is where a name should be")
        return {key: _map_tensors(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_tensors(item, change, depth + 1) for item in value]
    return value


def _feed(digest: Any, value: object, depth: int) -> None:
    """Hash a value unambiguously: a tag of its type, its length, its bytes."""
    if depth > _MAX_DEPTH:
        raise CheckpointError("is damaged: it is nested too deeply")
    if isinstance(value, Tensor):
        data = value.numpy()
        digest.update(f"T{value.dtype}{tuple(value.shape)}".encode())
        digest.update(data.reshape(-1).view("u1"))
    elif isinstance(value, dict):
        digest.update(f"D{len(value)}".encode())
        for key in sorted(value, key=repr):
            _feed(digest, key, depth + 1)
            _feed(digest, value[key], depth + 1)
    elif isinstance(value, list | tuple):
        digest.update(f"L{len(value)}".encode())
        for item in value:
            _feed(digest, item, depth + 1)
    elif isinstance(value, float):
        digest.update(b"F" + struct.pack("<d", value))
    elif value is None or isinstance(value, bool | int | str):
        text = f"{value}".encode(errors="surrogatepass")
        digest.update(f"{type(value).__name__}{len(text)}:".encode() + text)
    else:
        raise CheckpointError("is damaged: it holds more than tensors and plain values")


def _from_content(content: dict[str, Any], digest: str, schema: int) -> Checkpoint:
    try:
        config = from_dict(content.get("config"))
    except UsageError as error:
        raise CheckpointError(f"has a configuration that cannot be: {error.message}") from None
    values: dict[str, Any] = {name: content.get(name) for name in _FIELDS}
    for name, kind in _FIELDS.items():
        value = values[name]
        if not (type(value) is kind or (name == "generator_ema" and value is None)):
            raise CheckpointError(f"is damaged: its '{name}' is missing or of the wrong kind")
    if not 0 <= values["step"] < _MAX_COUNT:
        raise CheckpointError("is damaged: its step cannot be")
    weights = [values[name] for name in _WEIGHTS if values[name] is not None]
    for name in _OPTIMIZERS:
        if set(values[name]) != _MOMENTS:
            raise CheckpointError(f"is damaged: its '{name}' is not Adam's state")
        weights += values[name].values()
    for table in weights:
        if not isinstance(table, dict) or not all(
            isinstance(key, str) and isinstance(item, Tensor) for key, item in table.items()
        ):
            raise CheckpointError("is damaged: its weights are not tables of tensors")
    _check_plain(values)
    return Checkpoint(config=config, digest=digest, schema=schema, **values)


def _check_plain(values: dict[str, Any]) -> None:
    """The parts that are shown or computed with, down to each value's type."""

    def number(value: object) -> bool:
        # math.isfinite fails on an int that no float can hold
        return (type(value) is int and abs(value) < _MAX_COUNT) or (
            type(value) is float and math.isfinite(value)
        )

    for row in values["history"]:
        if (
            not isinstance(row, dict)
            or row.keys() != HISTORY_COLUMNS
            or not all(
                number(value) or (value is None and name in _CAN_BE_NONE)
                for name, value in row.items()
            )
        ):
            raise CheckpointError("is damaged: its history is not a table of numbers")
    data = values["data"]
    shape, classes = data.get("image_shape"), data.get("classes")
    if not (
        all(type(data.get(name)) is str for name in ("name", "digest"))
        and type(data.get("num_images")) is int
        and 0 < data["num_images"] < _MAX_COUNT
        and isinstance(shape, list)
        and all(type(length) is int for length in shape)
        and isinstance(classes, list)
        and len(classes) <= MAX_CLASSES
        and all(type(name) is str and len(name) <= MAX_NAME for name in classes)
    ):
        raise CheckpointError("is damaged: it does not say what its images were")
    for key, value in values["made_by"].items():
        if type(key) is not str or not (type(value) is str or number(value)):
            raise CheckpointError("is damaged: it does not say what made it")
