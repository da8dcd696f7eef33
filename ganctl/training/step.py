"""One update of both networks and of the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.config import TrainConfig
from ganctl.losses import LOSSES, AdversarialLoss, r1_penalty
from ganctl.networks import seed_dropout
from ganctl.training.state import TrainState

METRICS = ("g_loss", "d_loss", "d_real", "d_fake")
"""What a step measures: both losses, and D(x) and D(G(z)) as probabilities."""

_LEAST = 1e-12
"""A derivative by a logit below this adds nothing to a gradient in fp32, but can be divided by."""


class Measured(NamedTuple):
    """What a step finds out, float32 on the device."""

    metrics: Tensor
    """METRICS, (4,)."""
    gradients: Tensor
    """A number for each of `gradient_names`, finite where all of that gradient is."""


def train_step(state: TrainState, real: Tensor, latents: Tensor, noise_seed: int) -> Measured:
    """Update `state` in place; returns what it measured without waiting for the device.

    One batch of fakes serves both updates. `simultaneous`: both gradients are taken before either
    network moves. `alternating`: the fakes are judged anew by the discriminator that has moved.
    `real` is (N, C, H, W) in [-1, 1]; `latents` (M, input_dim), M >= N, whose classes, if any, are
    also those of the reals, in order; dropout is a function of `noise_seed`.
    """
    config = state.config
    seed_dropout(state.discriminator, noise_seed)
    batch = _Batch(real, latents, _classes(config, latents))
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    measured = update(state, batch)
    if state.ema is not None:
        _average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    return measured


class _Batch(NamedTuple):
    """What one update is made from."""

    real: Tensor
    latents: Tensor
    classes: Tensor | None
    """Of the fakes, one-hot (M, K); the first N are those of the reals."""

    @property
    def real_classes(self) -> Tensor | None:
        return None if self.classes is None else self.classes[: len(self.real)]


def _classes(config: TrainConfig, latents: Tensor) -> Tensor | None:
    return latents[:, config.network.latent_dim :] if config.network.num_classes else None


def _simultaneous(state: TrainState, batch: _Batch) -> Measured:
    """Both gradients from one pass back through the discriminator.

    What the two losses want of it differs by one factor a fake: the ratio of their derivatives by
    that fake's logit. So the generator's gradient at an image is the discriminator's, rescaled.
    """
    loss = LOSSES[state.config.loss]
    with _autocast(state, batch.real):
        fake = state.generator(batch.latents)
        real_pred = state.discriminator(batch.real, batch.real_classes)
        fake_pred = state.discriminator(fake, batch.classes)
    logits = [pred.detach().float().requires_grad_() for pred in (real_pred, fake_pred)]
    d_loss, g_loss = loss.discriminator(*logits), loss.generator(*logits)
    of_real, of_fake = torch.autograd.grad(d_loss, logits)
    (wanted,) = torch.autograd.grad(g_loss, logits[1:])
    # A fake that fools nobody has next to no weight here, but all of it for the generator.
    of_fake = torch.where(of_fake.abs() < _LEAST, _LEAST, of_fake)
    outputs, seeds = [real_pred, fake_pred], [of_real, of_fake]
    if _is_penalty_due(state):
        outputs.append(_penalty(state, batch))
        seeds.append(torch.ones_like(outputs[-1]))
    *d_gradients, of_images = torch.autograd.grad(
        outputs,
        [*state.discriminator.parameters(), fake],
        [seed.to(output.dtype) for seed, output in zip(seeds, outputs, strict=True)],
    )
    rescaled = (of_images * (wanted / of_fake).view(-1, 1, 1, 1)).to(fake.dtype)
    g_gradients = torch.autograd.grad(fake, list(state.generator.parameters()), rescaled)
    factor = state.config.learning_rate_factor(state.step)
    _apply(state.optimizer_d, state.discriminator, d_gradients, state.config.lr_d * factor)
    _apply(state.optimizer_g, state.generator, g_gradients, state.config.lr_g * factor)
    real_pred, fake_pred = logits
    return _measured(loss, g_loss, d_loss, real_pred, fake_pred, [*d_gradients, *g_gradients])


def _alternating(state: TrainState, batch: _Batch) -> Measured:
    loss = LOSSES[state.config.loss]
    parameters = [list(net.parameters()) for net in (state.discriminator, state.generator)]
    with _autocast(state, batch.real):
        fake = state.generator(batch.latents)
        # Reals and fakes in one pass: small networks cost by the call as much as by the image.
        both = torch.cat([batch.real, fake.detach().to(batch.real.dtype)])
        classes = batch.classes
        if classes is not None:
            classes = torch.cat([classes[: len(batch.real)], classes])
        preds = state.discriminator(both, classes).float()
    real_pred, fake_pred = preds[: len(batch.real)], preds[len(batch.real) :]
    d_loss = loss.discriminator(real_pred, fake_pred)
    objective = d_loss + _penalty(state, batch) if _is_penalty_due(state) else d_loss
    d_gradients = torch.autograd.grad(objective, parameters[0])
    factor = state.config.learning_rate_factor(state.step)
    _apply(state.optimizer_d, state.discriminator, d_gradients, state.config.lr_d * factor)
    with _autocast(state, batch.real):
        judged_anew = state.discriminator(fake, batch.classes).float()
    g_loss = loss.generator(real_pred.detach(), judged_anew)
    g_gradients = torch.autograd.grad(g_loss, parameters[1])
    _apply(state.optimizer_g, state.generator, g_gradients, state.config.lr_g * factor)
    return _measured(loss, g_loss, d_loss, real_pred, fake_pred, [*d_gradients, *g_gradients])


def _is_penalty_due(state: TrainState) -> bool:
    return state.config.r1_weight > 0 and state.step % state.config.r1_interval == 0


def _penalty(state: TrainState, batch: _Batch) -> Tensor:
    """R1, for all the steps until it is due again; of a pass of its own over the reals alone."""
    config = state.config
    real = batch.real.detach().requires_grad_()
    with _autocast(state, real):
        pred = state.discriminator(real, batch.real_classes).float()
    return config.r1_weight * config.r1_interval * r1_penalty(pred, real)


def _autocast(state: TrainState, images: Tensor) -> torch.autocast:
    bf16 = state.config.precision == "bf16"
    return torch.autocast(images.device.type, torch.bfloat16, enabled=bf16)


def _measured(
    loss: AdversarialLoss,
    g_loss: Tensor,
    d_loss: Tensor,
    real_pred: Tensor,
    fake_pred: Tensor,
    gradients: list[Tensor],
) -> Measured:
    probabilities = loss.probabilities(real_pred.detach(), fake_pred.detach())
    metrics = torch.stack([g_loss.detach(), d_loss.detach(), *probabilities]).float()
    return Measured(metrics, _check(gradients))


def gradient_names(state: TrainState) -> list[str]:
    """Of all parameters, in the order in which a step reports on their gradients."""
    networks = {"discriminator": state.discriminator, "generator": state.generator}
    return [
        f"{part} {name}"
        for part, network in networks.items()
        for name, _ in network.named_parameters()
    ]


def _check(gradients: list[Tensor]) -> Tensor:
    if gradients[0].device.type == "cpu":  # where a sum is the cheapest
        return torch.stack([gradient.sum() for gradient in gradients]).float()
    return torch.stack(torch._foreach_norm(gradients)).float()


def _apply(
    optimizer: torch.optim.Adam, network: nn.Module, gradients: Sequence[Tensor], rate: float
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
