"""One update of both networks and of the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganctl.losses import LOSSES, r1_penalty
from ganctl.networks import seed_dropout
from ganctl.training.state import TrainState

METRICS = ("g_loss", "d_loss", "d_real", "d_fake")
"""What a step measures: both losses, and D(x) and D(G(z)) as probabilities."""


def train_step(state: TrainState, real: Tensor, latents: Tensor, noise_seed: int) -> Tensor:
    """Update `state` in place; returns METRICS, float32 (4,), on the device, not waiting for it.

    One batch of fakes serves both updates, and both gradients are taken before either network
    moves. `real` is (N, C, H, W) in [-1, 1]; `latents` (M, latent_dim), M >= N; dropout is a
    function of `noise_seed`.
    """
    config = state.config
    loss = LOSSES[config.loss]
    with_penalty = config.r1_weight > 0 and state.step % config.r1_interval == 0
    seed_dropout(state.discriminator, noise_seed)
    with torch.autocast(real.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        fake = state.generator(latents)
        real_pred = state.discriminator(real.requires_grad_(with_penalty)).float()
        fake_pred = state.discriminator(fake).float()
    g_loss = loss.generator(real_pred, fake_pred)
    d_loss = loss.discriminator(real_pred, fake_pred)
    d_objective = d_loss
    if with_penalty:
        weight = config.r1_weight * config.r1_interval
        d_objective = d_loss + weight * r1_penalty(real_pred, real)
    d_parameters = list(state.discriminator.parameters())
    g_parameters = list(state.generator.parameters())
    d_gradients = torch.autograd.grad(d_objective, d_parameters, retain_graph=True)
    g_gradients = torch.autograd.grad(g_loss, g_parameters)

    factor = config.learning_rate_factor(state.step)
    _apply(state.optimizer_d, d_parameters, d_gradients, config.lr_d * factor)
    _apply(state.optimizer_g, g_parameters, g_gradients, config.lr_g * factor)
    if state.ema is not None:
        _average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    with torch.no_grad():
        return torch.stack([g_loss, d_loss, *loss.probabilities(real_pred, fake_pred)])


def _apply(
    optimizer: torch.optim.Adam,
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor],
    rate: float,
) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


@torch.no_grad()
def _average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for average, buffer in zip(ema.buffers(), network.buffers(), strict=True):
        average.copy_(buffer)
