"""One update of both networks and of the moving average: tensors in, tensors out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.losses import LOSSES, r1_penalty
from ganctl.networks import seed_dropout
from ganctl.training.state import TrainState

METRICS = ("g_loss", "d_loss", "d_real", "d_fake")
"""What a step measures: both losses, and D(x) and D(G(z)) as probabilities."""


class Measured(NamedTuple):
    """What a step finds out, float32 on the device."""

    metrics: Tensor
    """METRICS, (4,)."""
    gradients: Tensor
    """A number for each of `gradient_names`, finite where all of that gradient is."""


def train_step(state: TrainState, real: Tensor, latents: Tensor, noise_seed: int) -> Measured:
    """Update `state` in place; returns what it measured without waiting for the device.

    One batch of fakes serves both updates. `simultaneous`: both gradients are taken before either
    network moves. `alternating`: the generator is judged by the discriminator that has moved.
    `real` is (N, C, H, W) in [-1, 1]; `latents` (M, latent_dim), M >= N; dropout is a function of
    `noise_seed`.
    """
    config = state.config
    loss = LOSSES[config.loss]
    seed_dropout(state.discriminator, noise_seed)
    bf16 = config.precision == "bf16"
    autocast = torch.autocast(real.device.type, torch.bfloat16, enabled=bf16)
    simultaneous = config.updates == "simultaneous"
    with_penalty = config.r1_weight > 0 and state.step % config.r1_interval == 0
    with autocast:
        fake = state.generator(latents)
        real_pred = state.discriminator(real.requires_grad_(with_penalty)).float()
        fake_pred = state.discriminator(fake if simultaneous else fake.detach()).float()
    d_loss = loss.discriminator(real_pred, fake_pred)
    d_objective = d_loss
    if with_penalty:
        weight = config.r1_weight * config.r1_interval
        d_objective = d_loss + weight * r1_penalty(real_pred, real)
    d_gradients = _gradients(d_objective, state.discriminator, retain_graph=simultaneous)
    probabilities = loss.probabilities(real_pred.detach(), fake_pred.detach())

    factor = config.learning_rate_factor(state.step)
    if simultaneous:
        g_loss = loss.generator(real_pred, fake_pred)
        g_gradients = _gradients(g_loss, state.generator)
        _apply(state.optimizer_d, state.discriminator, d_gradients, config.lr_d * factor)
    else:
        _apply(state.optimizer_d, state.discriminator, d_gradients, config.lr_d * factor)
        with autocast:
            with torch.no_grad():
                real_pred = state.discriminator(real).float()
            fake_pred = state.discriminator(fake).float()
        g_loss = loss.generator(real_pred, fake_pred)
        g_gradients = _gradients(g_loss, state.generator)
    _apply(state.optimizer_g, state.generator, g_gradients, config.lr_g * factor)
    if state.ema is not None:
        _average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    metrics = torch.stack([g_loss.detach(), d_loss.detach(), *probabilities])
    return Measured(metrics, _check(d_gradients + g_gradients))


def gradient_names(state: TrainState) -> list[str]:
    """Of all parameters, in the order in which a step reports on their gradients."""
    networks = {"discriminator": state.discriminator, "generator": state.generator}
    return [
        f"{part} {name}"
        for part, network in networks.items()
        for name, _ in network.named_parameters()
    ]


def _check(gradients: tuple[Tensor, ...]) -> Tensor:
    if gradients[0].device.type == "cpu":  # where a sum is the cheapest
        return torch.stack([gradient.sum() for gradient in gradients]).float()
    return torch.stack(torch._foreach_norm(gradients)).float()


def _gradients(
    objective: Tensor, network: nn.Module, *, retain_graph: bool = False
) -> tuple[Tensor, ...]:
    """Of `objective`, for `network`'s parameters alone: nothing is computed for the other one's."""
    return torch.autograd.grad(objective, list(network.parameters()), retain_graph=retain_graph)


def _apply(
    optimizer: torch.optim.Adam, network: nn.Module, gradients: tuple[Tensor, ...], rate: float
) -> None:
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        # Fused Adam reads both as they lie in memory; R1's gradients come in another layout.
        same = gradient.stride() == parameter.stride()
        parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


@torch.no_grad()
def _average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for average, buffer in zip(ema.buffers(), network.buffers(), strict=True):
        average.copy_(buffer)
