"""Generators as .safetensors files: the weights, and in the header what rebuilds and names them.

    content = encode(ExportedGenerator(...))    # the bytes of a file
    read("digits.safetensors")                  # checked: an ExportedGenerator

The header's metadata have one entry, `ganctl`, with a JSON object, which docs/use-it.md describes:
of several, safetensors would write the order at random. CheckpointError messages begin with a verb:
the caller puts the file's name first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ganctl import limits, machine
from ganctl.checkpoint import Weights, content_digest
from ganctl.classes import names_of
from ganctl.config.schema import TrainConfig, from_dict, to_dict
from ganctl.errors import CheckpointError, UnreadableError, UsageError
from ganctl.networks import build_generator, check_weights

SUFFIX = ".safetensors"
_SCHEMA = 1
_FOREIGN = "is not a generator that ganctl exported"
_DAMAGED = "is cut short or damaged"
_EXPORT_AGAIN = "Export it again, with 'ganctl export'."
_COPIES = 3
"""Copies of the weights in memory while they are read."""
_TYPES = {"F32": torch.float32, "I64": torch.int64}
_DATA = ("name", "digest", "held_out_digest")
_DIGEST = re.compile("[0-9a-f]{64}")
_KEY = "ganctl"


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedGenerator:
    """A generator as such a file holds it."""

    config: TrainConfig
    """The settings that it was trained with."""
    weights: Weights
    is_average: bool
    """Whether the weights are the moving average."""
    data: Mapping[str, str]
    """The images: name, digest (of all), held_out_digest."""
    classes: tuple[str, ...]
    """The names of its classes; none if it is unconditional."""
    checkpoint: str
    """Digest of the checkpoint that it comes from."""
    step: int
    ganctl: str
    """The version of ganctl that exported it."""
    command: str | None = None
    """The command that exported it; None if Python code did."""
    digest: str = ""
    """SHA-256 over the header and the weights, set by `read`."""


def encode(generator: ExportedGenerator) -> bytes:
    """Return the content of a `.safetensors` file. The tensors may be on any device."""
    weights = {name: each.detach().cpu().contiguous() for name, each in generator.weights.items()}
    known = _header(generator)
    known["digest"] = _digest(known, weights)
    return safetensors.torch.save(weights, {_KEY: json.dumps(known)})


def read(path: Path) -> ExportedGenerator:
    """Return the generator in the file `path`, which is of unknown origin.

    Raises CheckpointError unless the file is whole, its weights fit its configuration and are
    finite, and its digest is right.
    """
    _require_plausible(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            generator = _from_header(_parsed(file.metadata()))
            expected = build_generator(generator.config.network).state_dict()
            check_weights(expected, _on_meta(file, expected))
            weights = {name: file.get_tensor(name).clone() for name in expected}
    except CheckpointError:
        raise
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    except Exception:  # whatever the library fails on in a hostile file
        raise CheckpointError(_DAMAGED, _EXPORT_AGAIN) from None
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"cannot be drawn from: '{name}' holds NaN or infinity")
    if generator.digest != _digest(_header(generator), weights):
        raise CheckpointError("is damaged: its content does not match its digest", _EXPORT_AGAIN)
    return replace(generator, weights=weights)


def _header(generator: ExportedGenerator) -> dict[str, Any]:
    """Return the header's JSON object without the digest."""
    network = generator.config.network
    command = {} if generator.command is None else {"command": generator.command}
    return {
        "ganctl": generator.ganctl,
        "schema": _SCHEMA,
        "checkpoint": generator.checkpoint,
        "step": generator.step,
        "weights": "ema" if generator.is_average else "generator",
        "image_shape": network.image_shape,
        "latent_dim": network.latent_dim,
        "classes": generator.classes,
        "data": {name: generator.data[name] for name in _DATA},
        "config": to_dict(generator.config),
        **command,
    }


def _digest(known: Mapping[str, Any], weights: Weights) -> str:
    return content_digest({**known, "tensors": weights})


def _require_plausible(path: Path) -> None:
    """Raise CheckpointError for a file whose header or content is larger than ganctl writes."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if not size:
        raise CheckpointError("is empty")
    if len(start) < 9 or start[8:] != b"{":
        raise CheckpointError("is not a safetensors file")
    header = int.from_bytes(start[:8], "little")
    if header > limits.GENERATOR_HEADER_BYTES or size > limits.CHECKPOINT_BYTES:
        raise CheckpointError(f"{_FOREIGN}: it is larger than any of them")
    if header > size - 8:
        raise CheckpointError(_DAMAGED, _EXPORT_AGAIN)
    machine.require_memory(_COPIES * size, f"reading {path}")


def _parsed(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the header's JSON object. Raises CheckpointError."""
    if metadata is None or _KEY not in metadata:
        raise CheckpointError(
            f"{_FOREIGN}: another program wrote this file",
            f"It needs the entry '{_KEY}' in its header that 'ganctl export' writes.",
        )
    try:
        known: Any = json.loads(metadata[_KEY])
    except (ValueError, RecursionError):
        known = None
    _require(isinstance(known, dict), _KEY)
    return dict(known)


def _from_header(known: Mapping[str, Any]) -> ExportedGenerator:
    """Return what the header says, still without weights. Raises CheckpointError."""
    schema: Any = known.get("schema")
    _require(_is_count(schema), "schema")
    if schema > _SCHEMA:
        raise UnreadableError(
            f"was written by a newer ganctl (schema {schema}; this one reads up to {_SCHEMA})",
            "Upgrade with: pip install --upgrade ganctl",
        )
    try:
        config = from_dict(known.get("config"))
    except UsageError as error:
        raise CheckpointError(f"has an invalid configuration: {error.message}") from None
    names = ("data", "classes", "weights", "checkpoint", "ganctl")
    found: tuple[Any, ...] = tuple(map(known.get, names))
    data, classes, weights, checkpoint, version = found
    _require(isinstance(data, dict) and all(type(data.get(n)) is str for n in _DATA), "data")
    _require(isinstance(classes, list) and all(type(n) is str for n in classes), "classes")
    _require(len(classes) == config.network.num_classes, "classes")
    _require(weights in ("ema", "generator"), "weights")
    _require(type(checkpoint) is str and bool(_DIGEST.fullmatch(checkpoint)), "checkpoint")
    _require(_is_count(known.get("step")), "step")
    _require(type(version) is str, "ganctl")
    command: Any = known.get("command")
    _require(command is None or type(command) is str, "command")
    return ExportedGenerator(
        config=config, weights={}, is_average=weights == "ema",
        data={name: data[name] for name in _DATA},
        classes=names_of(config.network.num_classes, classes), checkpoint=checkpoint,
        step=known["step"], ganctl=version, digest=str(known.get("digest")),
        command=command,
    )  # fmt: skip


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise CheckpointError(f"is damaged: '{name}' in its header is missing or wrong")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _on_meta(file: Any, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names, shapes and types of a file's tensors, without their content."""
    found = {}
    for name in file.keys():  # noqa: SIM118
        shape, kind = [0], "F32"
        if name in expected:
            tensor = file.get_slice(name)
            shape, kind = tensor.get_shape(), tensor.get_dtype()
        if kind not in _TYPES:
            raise CheckpointError(f"does not fit its own configuration: '{name}' is {kind}")
        found[name] = torch.empty(shape, dtype=_TYPES[kind], device="meta")
    return found
