"""Mutations of a checkpoint's content: values, keys, weights."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mutants.base import Base, saved


def odd_values(rng: random.Random) -> list[Any]:
    ones = torch.ones(4)
    return [
        *(None, True, False, 0, -1, 1, 2, 3, 512, 4096, 255, 256, 10**9, 2**31, 2**53, 2**63 - 1),
        *(2**63, -(2**63), 10**30, 10**400, 0.0, -0.0, 1e-300, 1e308, 0.5, 1.0),
        *(float("nan"), float("inf"), -float("inf"), rng.random(), rng.getrandbits(32)),
        *("", "x", "\ud800", "\x1b[2J\x07\n", "ünï\0", "1", "fast", "dcgan", "bce", "a" * 10**5),
        *(
            [],
            {},
            [[]],
            [1, 2, 3],
            {"x": 1},
            {1: 2},
            {None: 1},
            {(1, 2): 3},
            (),
            (1, 2),
            [None] * 999,
        ),
        *({"a": {"b": {"c": [1, {}]}}}, {1, 2}, b"bytes", bytearray(3), 1j, range(3)),
        *(torch.float32, torch.device("cpu"), torch.Size([1]), np.float64(1.0), np.ones(2)),
        *(ones, ones.double(), ones.half(), ones.bfloat16(), ones.long(), ones.int(), ones.bool()),
        *(torch.tensor(1.0), torch.tensor(3), torch.empty(0), torch.empty(0, 5), ones.expand(3, 4)),
        *(
            torch.zeros(1).expand(10**12),
            torch.zeros(6, 6).T,
            ones[1:],
            ones[::2],
            ones.to_sparse(),
        ),
        *(torch.nn.Parameter(ones), ones.clone().requires_grad_(), ones.to("meta"), ones.chalf()),
        *(
            torch.full((4,), float("nan")),
            torch.full((4,), float("inf")),
            ones.reshape([1] * 9 + [4]),
        ),
    ]


def edits(base: Base, rng: random.Random, index: int) -> bytes:
    """Replace, remove, add, rename, swap and nest values at all levels."""
    content = base.content()
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(places_in(content))
        holder, key = rng.choice(places)
        other, another = rng.choice(places)
        value = rng.choice(odd_values(rng))
        match rng.randrange(9):
            case 0 | 1 | 2:
                holder[key] = value
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[rng.choice(["x", "version", "", 7, -1.5, None, "\ud800", "step"])] = value
            case 5 if isinstance(holder, dict):
                holder[rng.choice(["x", key, f"{key}.x", 7])] = holder.pop(key)
            case 6:
                holder[key], other[another] = other[another], holder[key]
            case 7:
                for _ in range(rng.choice([1, 5, 20, 200])):
                    holder[key] = rng.choice([[holder[key]], {"x": holder[key]}])
            case _:
                network = content.get("config")
                network = network.get("network") if isinstance(network, dict) else None
                if isinstance(network, dict):
                    sizes = ["base_channels", "latent_dim", "height", "width", "channels"]
                    network[rng.choice(sizes)] = rng.choice([1, 3, 8, 256, 512, 4096, 10**9, value])
    try:
        return saved(content)
    except (RecursionError, RuntimeError, TypeError, pickle.PicklingError):  # it swallowed itself
        return saved({"format": "ganctl"})


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_in(value[key])


def tensor_edits(base: Base, rng: random.Random, index: int) -> bytes:
    """Give weights other values, shapes, strides and types."""
    content = base.content()
    places = [place for place in places_in(content) if isinstance(place[0][place[1]], torch.Tensor)]
    for holder, key in rng.sample(places, rng.choice([1, 1, 2, len(places)])):
        tensor = holder[key]
        noise = torch.tensor(rng.choice([0.0, -0.0, float("nan"), float("inf"), 1e38, 1e-45]))
        holder[key] = rng.choice(
            [
                *(tensor + 1, tensor * 0, tensor.clone(), tensor[None], tensor.reshape(-1)),
                *(tensor.double(), tensor.half(), tensor.long(), tensor.float(), tensor.bool()),
                *(
                    tensor.mT if tensor.dim() > 1 else tensor,
                    tensor[:0] if tensor.dim() else tensor,
                ),
                *(noise.to(tensor.dtype).expand(tensor.shape), tensor.expand(2, *tensor.shape)),
                *(noise.expand(tensor.shape).clone(), tensor * -1, tensor.to(torch.float8_e5m2)),
                tensor.contiguous(memory_format=torch.channels_last)
                if tensor.dim() == 4
                else tensor,
            ]
        )
    return saved(content)
