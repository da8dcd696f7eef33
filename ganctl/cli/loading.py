"""A generator from a checkpoint, for the commands that draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import ganctl
from ganctl import store
from ganctl.classes import names_of
from ganctl.config import NetworkConfig, TrainConfig
from ganctl.errors import CheckpointError, UsageError
from ganctl.networks import generator_from

_MAX_BYTES = 2**30


@dataclass(frozen=True)
class Loaded:
    """A generator that is ready to sample, and where it came from."""

    path: Path
    generator: nn.Module
    network: NetworkConfig
    data: str
    """The name of what it was trained on."""
    classes: tuple[str, ...]
    """What its classes are called; none where it was told of none."""
    ema: bool
    digest: str
    step: int
    config: TrainConfig
    """What it was trained with."""

    def require_classes(self) -> tuple[str, ...]:
        """The names of its classes. Raises UsageError where it knows none."""
        if not self.classes:
            raise UsageError(
                f"{self.path} knows no classes",
                "Only a run with --conditional, on images that have classes, can be asked for one.",
            )
        return self.classes

    @property
    def text(self) -> dict[str, str]:
        """For a PNG's text chunks: which checkpoint, and which program, made the picture."""
        return {
            "Software": f"ganctl {ganctl.__version__}",
            "checkpoint": self.digest,
            "step": str(self.step),
            "weights": "ema" if self.ema else "generator",
        }


def load_generator(path: Path, ema: bool | None) -> Loaded:
    """The generator of the checkpoint or run at `path`; its moving average unless `ema` is False.

    Raises CheckpointError; UsageError where the average is asked for and there is none.
    """
    checkpoint = store.read_checkpoint(path)
    file = store.checkpoint_path(path)
    has_ema = checkpoint.generator_ema is not None
    if ema and not has_ema:
        raise UsageError(
            f"{file} has no moving average: preset '{checkpoint.config.preset}' keeps none",
            "Leave out --ema.",
        )
    weights = checkpoint.generator if ema is False else checkpoint.generator_ema
    network = checkpoint.config.network
    try:
        generator = generator_from(
            network, checkpoint.generator if weights is None else weights, torch.device("cpu")
        )
    except CheckpointError as error:
        raise store.named(error, file) from None
    return Loaded(
        path=file,
        generator=generator,
        network=network,
        data=checkpoint.data["name"],
        classes=names_of(network.num_classes, checkpoint.data["classes"]),
        ema=weights is not None and ema is not False,
        digest=checkpoint.digest,
        step=checkpoint.step,
        config=checkpoint.config,
    )


def require_room(count: int, network: NetworkConfig, upscale: int) -> None:
    """UsageError where `count` images, enlarged, are more than one file should hold."""
    size = count * network.channels * network.height * network.width * upscale**2
    if size > _MAX_BYTES:
        raise UsageError(
            f"{count} images enlarged {upscale} times are {size / 2**30:.1f} GiB of pixels, "
            f"more than the {_MAX_BYTES // 2**30} GiB that one file may hold",
            "Give fewer images or a smaller --upscale.",
        )
