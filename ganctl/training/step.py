"""One training step, of both networks and the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.batch import MicroBatch, Rows
from ganctl.distributed.group import Group, PendingSum
from ganctl.losses import LOSSES, AdversarialLoss, r1_penalty
from ganctl.networks.dropout import seed_dropout, set_dropout_rows
from ganctl.rng import Use
from ganctl.training.augment import Augmentation
from ganctl.training.state import TrainState

_TINY = 1e-12
"""A derivative by a logit below this adds nothing to a gradient in fp32, but can be divided by."""


class StepResult(NamedTuple):
    """What a step has measured, float32 on the device."""

    metrics: Tensor
    """STEP_METRICS of `ganctl.history`, (4,)."""
    gradients: Tensor
    """A number for each of `gradient_names`, finite if all of that gradient is."""


def train_step(
    state: TrainState,
    real: Tensor,
    latents: Tensor,
    noise_seed: int,
    rows: MicroBatch | None = None,
) -> StepResult:
    """Update `state` in place, without waiting for the device.

    One batch of fakes serves both updates. `simultaneous` updates: both gradients are computed
    before either network changes. `alternating` updates: the generator's gradient is that of its
    loss with the updated discriminator (Goodfellow et al. 2014, algorithm 1).

    `real` are images (N, C, H, W) in [-1, 1]; `latents` are (M, input_dim), M >= N, and the classes
    in their first N rows, if any, are also those of the real images. Both are the `rows` of the
    batch that this process computes; the result is that of the whole batch. Dropout and
    augmentation are functions of `noise_seed`.
    """
    config = state.config
    rows = rows or MicroBatch.whole(len(real), len(latents))
    inputs = [
        _Inputs(state, micro_batch, rows, real, latents, noise_seed)
        for micro_batch in rows.split(config.accumulate)
    ]
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    gradients, metrics = update(state, inputs, noise_seed)
    if state.ema is not None:
        _update_average(state.ema, state.generator, config.ema_decay(state.step))
    state.step += 1
    return StepResult(metrics, _fingerprint(gradients))


def _simultaneous(
    state: TrainState, inputs: list[_Inputs], seed: int
) -> tuple[list[Tensor], Tensor]:
    """Update both networks by gradients from one backward pass through the discriminator D.

    At a fake x the gradients of the two losses differ by a factor alone, since both losses depend
    on x only by its logit: dL_G/dx = dL_D/dx * (dL_G/dD(x)) / (dL_D/dD(x)).
    """
    loss = LOSSES[state.config.loss]
    d_mean, g_mean = _Mean(state.group, state.discriminator), _Mean(state.group, state.generator)
    d_sum: PendingSum | None = None
    for batch in inputs:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
        with state.autocast():
            fake = state.generate(batch.latents)
            real_pred, fake_pred = batch.judge_real(), batch.judge_fake(fake)
        logits = [pred.detach().float().requires_grad_() for pred in (real_pred, fake_pred)]
        d_loss, g_loss = loss.discriminator(*logits), loss.generator(*logits)
        d_by_real, d_by_fake = torch.autograd.grad(d_loss, logits)
        (g_by_fake,) = torch.autograd.grad(g_loss, logits[1:])
        # A fake that fools D not at all has next to no weight in L_D, but its full weight in L_G.
        d_by_fake = torch.where(d_by_fake.abs() < _TINY, _TINY, d_by_fake)
        outputs, slopes = [real_pred, fake_pred], [d_by_real, d_by_fake]
        if _is_penalty_due(state):
            outputs.append(_penalty(state, batch))
            slopes.append(torch.ones_like(outputs[-1]))
        *d_gradients, d_by_images = torch.autograd.grad(
            outputs,
            [*state.discriminator.parameters(), fake],
            [slope.to(output.dtype) for slope, output in zip(slopes, outputs, strict=True)],
        )
        d_mean.add(batch.weight, d_gradients)
        if batch is inputs[-1]:  # summed while the generator's gradient is computed
            d_sum = d_mean.begin_sum()
        g_by_images = d_by_images * (g_by_fake / d_by_fake).view(-1, 1, 1, 1)
        g_gradients = torch.autograd.grad(
            fake, list(state.generator.parameters()), g_by_images.to(fake.dtype)
        )
        g_mean.add(batch.weight, [*g_gradients, _metrics(loss, g_loss, d_loss, *logits)])
    g_sum = g_mean.begin_sum()
    assert d_sum is not None
    d_total = d_sum.wait()
    state.update_discriminator(d_total)
    *g_total, metrics = g_sum.wait()
    state.update_generator(g_total)
    return [*d_total, *g_total], metrics


def _alternating(
    state: TrainState, inputs: list[_Inputs], seed: int
) -> tuple[list[Tensor], Tensor]:
    """Update the discriminator, and then the generator by its loss with the new discriminator."""
    loss = LOSSES[state.config.loss]
    d_mean, g_mean = _Mean(state.group, state.discriminator), _Mean(state.group, state.generator)
    first_passes = []
    for batch in inputs:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
        with state.autocast():
            fake = state.generate(batch.latents)
            preds = batch.judge_both(fake.detach()).float()
        real_pred, fake_pred = preds[: len(batch.real)], preds[len(batch.real) :]
        d_loss = loss.discriminator(real_pred, fake_pred)
        objective = d_loss + _penalty(state, batch) if _is_penalty_due(state) else d_loss
        d_mean.add(
            batch.weight, torch.autograd.grad(objective, [*state.discriminator.parameters()])
        )
        # Micro-batches are there to save memory, so the fakes of several are generated again.
        kept = fake if len(inputs) == 1 else None
        first_passes.append((batch, kept, real_pred.detach(), fake_pred.detach(), d_loss.detach()))
        del fake
    d_total = d_mean.begin_sum().wait()
    state.update_discriminator(d_total)
    for batch, kept, real_pred, fake_pred, d_loss in first_passes:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT_AGAIN)
        with state.autocast():
            fake = state.generate(batch.latents) if kept is None else kept
            new_fake_pred = batch.judge_fake(fake).float()
        g_loss = loss.generator(real_pred, new_fake_pred)
        g_gradients = torch.autograd.grad(g_loss, list(state.generator.parameters()))
        metrics = _metrics(loss, g_loss, d_loss, real_pred, fake_pred)
        g_mean.add(batch.weight, [*g_gradients, metrics])
    *g_total, metrics = g_mean.begin_sum().wait()
    state.update_generator(g_total)
    return [*d_total, *g_total], metrics


def _is_penalty_due(state: TrainState) -> bool:
    return state.config.r1_weight > 0 and state.step % state.config.r1_interval == 0


def _penalty(state: TrainState, batch: _Inputs) -> Tensor:
    """Return R1 at the augmented real images, times the number of steps until it is due again.

    Lazy regularization: Karras et al. 2020 (StyleGAN2), section 3.1. The penalty has a forward pass
    of its own.
    """
    config = state.config
    real = batch.augment(batch.real, batch.real_rows).detach().requires_grad_()
    set_dropout_rows(state.discriminator, batch.real_rows)
    with state.autocast():
        pred = state.discriminator(real, batch.real_classes).float()
    return config.r1_weight * config.r1_interval * r1_penalty(pred, real)


def _metrics(
    loss: AdversarialLoss, g_loss: Tensor, d_loss: Tensor, real_pred: Tensor, fake_pred: Tensor
) -> Tensor:
    """Return the STEP_METRICS of a micro-batch, (4,)."""
    probabilities = loss.probabilities(real_pred.detach(), fake_pred.detach())
    return torch.stack([g_loss.detach(), d_loss.detach(), *probabilities]).float()


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`: the weights exponentially (Yazici et al. 2019)."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


class _Inputs:
    """The images and latents of a micro-batch, and what the discriminator makes of them."""

    def __init__(
        self,
        state: TrainState,
        rows: MicroBatch,
        held: MicroBatch,
        real: Tensor,
        latents: Tensor,
        noise_seed: int,
    ) -> None:
        self._state = state
        self.weight = rows.weight
        self.real_rows, self.fake_rows = rows.real_rows, rows.fake_rows
        self.real = self.real_rows.select(real, held.real_rows)
        self.latents = self.fake_rows.select(latents, held.fake_rows)
        self.fake_classes: Tensor | None = None
        """One-hot (M, K)."""
        self.real_classes: Tensor | None = None
        if state.config.network.num_classes:
            self.fake_classes = self.latents[:, state.config.network.latent_dim :]
            self.real_classes = self.fake_classes[: len(self.real)]
        self.augment = Augmentation(state.config.augment, noise_seed ^ Use.AUGMENTATION)

    def judge_real(self) -> Tensor:
        """Return the logits of the real images, (N, 1)."""
        return self._judge(self.real, self.real_classes, self.real_rows)

    def judge_fake(self, fake: Tensor) -> Tensor:
        """Return the logits of the fakes, (M, 1)."""
        return self._judge(fake, self.fake_classes, self.fake_rows)

    def judge_both(self, fake: Tensor) -> Tensor:
        """Return the logits of real images and fakes from one pass, which is faster than two."""
        images = torch.cat([self.real, fake.to(self.real.dtype)])
        classes = self.fake_classes
        if classes is not None:
            classes = torch.cat([classes[: len(self.real)], classes])
        return self._judge(images, classes, self.real_rows + self.fake_rows)

    def _judge(self, images: Tensor, classes: Tensor | None, rows: Rows) -> Tensor:
        set_dropout_rows(self._state.discriminator, rows)
        logits: Tensor = self._state.judge(self.augment(images, rows), classes)
        return logits


class _Mean:
    """The gradients of a network, and more tensors, averaged over micro-batches and processes."""

    def __init__(self, group: Group, network: nn.Module) -> None:
        self._group = group
        self._network = network
        self._tensors: list[Tensor] = []

    def add(self, weight: float, tensors: Sequence[Tensor]) -> None:
        """Add the means over a micro-batch of this weight."""
        terms = list(tensors) if weight == 1 else list(torch._foreach_mul(list(tensors), weight))
        self._tensors = list(torch._foreach_add(self._tensors, terms)) if self._tensors else terms

    def begin_sum(self) -> PendingSum:
        """Begin to add up the means of all processes."""
        parameters = list(self._network.parameters())
        others = self._tensors[len(parameters) :]
        return self._group.begin_sum(self._tensors, like=[*parameters, *others])


def gradient_names(state: TrainState) -> list[str]:
    """Return the names of all parameters, in the order of `StepResult.gradients`."""
    networks = {"discriminator": state.discriminator, "generator": state.generator}
    return [
        f"{network} {name}"
        for network, module in networks.items()
        for name, _ in module.named_parameters()
    ]


def _fingerprint(gradients: list[Tensor]) -> Tensor:
    """Return a number for each gradient, finite if all of the gradient is."""
    if gradients[0].device.type == "cpu":  # where sums are faster than norms
        return torch.stack([gradient.sum() for gradient in gradients]).float()
    return torch.stack(torch._foreach_norm(gradients)).float()
