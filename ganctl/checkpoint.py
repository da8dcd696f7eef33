"""The schema of a checkpoint, and its conversion to and from bytes. Knows no paths or networks.

See docs/checkpoint.md. Reading trusts nothing: torch sees only what `archive` has checked, reads it
with its restricted unpickler, and the digest of all content is compared before anything is used.
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
from ganctl.history import COLUMNS, OPTIONAL, Row

FORMAT = "ganctl"
VERSION = 1
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""The function that turns a dict of each older version into one of the next version."""

_MAX_DEPTH = 16
_MAX_COUNT = 2**53
_BEFORE_RELEASE = "Checkpoints from before ganctl's first release cannot be read."

Weights = dict[str, Tensor]
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of Adam's moving averages of gradients and of their squares, as torch has them."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything needed to sample, to inspect, and to resume as if the run had never stopped."""

    config: TrainConfig
    step: int
    """Number of optimizer steps done so far."""
    generator: Weights
    generator_ema: Weights | None
    discriminator: Weights
    optimizer_g: dict[str, Weights]
    """Adam's `exp_avg` and `exp_avg_sq` by parameter name; its rates follow from the config."""
    optimizer_d: dict[str, Weights]
    history: list[Row]
    """One row per finished epoch, as in losses.csv."""
    partial: dict[str, Any]
    """Sums over the steps of the unfinished epoch."""
    data: dict[str, Any]
    """The images: name, num_images (trained on), image_shape, digest (of all), num_held_out,
    held_out_digest, and the names of the classes."""
    made_by: dict[str, Any] = field(default_factory=dict)
    """Versions, command line, date, device."""
    digest: str = ""
    """SHA-256 over all fields above, set by `decode`."""
    schema: int = VERSION
    """The file's own schema version, even if it was upgraded; set by `decode`."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch."""
        return self.config.steps_per_epoch(self.data["num_images"])

    @property
    def total_steps(self) -> int:
        """Planned number of steps of the run."""
        return self.config.total_steps(self.data["num_images"])

    @property
    def epoch(self) -> float:
        """Number of epochs done so far, with a fraction for an unfinished one."""
        return self.step / self.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached its planned length."""
        return self.step >= self.total_steps

    def lowest(self, metric: str) -> float | None:
        """Return the lowest value of a metric in all epochs; None if it was never measured."""
        return min((row[metric] for row in self.history if row[metric] is not None), default=None)


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the content of the checkpoint's `.pt` file. Its tensors may be on any device."""
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
    """Return the checkpoint in bytes or a file of unknown origin. Raises CheckpointError."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    content = _unpickle(archive.checked_archive(file))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(archive.FOREIGN)
    version: Any = content.get("version")
    _require(type(version) is int and version > 0, "it has no schema version")
    if version > VERSION:
        raise UnreadableError(
            f"was written by a newer ganctl (schema {version}; this one reads up to {VERSION})",
            "Upgrade with: pip install --upgrade ganctl",
        )
    _map_tensors(content, _require_own_kind)
    digest: Any = content.get("digest")
    is_intact = digest == content_digest(content)
    _require(is_intact, "its content does not match its digest", archive.DAMAGE_HINT)
    for older in range(version, VERSION):
        content = UPGRADES[older](content)
    return _from_content(content, digest, version)


def content_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 over a checkpoint's dict without its `digest`."""
    digest = hashlib.sha256()
    _update(digest, {key: value for key, value in content.items() if key != "digest"}, 0)
    return digest.hexdigest()


_FIELDS: dict[str, type] = {
    "step": int, "generator": dict, "generator_ema": dict, "discriminator": dict,
    "optimizer_g": dict, "optimizer_d": dict, "history": list, "partial": dict, "data": dict,
    "made_by": dict,
}  # fmt: skip


def _unpickle(file: IO[bytes]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(archive.NOT_PLAIN, archive.NOT_OPENED) from None
    except Exception:
        # Whatever torch fails on in a hostile file, the user needs one answer.
        raise CheckpointError(archive.ODD, archive.DAMAGE_HINT) from None


def _require(condition: bool, problem: str, hint: str | None = None) -> None:
    if not condition:
        raise CheckpointError(f"is damaged: {problem}", hint)


def _require_own_kind(tensor: Tensor) -> Tensor:
    is_ours = tensor.dtype in (torch.float32, torch.int64) and tensor.is_contiguous()
    _require(is_ours, "it holds a tensor that ganctl does not write")
    return tensor


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor], depth: int = 0) -> Any:
    _require(depth <= _MAX_DEPTH, "it is nested too deeply")
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        has_names = not any(isinstance(key, Tensor) for key in value)
        _require(has_names, "a tensor is where a name should be")
        return {key: _map_tensors(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_tensors(item, change, depth + 1) for item in value]
    return value


def _update(digest: Any, value: object, depth: int) -> None:
    """Hash a value unambiguously: its type, its length, its bytes."""
    _require(depth <= _MAX_DEPTH, "it is nested too deeply")
    if isinstance(value, Tensor):
        digest.update(f"T{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.numpy().reshape(-1).view("u1"))
    elif isinstance(value, dict):
        digest.update(f"D{len(value)}".encode())
        for key in sorted(value, key=repr):
            _update(digest, key, depth + 1)
            _update(digest, value[key], depth + 1)
    elif isinstance(value, list | tuple):
        digest.update(f"L{len(value)}".encode())
        for item in value:
            _update(digest, item, depth + 1)
    elif isinstance(value, float):
        digest.update(b"F" + struct.pack("<d", value))
    else:
        is_plain = value is None or isinstance(value, bool | int | str)
        _require(is_plain, "it holds more than tensors and plain values")
        text = f"{value}".encode(errors="surrogatepass")
        digest.update(f"{type(value).__name__}{len(text)}:".encode() + text)


def _from_content(content: dict[str, Any], digest: str, schema: int) -> Checkpoint:
    try:
        config = from_dict(content.get("config"))
    except UsageError as error:
        raise CheckpointError(
            f"has an invalid configuration: {error.message}", _BEFORE_RELEASE
        ) from None
    values: dict[str, Any] = {name: content.get(name) for name in _FIELDS}
    for name, kind in _FIELDS.items():
        is_optional = name == "generator_ema" and values[name] is None
        is_kind = type(values[name]) is kind or is_optional
        _require(is_kind, f"its '{name}' is missing or of the wrong type")
    _require(0 <= values["step"] < _MAX_COUNT, "its step is out of range")
    tables = [values[name] or {} for name in ("generator", "generator_ema", "discriminator")]
    for name in ("optimizer_g", "optimizer_d"):
        _require(set(values[name]) == set(MOMENTS), f"its '{name}' is not Adam's state")
        tables += values[name].values()
    for table in tables:
        is_table = isinstance(table, dict) and all(
            isinstance(key, str) and isinstance(item, Tensor) for key, item in table.items()
        )
        _require(is_table, "its weights are not tables of tensors")
    is_history = all(map(_is_row, values["history"]))
    _require(is_history, "its history is not a table of numbers", _BEFORE_RELEASE)
    _require(_is_data(values["data"]), "it does not describe its training images")
    is_made_by = all(
        type(key) is str and (type(value) is str or _is_number(value))
        for key, value in values["made_by"].items()
    )
    _require(is_made_by, "it does not say what made it")
    return Checkpoint(config=config, digest=digest, schema=schema, **values)


def _is_number(value: object) -> bool:
    # math.isfinite fails on an int that no float can hold
    return (type(value) is int and abs(value) < _MAX_COUNT) or (
        type(value) is float and math.isfinite(value)
    )


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == COLUMNS.keys()
        and all(
            _is_number(value) or (value is None and name in OPTIONAL) for name, value in row.items()
        )
    )


def _is_data(data: dict[Any, Any]) -> bool:
    shape, classes = data.get("image_shape"), data.get("classes")
    return (
        all(type(data.get(name)) is str for name in ("name", "digest", "held_out_digest"))
        and type(data.get("num_held_out")) is int
        and 0 <= data["num_held_out"] < _MAX_COUNT
        and type(data.get("num_images")) is int
        and 0 < data["num_images"] < _MAX_COUNT
        and isinstance(shape, list)
        and all(type(length) is int for length in shape)
        and isinstance(classes, list)
        and len(classes) <= MAX_CLASSES
        and all(type(name) is str and len(name) <= MAX_NAME for name in classes)
    )
