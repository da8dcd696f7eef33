"""The honest files that are mutated, and mutations that ignore what a file means."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import torch

from ganctl.checkpoint import Checkpoint
from ganctl.config import presets, schema
from ganctl.history import COLUMNS
from ganctl.training.state import create

CPU = torch.device("cpu")


def original(preset: str) -> Checkpoint:
    """Return a checkpoint of the smallest possible networks."""
    small = {"base_channels": 1, "latent_dim": 2, "batch_size": 2}
    config = schema.override(presets.preset(preset), small | {"height": 8, "width": 8})
    state = create(config, CPU)
    row = dict.fromkeys(sorted(COLUMNS), 0.5) | {"epoch": 1, "step": 3, "images": 40}
    return Checkpoint(
        config=config,
        step=3,
        history=[row],
        partial={"sums": [0.5] * 4, "steps": 1, "images": 16, "seconds": 0.25},
        data={
            "name": "m",
            "num_images": 40,
            "image_shape": [1, 8, 8],
            "digest": "0",
            "num_held_out": 0,
            "held_out_digest": "",
            "classes": ["a", "b"],
        },
        made_by={"ganctl": "0", "device": "cpu", "number": 1},
        **state.weights(),
        **state.moments(),
    )


@dataclass(frozen=True)
class Base:
    """An original as bytes, as a dict, and as the members of its archive."""

    data: bytes

    def content(self) -> dict[str, Any]:
        return torch.load(io.BytesIO(self.data), weights_only=True)

    def members(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def with_program(self, program: bytes, **more: bytes) -> bytes:
        """Return the archive with another pickle and the bytes of more tensors."""
        extra = {f"archive/data/{key.lstrip('_')}": value for key, value in more.items()}
        return zipped({**self.members(), **extra, "archive/data.pkl": program})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, buffer)
    return buffer.getvalue()


def truncation(base: Base, rng: random.Random, index: int) -> bytes:
    return base.data[: index % len(base.data)]


def bit_flips(base: Base, rng: random.Random, index: int) -> bytes:
    data = bytearray(base.data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8, 100])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def byte_runs(base: Base, rng: random.Random, index: int) -> bytes:
    """Overwrite, insert, remove, double or move runs of bytes."""
    data = base.data
    start, length = rng.randrange(len(data)), rng.choice([1, 2, 4, 8, 64, 512, 4096])
    run, rest = data[start : start + length], data[start + length :]
    noise = rng.choice([rng.randbytes(len(run)), bytes(len(run)), b"\xff" * len(run)])
    where = rng.randrange(len(data))
    return rng.choice(
        [
            data[:start] + noise + rest,
            data[:start] + noise + data[start:],
            data[:start] + rest,
            data[:start] + run + run + rest,
            data[:where] + run + data[where + len(run) :],
            data[start:],
        ]
    )
