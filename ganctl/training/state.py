"""The state of a training run: everything that a step changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganctl.checkpoint import Checkpoint, Weights
from ganctl.config.schema import TrainConfig
from ganctl.distributed.batchnorm import synchronized
from ganctl.distributed.group import SINGLE, Group
from ganctl.errors import CheckpointError, UsageError
from ganctl.history import Row
from ganctl.networks import (
    build_discriminator,
    build_feature_maps,
    build_generator,
    check_weights,
    first_layers,
    meta_networks,
)
from ganctl.rng import Stream
from ganctl.training.adam import Adam
from ganctl.training.schedules import Scheduled, scheduled
from ganctl.training.workers import Workers, num_workers

_OTHER_VERSION = (
    "Another version of ganctl wrote it, or it was changed. "
    "ganctl sample and evaluate need its generator alone."
)


@dataclass
class TrainState:
    """Both networks, the generator's moving average, both optimizers, and their step."""

    config: TrainConfig
    device: torch.device
    generator: nn.Module
    ema: nn.Module | None
    """Moving average of the generator."""
    discriminator: nn.Module
    optimizer_g: Adam
    optimizer_d: Adam
    step: int = 0
    """Number of steps done."""
    group: Group = SINGLE
    """The processes that train it, each with a copy of the state."""
    workers: Workers = field(default_factory=lambda: Workers(1))
    """The threads of this process that each compute a part of its share of a batch."""
    feature_maps: nn.Module | None = None
    """A frozen network whose maps of an image the discriminator also judges; in no checkpoint."""

    prescribed: Scheduled | None = None
    """Rates and decay as tensors, where steps are replayed; None if they follow from the step."""

    def __post_init__(self) -> None:
        prepare: Callable[..., Any] = torch.compile if self.config.compile else lambda n: n
        self.generate: nn.Module = prepare(self.generator)
        """The generator as steps call it."""
        self.judge: nn.Module = prepare(self.discriminator)
        """The discriminator as steps call it, except to differentiate it twice, which torch cannot
        compile."""

    @property
    def sampler(self) -> nn.Module:
        """The network that samples are drawn from."""
        return self.generator if self.ema is None else self.ema

    def autocast(self) -> torch.autocast:
        """Return a context in which networks run in the configured precision."""
        bf16 = self.config.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def scheduled(self) -> Scheduled:
        """Return the learning rates and the moving average's weight of the present step."""
        return self.prescribed or scheduled(self.config, self.step)

    def update_generator(self, gradients: Sequence[Tensor]) -> None:
        """Take one step of the generator's optimizer."""
        self.optimizer_g.step(gradients, self.scheduled().lr_g)

    def update_discriminator(self, gradients: Sequence[Tensor]) -> None:
        """Take one step of the discriminator's optimizer."""
        self.optimizer_d.step(gradients, self.scheduled().lr_d)

    def weights(self) -> dict[str, Weights | None]:
        """Return the networks' weights by their names in a checkpoint, without a copy."""
        return {
            "generator": dict(self.generator.state_dict()),
            "generator_ema": None if self.ema is None else dict(self.ema.state_dict()),
            "discriminator": dict(self.discriminator.state_dict()),
        }

    def moments(self) -> dict[str, dict[str, Weights]]:
        """Return Adam's moving averages by their names in a checkpoint, without a copy."""
        return {
            "optimizer_g": self.optimizer_g.moments,
            "optimizer_d": self.optimizer_d.moments,
        }

    def checkpoint(
        self,
        *,
        history: list[Row],
        partial: dict[str, Any],
        data: dict[str, Any],
        made_by: dict[str, Any],
    ) -> Checkpoint:
        """Return a checkpoint of the state and the arguments; tensors are not copied."""
        return Checkpoint(
            config=self.config, step=self.step,
            history=history, partial=partial, data=data, made_by=made_by,
            **self.weights(), **self.moments(),  # type: ignore[arg-type]
        )  # fmt: skip

    def counters(self) -> list[Tensor]:
        """Return the optimizers' own counts of steps, which follow from `step`."""
        return [*self.optimizer_g.steps, *self.optimizer_d.steps]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor of the state with its name."""
        for network, weights in self.weights().items():
            yield from ((f"{network} {name}", tensor) for name, tensor in (weights or {}).items())
        for optimizer, moments in self.moments().items():
            for moment, weights in moments.items():
                yield from ((f"{optimizer} {moment} {name}", t) for name, t in weights.items())


def create(config: TrainConfig, device: torch.device, group: Group = SINGLE) -> TrainState:
    """Return the state before the first step; its weights are a function of the config's seed.

    Raises UsageError if more layers are frozen than there are, and PackageError or DataError if the
    feature maps' weights cannot be read.
    """
    seeds = Stream.WEIGHTS.sequence(seed=config.seed).generate_state(2, np.uint64)
    rng_g, rng_d = (torch.Generator().manual_seed(int(seed >> 1)) for seed in seeds)
    generator = build_generator(config.network, rng_g).to(device)
    discriminator = build_discriminator(config.network, rng_d).to(device)
    frozen = first_layers(config.network, config.freeze_d)
    for name, parameter in discriminator.named_parameters():
        parameter.requires_grad_(name not in frozen)
    if group.size > 1:
        generator = synchronized(generator, group)
    ema = None
    if config.ema_images:
        ema = build_generator(config.network, torch.Generator()).to(device)
        ema.load_state_dict(generator.state_dict())
        ema.eval().requires_grad_(False)
    betas = (config.beta1, config.beta2)
    return TrainState(
        config=config,
        device=device,
        generator=generator,
        ema=ema,
        discriminator=discriminator,
        optimizer_g=Adam(generator, betas),
        optimizer_d=Adam(discriminator, betas),
        group=group,
        workers=Workers(num_workers(config, group.local_size)),
        feature_maps=build_feature_maps(config.network, device),
    )


def restore(
    checkpoint: Checkpoint, config: TrainConfig, device: torch.device, group: Group = SINGLE
) -> TrainState:
    """Return the state that `checkpoint` holds, bit for bit.

    `config` is that of the checkpoint, except for the length of the run. Raises CheckpointError if
    the weights do not fit the networks, and what `create` raises.
    """
    require_fit(checkpoint)
    state = create(config, device, group)
    for network, weights in (
        (state.generator, checkpoint.generator),
        (state.ema, checkpoint.generator_ema),
        (state.discriminator, checkpoint.discriminator),
    ):
        if network is not None:
            network.load_state_dict(weights or {})
    state.optimizer_g.restore(checkpoint.optimizer_g, checkpoint.step)
    state.optimizer_d.restore(checkpoint.optimizer_d, checkpoint.step)
    state.step = checkpoint.step
    return state


def require_fit(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError unless every tensor fits the networks that the config describes.

    Allocates nothing: once all tensors fit, the networks are no larger than the file.
    """
    networks = meta_networks(checkpoint.config.network)
    try:
        first_layers(checkpoint.config.network, checkpoint.config.freeze_d)
    except UsageError as error:
        raise CheckpointError(f"has an invalid configuration: {error.message}") from None
    weights = {"generator": [checkpoint.generator], "discriminator": [checkpoint.discriminator]}
    if checkpoint.config.ema_images or checkpoint.generator_ema is not None:
        weights["generator"].append(checkpoint.generator_ema or {})
    moments = {"generator": checkpoint.optimizer_g, "discriminator": checkpoint.optimizer_d}
    for name, network in networks.items():
        try:
            for table in weights[name]:
                check_weights(network.state_dict(), table)
            for table in moments[name].values():
                check_weights(dict(network.named_parameters()), table)
        except CheckpointError as error:
            raise CheckpointError(f"{error.message} ({name})", _OTHER_VERSION) from None


def trained(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of `network` that steps change: all but the frozen ones."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
