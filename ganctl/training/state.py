"""The state of a training: everything an update changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganctl.checkpoint import Checkpoint, Weights
from ganctl.config.schema import TrainConfig
from ganctl.distributed.batchnorm import synchronized
from ganctl.distributed.group import SINGLE, Group
from ganctl.networks import build_discriminator, build_generator, check_weights, meta_networks
from ganctl.rng import Stream


@dataclass
class TrainState:
    """Both networks, the generator's moving average, both optimizers, and the step they are at."""

    config: TrainConfig
    device: torch.device
    generator: nn.Module
    ema: nn.Module | None
    discriminator: nn.Module
    optimizer_g: Adam
    optimizer_d: Adam
    step: int = 0
    """Updates done so far."""
    group: Group = SINGLE
    """The processes that train it together, each with a copy."""

    def __post_init__(self) -> None:
        self.generate: nn.Module = self._as_run(self.generator)
        """The generator, as an update runs it."""
        self.judge: nn.Module = self._as_run(self.discriminator)
        """The discriminator, as an update runs it, but for what is differentiated twice: torch
        compiles no such thing."""

    def _as_run(self, network: nn.Module) -> nn.Module:
        if not self.config.compile:
            return network
        compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
        return compiled

    @property
    def sampler(self) -> nn.Module:
        """The network that samples are drawn from."""
        return self.generator if self.ema is None else self.ema

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the state, by a name that says where it is."""
        for part, weights in self.weights().items():
            if weights is not None:
                yield from ((f"{part} {name}", tensor) for name, tensor in weights.items())
        for part, moments in self.moments().items():
            for moment, weights in moments.items():
                yield from ((f"{part} {moment} {name}", t) for name, t in weights.items())

    def weights(self) -> dict[str, Weights | None]:
        """The networks' weights, by their names in a checkpoint; not copied."""
        return {
            "generator": dict(self.generator.state_dict()),
            "generator_ema": None if self.ema is None else dict(self.ema.state_dict()),
            "discriminator": dict(self.discriminator.state_dict()),
        }

    def moments(self) -> dict[str, dict[str, Weights]]:
        """Adam's moving averages, by their names in a checkpoint; not copied."""
        return {
            "optimizer_g": _moments(self.optimizer_g, self.generator),
            "optimizer_d": _moments(self.optimizer_d, self.discriminator),
        }


def create(config: TrainConfig, device: torch.device, group: Group = SINGLE) -> TrainState:
    """A state before its first update; the initial weights are a function of the config's seed."""
    seeds = Stream.WEIGHTS.sequence(seed=config.seed).generate_state(2, np.uint64)
    rng_g, rng_d = (torch.Generator().manual_seed(int(seed >> 1)) for seed in seeds)
    generator = build_generator(config.network, rng_g).to(device)
    discriminator = build_discriminator(config.network, rng_d).to(device)
    if group.size > 1:
        generator = synchronized(generator, group)
    ema = None
    if config.ema_images:
        ema = build_generator(config.network, torch.Generator()).to(device)
        ema.load_state_dict(generator.state_dict())
        ema.eval().requires_grad_(False)
    return TrainState(
        config=config,
        device=device,
        generator=generator,
        ema=ema,
        discriminator=discriminator,
        optimizer_g=_adam(generator, config.lr_g, config, device),
        optimizer_d=_adam(discriminator, config.lr_d, config, device),
        group=group,
    )


def restore(
    checkpoint: Checkpoint, config: TrainConfig, device: torch.device, group: Group = SINGLE
) -> TrainState:
    """The state that `checkpoint` holds, bit for bit.

    `config` is the checkpoint's own, but for the run's length. Raises CheckpointError where the
    weights do not fit the networks that it describes.
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
    _set_moments(state.optimizer_g, state.generator, checkpoint.optimizer_g, checkpoint.step)
    _set_moments(state.optimizer_d, state.discriminator, checkpoint.optimizer_d, checkpoint.step)
    state.step = checkpoint.step
    return state


def require_fit(checkpoint: Checkpoint) -> None:
    """CheckpointError unless every tensor fits the networks that the config describes.

    Allocates nothing: what a config claims is no larger than the file once all of it fits.
    """
    networks = meta_networks(checkpoint.config.network)
    tables = [("generator", checkpoint.generator), ("discriminator", checkpoint.discriminator)]
    if checkpoint.config.ema_images or checkpoint.generator_ema is not None:
        tables.append(("generator", checkpoint.generator_ema or {}))
    for name, weights in tables:
        check_weights(networks[name].state_dict(), weights)
    for name, moments in (
        ("generator", checkpoint.optimizer_g),
        ("discriminator", checkpoint.optimizer_d),
    ):
        for table in moments.values():
            check_weights(dict(networks[name].named_parameters()), table)


def _adam(network: nn.Module, rate: float, config: TrainConfig, device: torch.device) -> Adam:
    fused = device.type in ("cpu", "cuda")  # one kernel for all parameters
    return Adam(network.parameters(), rate, (config.beta1, config.beta2), fused=fused)


def _moments(optimizer: Adam, network: nn.Module) -> dict[str, Weights]:
    return {
        moment: {
            name: optimizer.state[parameter].get(moment, torch.zeros_like(parameter))
            for name, parameter in network.named_parameters()
        }
        for moment in ("exp_avg", "exp_avg_sq")
    }


def _set_moments(
    optimizer: Adam, network: nn.Module, moments: Mapping[str, Weights], step: int
) -> None:
    if step == 0:
        return
    for name, parameter in network.named_parameters():
        on_device = parameter.device.type == "cuda"
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step), device=parameter.device if on_device else "cpu"),
            # empty_like keeps the parameter's memory layout, which the fused kernel relies on
            **{m: torch.empty_like(parameter).copy_(moments[m][name]) for m in moments},
        }
