"""One update of both networks and of the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.batch import MicroBatch, Rows, select
from ganctl.config.schema import TrainConfig
from ganctl.distributed.group import PendingSum
from ganctl.losses import LOSSES, AdversarialLoss, r1_penalty
from ganctl.networks.dropout import seed_dropout, set_dropout_rows
from ganctl.rng import Use
from ganctl.training.augment import Augmentation
from ganctl.training.state import TrainState

_LEAST = 1e-12
"""A derivative by a logit below this adds nothing to a gradient in fp32, but can be divided by."""


class Measured(NamedTuple):
    """What a step finds out, float32 on the device."""

    metrics: Tensor
    """STEP_METRICS of `ganctl.history`, (4,)."""
    gradients: Tensor
    """A number for each of `gradient_names`, finite where all of that gradient is."""


def train_step(
    state: TrainState,
    real: Tensor,
    latents: Tensor,
    noise_seed: int,
    part: MicroBatch | None = None,
) -> Measured:
    """Update `state` in place; returns what it measured without waiting for the device.

    One batch of fakes serves both updates. `simultaneous`: both gradients are taken before either
    network moves. `alternating`: the fakes are judged anew by the discriminator that has moved.
    `real` is (N, C, H, W) in [-1, 1]; `latents` (M, input_dim), M >= N, whose classes, if any, are
    also those of the reals, in order; dropout and augmentation are functions of `noise_seed`.
    Where a group trains, both are a `part` of the batch, and what is measured is the whole batch's.
    """
    config = state.config
    whole = part or MicroBatch.whole(len(real), len(latents))
    portions = [
        _Portion(config, piece, whole, real, latents, noise_seed)
        for piece in whole.split(config.accumulate)
    ]
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    measured = update(state, portions, noise_seed)
    if state.ema is not None:
        _average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    return measured


class _Portion:
    """What a gradient is made from: this process's images, or a part of them."""

    def __init__(
        self,
        config: TrainConfig,
        part: MicroBatch,
        of: MicroBatch,
        real: Tensor,
        latents: Tensor,
        seed: int,
    ) -> None:
        self.weight = part.weight
        self.real_rows, self.fake_rows = part.real_rows, part.fake_rows
        first, count = part.real.start - of.real.start, len(part.real)
        later = len(of.real) + part.extra.start - of.extra.start
        own = [range(first, first + count), range(later, later + len(part.extra))]
        self.real, self.latents = select(real, own[:1]), select(latents, own)
        self.classes: Tensor | None = None
        """Of the fakes, one-hot (M, K); the first N are those of the reals."""
        if config.network.num_classes:
            self.classes = self.latents[:, config.network.latent_dim :]
        self.augment = Augmentation(config.augment, seed ^ Use.AUGMENTATION)

    @property
    def real_classes(self) -> Tensor | None:
        return None if self.classes is None else self.classes[: len(self.real)]

    def judge(
        self, state: TrainState, images: Tensor, classes: Tensor | None, rows: Rows
    ) -> Tensor:
        """The logits of `images`, which are at `rows` of the batch."""
        set_dropout_rows(state.discriminator, rows)
        logits: Tensor = state.judge(self.augment(images, rows), classes)
        return logits


class _Mean:
    """The mean of tensors over a batch's parts, one part at a time."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def add(self, weight: float, tensors: Sequence[Tensor]) -> None:
        own = list(tensors) if weight == 1 else list(torch._foreach_mul(list(tensors), weight))
        self.tensors = list(torch._foreach_add(self.tensors, own)) if self.tensors else own


def _simultaneous(state: TrainState, portions: list[_Portion], seed: int) -> Measured:
    """Both gradients from one pass back through the discriminator.

    What the two losses want of it differs by one factor a fake: the ratio of their derivatives by
    that fake's logit. So the generator's gradient at an image is the discriminator's, rescaled.
    """
    loss = LOSSES[state.config.loss]
    d_mean, g_mean, metrics = _Mean(), _Mean(), _Mean()
    d_sum: PendingSum | None = None
    for portion in portions:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
        with _autocast(state, portion.real):
            fake = state.generate(portion.latents)
            real_pred = portion.judge(state, portion.real, portion.real_classes, portion.real_rows)
            fake_pred = portion.judge(state, fake, portion.classes, portion.fake_rows)
        logits = [pred.detach().float().requires_grad_() for pred in (real_pred, fake_pred)]
        d_loss, g_loss = loss.discriminator(*logits), loss.generator(*logits)
        of_real, of_fake = torch.autograd.grad(d_loss, logits)
        (wanted,) = torch.autograd.grad(g_loss, logits[1:])
        # A fake that fools nobody has next to no weight here, but all of it for the generator.
        of_fake = torch.where(of_fake.abs() < _LEAST, _LEAST, of_fake)
        outputs, seeds = [real_pred, fake_pred], [of_real, of_fake]
        if _is_penalty_due(state):
            outputs.append(_penalty(state, portion))
            seeds.append(torch.ones_like(outputs[-1]))
        *d_gradients, of_images = torch.autograd.grad(
            outputs,
            [*state.discriminator.parameters(), fake],
            [seed.to(output.dtype) for seed, output in zip(seeds, outputs, strict=True)],
        )
        d_mean.add(portion.weight, d_gradients)
        if portion is portions[-1]:  # it travels while the generator's is computed
            d_sum = _begin_sum(state, "discriminator", d_mean.tensors)
        rescaled = (of_images * (wanted / of_fake).view(-1, 1, 1, 1)).to(fake.dtype)
        g_gradients = torch.autograd.grad(fake, list(state.generator.parameters()), rescaled)
        g_mean.add(portion.weight, g_gradients)
        metrics.add(portion.weight, [_metrics(loss, g_loss, d_loss, *logits)])
    g_sum = _begin_sum(state, "generator", g_mean.tensors, metrics.tensors)
    assert d_sum is not None
    d_whole = d_sum.wait()
    _apply(state, "discriminator", d_whole)
    *g_whole, measured = g_sum.wait()
    _apply(state, "generator", g_whole)
    return Measured(measured, _check([*d_whole, *g_whole]))


def _alternating(state: TrainState, portions: list[_Portion], seed: int) -> Measured:
    loss = LOSSES[state.config.loss]
    d_mean, g_mean, metrics = _Mean(), _Mean(), _Mean()
    judged = []
    for portion in portions:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
        with _autocast(state, portion.real):
            fake = state.generate(portion.latents)
            # Reals and fakes in one pass: small networks cost by the call as much as by the image.
            both = torch.cat([portion.real, fake.detach().to(portion.real.dtype)])
            classes = portion.classes
            if classes is not None:
                classes = torch.cat([classes[: len(portion.real)], classes])
            rows = portion.real_rows + portion.fake_rows
            preds = portion.judge(state, both, classes, rows).float()
        real_pred, fake_pred = preds[: len(portion.real)], preds[len(portion.real) :]
        d_loss = loss.discriminator(real_pred, fake_pred)
        objective = d_loss
        if _is_penalty_due(state):
            objective = d_loss + _penalty(state, portion)
        parameters = list(state.discriminator.parameters())
        d_mean.add(portion.weight, torch.autograd.grad(objective, parameters))
        # Several parts are there for want of memory: then the fakes are made again.
        kept = fake if len(portions) == 1 else None
        judged.append((portion, kept, real_pred.detach(), fake_pred.detach(), d_loss.detach()))
        del fake
    d_gradients = _begin_sum(state, "discriminator", d_mean.tensors).wait()
    _apply(state, "discriminator", d_gradients)
    for portion, kept, real_pred, fake_pred, d_loss in judged:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT_AGAIN)
        with _autocast(state, portion.real):
            fake = state.generate(portion.latents) if kept is None else kept
            judged_anew = portion.judge(state, fake, portion.classes, portion.fake_rows).float()
        g_loss = loss.generator(real_pred, judged_anew)
        g_mean.add(portion.weight, torch.autograd.grad(g_loss, list(state.generator.parameters())))
        metrics.add(portion.weight, [_metrics(loss, g_loss, d_loss, real_pred, fake_pred)])
    *g_gradients, measured = _begin_sum(state, "generator", g_mean.tensors, metrics.tensors).wait()
    _apply(state, "generator", g_gradients)
    return Measured(measured, _check([*d_gradients, *g_gradients]))


def _begin_sum(
    state: TrainState, part: str, gradients: list[Tensor], others: Sequence[Tensor] = ()
) -> PendingSum:
    """Begin to add up the gradients of the network `part`, and `others`, over the group."""
    network = state.discriminator if part == "discriminator" else state.generator
    return state.group.begin_sum([*gradients, *others], like=[*network.parameters(), *others])


def _is_penalty_due(state: TrainState) -> bool:
    return state.config.r1_weight > 0 and state.step % state.config.r1_interval == 0


def _penalty(state: TrainState, portion: _Portion) -> Tensor:
    """R1, for all the steps until it is due again; of a pass of its own over the reals alone.

    At the reals as the discriminator sees them: augmented.
    """
    config = state.config
    real = portion.augment(portion.real, portion.real_rows).detach().requires_grad_()
    set_dropout_rows(state.discriminator, portion.real_rows)
    with _autocast(state, real):
        pred = state.discriminator(real, portion.real_classes).float()
    return config.r1_weight * config.r1_interval * r1_penalty(pred, real)


def _autocast(state: TrainState, images: Tensor) -> torch.autocast:
    bf16 = state.config.precision == "bf16"
    return torch.autocast(images.device.type, torch.bfloat16, enabled=bf16)


def _metrics(
    loss: AdversarialLoss, g_loss: Tensor, d_loss: Tensor, real_pred: Tensor, fake_pred: Tensor
) -> Tensor:
    """STEP_METRICS of a part."""
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
