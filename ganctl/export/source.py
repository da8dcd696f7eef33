"""A generator that is exported, and the form in which other programs call it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganctl.config.schema import NetworkConfig, TrainConfig
from ganctl.images import to_bytes
from ganctl.latents_file import Latents

OUTPUT = "images"


@dataclass(frozen=True, eq=False)
class Source:
    """A generator that is exported, and what the file says about it."""

    generator: nn.Module
    config: TrainConfig
    classes: Sequence[str]
    """The names of its classes; none if it is unconditional."""
    origin: Mapping[str, str]
    """Where it comes from: ganctl's version, the checkpoint's digest, the step, which weights, and
    the command if there was one."""
    data: Mapping[str, str]
    """The dataset it was trained on: name, digest, held_out_digest."""
    uint8: bool = False
    """Whether images are uint8 (N, H, W, C) instead of float32 (N, C, H, W) in [-1, 1]."""
    latents: Latents | None = None
    """The latents that a page shows, with their classes if there are any; None for seeds."""

    @property
    def network(self) -> NetworkConfig:
        """The shapes of its images and latents."""
        return self.config.network

    @property
    def num_bytes(self) -> int:
        """Size of its weights."""
        return sum(tensor.nbytes for tensor in self.generator.state_dict().values())

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs: `latents` and, with classes, `classes`."""
        return ("latents", "classes") if self.classes else ("latents",)

    @property
    def provenance(self) -> dict[str, str]:
        """Text for the file: where the generator comes from, and its shapes. Lists are JSON."""
        return {
            **self.origin,
            "image_shape": json.dumps(self.network.image_shape),
            "latent_dim": str(self.network.latent_dim),
            "classes": json.dumps(list(self.classes)),
        }

    @property
    def metadata(self) -> dict[str, str]:
        """Text for a program: its provenance, and what it returns."""
        return {
            **self.provenance,
            "output": "uint8 (N, H, W, C)" if self.uint8 else "float32 (N, C, H, W) in [-1, 1]",
        }

    def module(self) -> nn.Module:
        """Return a module in eval mode whose arguments are the `inputs`."""
        return _Callable(self.generator, self.network.num_classes, self.uint8).eval()

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs of the right types for a batch of two."""
        points = torch.zeros(2, self.network.latent_dim)
        return (points, torch.zeros(2, dtype=torch.int64)) if self.classes else (points,)


class _Callable(nn.Module):
    """Latents (N, latent_dim) and classes (N,) → images."""

    one_hot: Tensor
    """The rows are classes: a number that none has is an error, as it is not for one_hot()."""

    def __init__(self, generator: nn.Module, num_classes: int, uint8: bool) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("one_hot", torch.eye(num_classes))
        self._uint8 = uint8

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is not None:
            points = torch.cat([points, self.one_hot.index_select(0, labels)], 1)
        images: Tensor = self.generator(points)
        return to_bytes(images) if self._uint8 else images.contiguous()
