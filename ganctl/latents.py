"""Latents from seeds, and paths between latents; always on the CPU."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganctl import rng
from ganctl.rng import Stream

_MAX_RANDOM_SEED = 1_000_000
"""Random seeds are below this, so that they can be read and typed."""


def from_seeds(seeds: Iterable[int], latent_dim: int) -> Tensor:
    """Return one standard Gaussian latent per seed (0 to 2^32 - 1), float32 (N, latent_dim).

    Each row is a function of its own seed alone, the same under every later version of NumPy.
    """
    rows = [random.standard_normal(latent_dim) for random in rng.sample_generators(seeds)]
    return torch.from_numpy(np.asarray(rows, dtype=np.float32).reshape(-1, latent_dim))


def random_seeds(count: int, seed: int) -> list[int]:
    """Return `count` different random seeds, a function of `seed`; a longer list begins the same.

    >>> random_seeds(3, 7)
    [127240, 576084, 293526]
    """
    drawn = Stream.SEEDS.frozen_generator(seed=seed).permutation(_MAX_RANDOM_SEED)[:count]
    return [int(number) for number in drawn]


def draw(generator: np.random.Generator, count: int, latent_dim: int) -> Tensor:
    """Draw `count` standard Gaussian latents from `generator`, float32 (count, latent_dim)."""
    return torch.from_numpy(generator.standard_normal((count, latent_dim), dtype=np.float32))


def with_classes(latents: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return `latents`, (N, latent_dim), each with its class appended as a one-hot vector.

    `labels` are int64 (N,), 0 to num_classes - 1, on the same device.
    """
    return torch.cat([latents, functional.one_hot(labels, num_classes).to(latents.dtype)], 1)


def lerp(start: Tensor, end: Tensor, t: float) -> Tensor:
    """Return the point at t in [0, 1] on the line between two latents, (latent_dim,) each."""
    return (1 - t) * start + t * end


def slerp(start: Tensor, end: Tensor, t: float) -> Tensor:
    """Return the point at t in [0, 1] on the arc between two latents, (latent_dim,) each.

    Shoemake 1985: the direction follows the great circle. The length is interpolated linearly, so
    that both ends are met exactly. Falls back to `lerp` for parallel, opposite or zero latents,
    between which no arc is defined.
    """
    start_length, end_length = start.norm(), end.norm()
    cosine = torch.dot(start, end) / (start_length * end_length)
    if not bool(cosine.abs() < 1 - 1e-6):  # NaN for a zero latent
        return lerp(start, end, t)
    angle = torch.arccos(cosine)
    direction = (
        torch.sin((1 - t) * angle) * (start / start_length)
        + torch.sin(t * angle) * (end / end_length)
    ) / torch.sin(angle)
    point: Tensor = direction * lerp(start_length, end_length, t)
    return point


MODES = {"slerp": slerp, "lerp": lerp}
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "smooth": lambda t: t * t * (3 - 2 * t),
}
"""Position within a leg as a function of time, both 0 to 1; `smooth` eases in and out."""


def num_frames(num_keyframes: int, frames: int, *, loop: bool = False) -> int:
    """Return the number of frames in a walk whose legs take `frames` steps each.

    >>> num_frames(2, 6000), num_frames(2, 6000, loop=True)
    (6001, 12000)
    """
    return num_keyframes * frames if loop else (num_keyframes - 1) * frames + 1


def path(
    keyframes: Tensor,
    latent_dim: int,
    *,
    frames: int,
    mode: str = "slerp",
    ease: str = "linear",
    loop: bool = False,
) -> Tensor:
    """Return a walk through `keyframes`, (K, latent_dim + classes) with K >= 2, float32 (F, ...).

    Each of the K - 1 legs takes `frames` steps, so F = (K - 1) * frames + 1, and every keyframe is
    met exactly. With `loop` a last leg leads back to the first keyframe, which is not repeated:
    F = K * frames. Classes are interpolated linearly.
    """
    stops = [*keyframes, keyframes[0]] if loop else [*keyframes]
    leg = functools.partial(_leg, latent_dim=latent_dim, frames=frames, mode=mode, ease=ease)
    points = [point for start, end in itertools.pairwise(stops) for point in leg(start, end)[:-1]]
    return torch.stack(points if loop else [*points, stops[-1]])


def sheet(
    corners: Tensor, latent_dim: int, *, frames: int, mode: str = "slerp", ease: str = "linear"
) -> Tensor:
    """Return a square of latents between four corners, float32 ((frames + 1)^2, ...), row by row.

    `corners` are (4, latent_dim + classes): top left, top right, bottom left, bottom right. The
    upper and the lower edge are interpolated first, then the columns between them, so that corners
    and edges are met exactly.
    """
    top_left, top_right, bottom_left, bottom_right = corners
    leg = functools.partial(_leg, latent_dim=latent_dim, frames=frames, mode=mode, ease=ease)
    top, bottom = leg(top_left, top_right), leg(bottom_left, bottom_right)
    columns = [torch.stack(leg(upper, lower)) for upper, lower in zip(top, bottom, strict=True)]
    return torch.stack(columns, 1).flatten(0, 1)


def _leg(
    start: Tensor, end: Tensor, *, latent_dim: int, frames: int, mode: str, ease: str
) -> list[Tensor]:
    """Return `frames` + 1 points from `start` to `end`, both of which are met exactly."""

    def at(t: float) -> Tensor:
        latent = MODES[mode](start[:latent_dim], end[:latent_dim], t)
        return torch.cat([latent, lerp(start[latent_dim:], end[latent_dim:], t)])

    inner = (EASINGS[ease](frame / frames) for frame in range(1, frames))
    return [start, *map(at, inner), end]
