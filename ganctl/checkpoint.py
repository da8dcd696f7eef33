"""The checkpoint's schema: state ↔ bytes. Knows no paths and no networks.

See docs/checkpoint.md. Reading trusts nothing: the archive is checked before torch opens it, torch
reads it with its restricted unpickler only, and a digest over all content is compared before
anything is used. CheckpointError messages begin with a verb: the caller puts the file's name first.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganctl.config import TrainConfig, from_dict, to_dict
from ganctl.errors import CheckpointError, UsageError

FORMAT = "ganctl"
VERSION = 2


def _add_diversity(content: dict[str, Any]) -> dict[str, Any]:
    """1 → 2: each epoch has a `diversity`, which is not known of earlier ones."""
    history = content.get("history")
    if not isinstance(history, list):
        return content
    rows = [{**row, "diversity": None} if isinstance(row, dict) else row for row in history]
    return {**content, "history": rows}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _add_diversity}
"""For each old version, the function that turns its dict into the next version's."""

HISTORY_COLUMNS = {
    *("epoch", "step", "images", "seconds", "elapsed_seconds", "images_per_sec"),
    *("g_loss", "d_loss", "d_real", "d_fake", "diversity"),
}
"""Every row of the history has these, all of them numbers; `diversity` can be None."""

_MAX_MEMBERS = 10_000
_MAX_DEPTH = 16
_MAX_TUPLES = 5_000
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
    """What the images were: name, num_images, image_shape, digest."""
    made_by: dict[str, Any] = field(default_factory=dict)
    """Versions, command line, date, device."""
    digest: str = ""
    """Set by `decode`: SHA-256 over all of the above."""


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


def decode(data: bytes) -> Checkpoint:
    """The inverse of `encode`, for bytes of unknown origin. Raises CheckpointError."""
    _check_archive(data)
    content = _unpickle(data)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError("is not a ganctl checkpoint: another program wrote this .pt file")
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise CheckpointError("is damaged: it has no schema version")
    if version > VERSION:
        raise CheckpointError(
            f"was written by a newer ganctl (schema {version}; this one reads up to {VERSION})",
            "Upgrade with: pip install --upgrade ganctl",
        )
    _check_tensors(content, limit=len(data))
    digest = content.get("digest")
    if digest != content_digest(content):
        raise CheckpointError("is damaged: its content does not match its digest", _DAMAGE_HINT)
    for old in range(version, VERSION):
        content = UPGRADES[old](content)
    return _from_content(content, digest)


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
_OPCODES = re.compile(
    "PROTO|MARK|STOP|EMPTY_(DICT|LIST|TUPLE)|TUPLE[123]?|APPENDS?|SETITEMS?|BINUNICODE|BININT[12]?"
    "|LONG1|BINFLOAT|NEWTRUE|NEWFALSE|NONE|(LONG_)?BIN(PUT|GET)|GLOBAL|BINPERSID|REDUCE|BUILD"
)
_GLOBALS = re.compile(
    r"torch \w+Storage|torch\._utils _rebuild_(tensor_v2|parameter)|collections OrderedDict"
)
_ODD = "is damaged, or not a ganctl checkpoint"
_NOT_PLAIN = "holds more than tensors and plain values, which a ganctl checkpoint never does"
_NOT_OPENED = "It was not opened: loading it could run code."
_DAMAGE_HINT = "Use an earlier checkpoint: a run directory keeps some as epoch-*.pt."


def _check_archive(data: bytes) -> None:
    """A whole, uncompressed zip archive, as torch.save writes, is all that torch gets to see."""
    if not data:
        raise CheckpointError("is empty")
    if not data.startswith(b"PK\x03\x04"):
        if data.startswith(b"\x89PNG"):
            raise CheckpointError("is a PNG picture, not a checkpoint")
        if data[:1] == b"\x80":
            raise CheckpointError(
                "is a bare pickle, not a ganctl checkpoint",
                "It was not opened: loading a pickle can run code.",
            )
        raise CheckpointError("is not a ganctl checkpoint")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.endswith("/data.pkl")]
            if (
                len(members) > _MAX_MEMBERS
                or len({member.filename for member in members}) != len(members)
                or any(member.compress_type != zipfile.ZIP_STORED for member in members)
                or sum(member.file_size for member in members) > len(data)
                or len(pickles) != 1
            ):
                raise CheckpointError("is not a ganctl checkpoint: its archive is not torch's own")
            damaged = archive.testzip()
            if damaged is None:
                _check_pickle(archive.read(pickles[0]))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, struct.error):
        raise CheckpointError("is cut short or damaged", _DAMAGE_HINT) from None
    if damaged is not None:
        raise CheckpointError(f"is damaged (in {damaged})", _DAMAGE_HINT)


def _check_pickle(program: bytes) -> None:
    """Only what torch.save writes for tensors and plain values, before anything is executed.

    A pickle is a program. Fetching a container that was made before would let a few hundred bytes
    describe a structure that takes days to walk or to hash; only strings and types are fetched.
    """
    fetchable: set[object] = set()
    tuples = 0  # hashing them, as keys of a dict, descends without a limit of its own
    before = ""
    try:
        for opcode, argument, _ in pickletools.genops(program):
            name = opcode.name
            known = _GLOBALS.fullmatch(str(argument)) if name == "GLOBAL" else True
            if not (_OPCODES.fullmatch(name) and known):
                raise CheckpointError(_NOT_PLAIN, _NOT_OPENED)
            if name in ("BINPUT", "LONG_BINPUT") and before in ("BINUNICODE", "GLOBAL"):
                fetchable.add(argument)
            elif name in ("BINGET", "LONG_BINGET") and argument not in fetchable:
                raise CheckpointError(f"{_ODD}: it holds one part twice")
            tuples += name.startswith("TUPLE")
            if tuples > _MAX_TUPLES:
                raise CheckpointError(f"{_ODD}: it has too many parts")
            before = name
    except ValueError:
        raise CheckpointError(_ODD, _DAMAGE_HINT) from None


def _unpickle(data: bytes) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(_NOT_PLAIN, _NOT_OPENED) from None
    except Exception:
        # Whatever torch stumbles over in a hostile file, the user needs one answer.
        raise CheckpointError(_ODD, _DAMAGE_HINT) from None
    return content


def _check_tensors(content: object, limit: int) -> None:
    """No tensor claims more memory than the file has bytes, by strides of 0 for example."""

    def check(tensor: Tensor) -> Tensor:
        if (
            type(tensor) is not Tensor
            or tensor.dtype not in (torch.float32, torch.int64)
            or tensor.requires_grad
            or tensor.is_neg()
            or tensor.device.type != "cpu"
            or tensor.layout is not torch.strided
            or not tensor.is_contiguous()
            or tensor.numel() * tensor.element_size() > limit
        ):
            raise CheckpointError("is damaged: it holds a tensor that ganctl does not write")
        return tensor

    _map_tensors(content, check)


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor], depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise CheckpointError("is damaged: it is nested too deeply")
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
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


def _from_content(content: dict[str, Any], digest: str) -> Checkpoint:
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
    return Checkpoint(config=config, digest=digest, **values)


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
                number(value) or (name == "diversity" and value is None)
                for name, value in row.items()
            )
        ):
            raise CheckpointError("is damaged: its history is not a table of numbers")
    data = values["data"]
    shape = data.get("image_shape")
    if not (
        all(type(data.get(name)) is str for name in ("name", "digest"))
        and type(data.get("num_images")) is int
        and 0 < data["num_images"] < _MAX_COUNT
        and isinstance(shape, list)
        and all(type(length) is int for length in shape)
    ):
        raise CheckpointError("is damaged: it does not say what its images were")
    for key, value in values["made_by"].items():
        if type(key) is not str or not (type(value) is str or number(value)):
            raise CheckpointError("is damaged: it does not say what made it")
