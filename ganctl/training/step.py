"""One update of both networks and of the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.config import TrainConfig
from ganctl.losses import LOSSES, AdversarialLoss, r1_penalty
from ganctl.networks import seed_dropout
from ganctl.training.augment import Augmentation
from ganctl.training.state import TrainState

METRICS = ("g_loss", "d_loss", "d_real", "d_fake")
"""What a step measures: both losses, and D(x) and D(G(z)) as probabilities."""

_LEAST = 1e-12
"""A derivative by a logit below this adds nothing to a gradient in fp32, but can be divided by."""


_AUGMENTED = 2**61
"""Keeps the chance of augmentation apart from dropout's, which counts up from the same seed."""


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
    also those of the reals, in order; dropout and augmentation are functions of `noise_seed`.
    """
    config = state.config
    seed_dropout(state.discriminator, noise_seed)
    augment = Augmentation(config.augment, noise_seed ^ _AUGMENTED)
    parts = _parts(config, real, latents)
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    measured = update(state, parts, augment)
    if state.ema is not None:
        _average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    return measured


class _Part(NamedTuple):
    """What a gradient is made from: a batch, or a part of it where memory is short."""

    share: float
    """Of the whole batch."""
    real: Tensor
    latents: Tensor
    classes: Tensor | None
    """Of the fakes, one-hot (M, K); the first N are those of the reals."""

    @property
    def real_classes(self) -> Tensor | None:
        return None if self.classes is None else self.classes[: len(self.real)]


def _parts(config: TrainConfig, real: Tensor, latents: Tensor) -> list[_Part]:
    """As many parts as the config accumulates gradients over, each with reals and fakes.

    Their mean is the whole batch's where the parts are of one size; else they count by their reals.
    """
    count = min(config.accumulate, len(real))
    reals = real.tensor_split(count)
    paired = latents[: len(real)].tensor_split(count)
    beyond = latents[len(real) :].tensor_split(count)  # an epoch's last batch has fewer reals
    parts = []
    # Both have their larger pieces first: the other way round no part is left with a single fake.
    for own, pair, more in zip(reals, paired, reversed(beyond), strict=True):
        chosen = latents if count == 1 else torch.cat([pair, more])
        classes = chosen[:, config.network.latent_dim :] if config.network.num_classes else None
        parts.append(_Part(len(own) / len(real), own, chosen, classes))
    return parts


class _Mean:
    """The mean of tensors over a batch's parts, one part at a time."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def add(self, share: float, tensors: Sequence[Tensor]) -> None:
        own = list(tensors) if share == 1 else list(torch._foreach_mul(list(tensors), share))
        self.tensors = list(torch._foreach_add(self.tensors, own)) if self.tensors else own


def _simultaneous(state: TrainState, parts: list[_Part], augment: Augmentation) -> Measured:
    """Both gradients from one pass back through the discriminator.

    What the two losses want of it differs by one factor a fake: the ratio of their derivatives by
    that fake's logit. So the generator's gradient at an image is the discriminator's, rescaled.
    """
    loss = LOSSES[state.config.loss]
    d_mean, g_mean, metrics = _Mean(), _Mean(), _Mean()
    for part in parts:
        with _autocast(state, part.real):
            fake = state.generate(part.latents)
            real_pred = state.judge(augment(part.real), part.real_classes)
            fake_pred = state.judge(augment(fake), part.classes)
        logits = [pred.detach().float().requires_grad_() for pred in (real_pred, fake_pred)]
        d_loss, g_loss = loss.discriminator(*logits), loss.generator(*logits)
        of_real, of_fake = torch.autograd.grad(d_loss, logits)
        (wanted,) = torch.autograd.grad(g_loss, logits[1:])
        # A fake that fools nobody has next to no weight here, but all of it for the generator.
        of_fake = torch.where(of_fake.abs() < _LEAST, _LEAST, of_fake)
        outputs, seeds = [real_pred, fake_pred], [of_real, of_fake]
        if _is_penalty_due(state):
            outputs.append(_penalty(state, part, augment))
            seeds.append(torch.ones_like(outputs[-1]))
        *d_gradients, of_images = torch.autograd.grad(
            outputs,
            [*state.discriminator.parameters(), fake],
            [seed.to(output.dtype) for seed, output in zip(seeds, outputs, strict=True)],
        )
        rescaled = (of_images * (wanted / of_fake).view(-1, 1, 1, 1)).to(fake.dtype)
        g_gradients = torch.autograd.grad(fake, list(state.generator.parameters()), rescaled)
        d_mean.add(part.share, d_gradients)
        g_mean.add(part.share, g_gradients)
        metrics.add(part.share, [_metrics(loss, g_loss, d_loss, *logits)])
    _apply(state, "discriminator", d_mean.tensors)
    _apply(state, "generator", g_mean.tensors)
    return Measured(metrics.tensors[0], _check([*d_mean.tensors, *g_mean.tensors]))


def _alternating(state: TrainState, parts: list[_Part], augment: Augmentation) -> Measured:
    loss = LOSSES[state.config.loss]
    d_mean, g_mean, metrics = _Mean(), _Mean(), _Mean()
    judged = []
    for part in parts:
        with _autocast(state, part.real):
            fake = state.generate(part.latents)
            # Reals and fakes in one pass: small networks cost by the call as much as by the image.
            both = torch.cat([part.real, fake.detach().to(part.real.dtype)])
            classes = part.classes
            if classes is not None:
                classes = torch.cat([classes[: len(part.real)], classes])
            preds = state.judge(augment(both), classes).float()
        real_pred, fake_pred = preds[: len(part.real)], preds[len(part.real) :]
        d_loss = loss.discriminator(real_pred, fake_pred)
        objective = d_loss
        if _is_penalty_due(state):
            objective = d_loss + _penalty(state, part, augment)
        parameters = list(state.discriminator.parameters())
        d_mean.add(part.share, torch.autograd.grad(objective, parameters))
        # Several parts are there for want of memory: then the fakes are made again.
        kept = fake if len(parts) == 1 else None
        judged.append((part, kept, real_pred.detach(), fake_pred.detach(), d_loss.detach()))
        del fake
    _apply(state, "discriminator", d_mean.tensors)
    for part, kept, real_pred, fake_pred, d_loss in judged:
        with _autocast(state, part.real):
            fake = state.generate(part.latents) if kept is None else kept
            judged_anew = state.judge(augment(fake), part.classes).float()
        g_loss = loss.generator(real_pred, judged_anew)
        g_mean.add(part.share, torch.autograd.grad(g_loss, list(state.generator.parameters())))
        metrics.add(part.share, [_metrics(loss, g_loss, d_loss, real_pred, fake_pred)])
    _apply(state, "generator", g_mean.tensors)
    return Measured(metrics.tensors[0], _check([*d_mean.tensors, *g_mean.tensors]))


def _is_penalty_due(state: TrainState) -> bool:
    return state.config.r1_weight > 0 and state.step % state.config.r1_interval == 0


def _penalty(state: TrainState, part: _Part, augment: Augmentation) -> Tensor:
    """R1, for all the steps until it is due again; of a pass of its own over the reals alone.

    At the reals as the discriminator sees them: augmented.
    """
    config = state.config
    real = augment(part.real).detach().requires_grad_()
    with _autocast(state, real):
        pred = state.discriminator(real, part.real_classes).float()
    return config.r1_weight * config.r1_interval * r1_penalty(pred, real)


def _autocast(state: TrainState, images: Tensor) -> torch.autocast:
    bf16 = state.config.precision == "bf16"
    return torch.autocast(images.device.type, torch.bfloat16, enabled=bf16)


def _metrics(
    loss: AdversarialLoss, g_loss: Tensor, d_loss: Tensor, real_pred: Tensor, fake_pred: Tensor
) -> Tensor:
    """METRICS of a part."""
    probabilities = loss.probabilities(real_pred.detach(), fake_pred.detach())
    return torch.stack([g_loss.detach(), d_loss.detach(), *probabilities]).float()


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


def _apply(state: TrainState, part: str, gradients: Sequence[Tensor]) -> None:
    """One step of the optimizer of the network `part`."""
    config, factor = state.config, state.config.learning_rate_factor(state.step)
    network, optimizer, rate = (
        (state.discriminator, state.optimizer_d, config.lr_d)
        if part == "discriminator"
        else (state.generator, state.optimizer_g, config.lr_g)
    )
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        # Fused Adam reads both as they lie in memory; R1's gradients come in another layout.
        same = gradient.stride() == parameter.stride()
        parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
    for group in optimizer.param_groups:
        group["lr"] = rate * factor
    optimizer.step()


@torch.no_grad()
def _average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for average, buffer in zip(ema.buffers(), network.buffers(), strict=True):
        average.copy_(buffer)
