"""The training step, of both networks and the moving average: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.batch import MicroBatch, Rows
from ganctl.distributed.group import Group, PendingSum
from ganctl.losses import LOSSES, AdversarialLoss, r1_penalty
from ganctl.networks.dropout import seed_dropout, set_dropout_rows
from ganctl.rng import Use
from ganctl.training.augment import Augmentation
from ganctl.training.schedules import ema_decay
from ganctl.training.state import TrainState, trained

_TINY = 1e-12
"""A derivative by a logit below this adds nothing to a gradient in fp32, but can be divided by."""


class StepResult(NamedTuple):
    """The metrics of a step, and whether its gradients are finite; float32 on the device."""

    metrics: Tensor
    """STEP_METRICS of `ganctl.history`, (4,)."""
    gradients: Tensor
    """A number for each of `gradient_names`, finite if every element of that gradient is."""


def train_step(
    state: TrainState,
    real: Tensor,
    latents: Tensor,
    noise_seed: int,
    rows: MicroBatch | None = None,
) -> StepResult:
    """Update `state` in place, and return its metrics, without waiting for the device.

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
        _Inputs(
            state,
            part,
            part.real_rows.select(real, rows.real_rows),
            part.fake_rows.select(latents, rows.fake_rows),
            Augmentation(config.augment, noise_seed ^ Use.AUGMENTATION),
        )
        for part in rows.split(config.accumulate)
    ]
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    gradients, metrics = update(state, inputs, noise_seed)
    if state.ema is not None:
        _update_average(state.ema, state.generator, ema_decay(config, state.step))
    state.step += 1
    return StepResult(metrics, _fingerprint(gradients))


def trial_step(state: TrainState, batch_size: int, *, number: int = 1) -> None:
    """Take step `number` on `batch_size` blank images, to see what it takes; spoils `state`.

    An R1 penalty is due in step 0.
    """
    network = state.config.network
    real = torch.zeros(batch_size, *network.image_shape, device=state.device)
    latents = torch.zeros(batch_size, network.input_dim, device=state.device)
    state.step = number
    train_step(state, real, latents, noise_seed=0)


def _simultaneous(
    state: TrainState, inputs: list[_Inputs], seed: int
) -> tuple[list[Tensor], Tensor]:
    """Update both networks by gradients from one backward pass through the discriminator D.

    At a fake x the gradients of the two losses differ by a factor alone, since both losses depend
    on x only by its logit: dL_G/dx = dL_D/dx * (dL_G/dD(x)) / (dL_D/dD(x)). Where there are more
    logits, of feature maps, the generator's gradient takes a pass of its own.
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
        if (penalty := _penalty(state, batch)) is not None:
            outputs.append(penalty)
            slopes.append(torch.ones_like(penalty))
        slopes = [slope.to(output.dtype) for slope, output in zip(slopes, outputs, strict=True)]
        parameters = trained(state.discriminator)
        is_shared = fake_pred.shape[1] == 1  # one backward pass serves both losses
        found = torch.autograd.grad(
            outputs, [*parameters, fake] if is_shared else parameters, slopes,
            retain_graph=not is_shared,
        )  # fmt: skip
        d_gradients = list(found[: len(parameters)])
        d_mean.add(batch.rows.weight, d_gradients)
        if batch is inputs[-1]:  # summed while the generator's gradient is computed
            d_sum = d_mean.begin_sum()
        if is_shared:
            g_by_images = found[-1] * (g_by_fake / d_by_fake).view(-1, 1, 1, 1)
        else:
            (g_by_images,) = torch.autograd.grad(fake_pred, fake, g_by_fake.to(fake_pred.dtype))
        g_gradients = torch.autograd.grad(
            fake, list(state.generator.parameters()), g_by_images.to(fake.dtype)
        )
        g_mean.add(batch.rows.weight, [*g_gradients, _metrics(loss, g_loss, d_loss, *logits)])
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
        penalty = _penalty(state, batch)
        objective = d_loss if penalty is None else d_loss + penalty
        d_gradients = torch.autograd.grad(objective, trained(state.discriminator))
        d_mean.add(batch.rows.weight, d_gradients)
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
        g_mean.add(batch.rows.weight, [*g_gradients, metrics])
    *g_total, metrics = g_mean.begin_sum().wait()
    state.update_generator(g_total)
    return [*d_total, *g_total], metrics


def _penalty(state: TrainState, batch: _Inputs) -> Tensor | None:
    """Return R1 at the augmented real images if it is due, from a forward pass of its own.

    It counts for all steps until it is due again: lazy regularization, Karras et al. 2020
    (StyleGAN2), section 3.1. Only the logit of the pixels is penalized.
    """
    config = state.config
    if config.r1_weight == 0 or state.step % config.r1_interval:
        return None
    real = batch.augment(batch.real, batch.rows.real_rows).detach().requires_grad_()
    set_dropout_rows(state.discriminator, batch.rows.real_rows)
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
    """Update the exponential moving average of the weights (Yazici et al. 2019); copy buffers."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


@dataclass(frozen=True)
class _Inputs:
    """The images and latents of a micro-batch, and the discriminator's logits for them."""

    state: TrainState
    rows: MicroBatch
    real: Tensor
    latents: Tensor
    augment: Augmentation

    @property
    def fake_classes(self) -> Tensor | None:
        """Classes of the fakes, one-hot (M, K); the first N are those of the real images."""
        network = self.state.config.network
        return self.latents[:, network.latent_dim :] if network.num_classes else None

    @property
    def real_classes(self) -> Tensor | None:
        classes = self.fake_classes
        return None if classes is None else classes[: len(self.real)]

    def judge_real(self) -> Tensor:
        return self._judge(self.real, self.real_classes, self.rows.real_rows)

    def judge_fake(self, fake: Tensor) -> Tensor:
        return self._judge(fake, self.fake_classes, self.rows.fake_rows)

    def judge_both(self, fake: Tensor) -> Tensor:
        # One pass is faster than two: the cost of small networks is per call as well as per image.
        images = torch.cat([self.real, fake.to(self.real.dtype)])
        classes = self.fake_classes
        if classes is not None:
            classes = torch.cat([classes[: len(self.real)], classes])
        return self._judge(images, classes, self.rows.real_rows + self.rows.fake_rows)

    def _judge(self, images: Tensor, classes: Tensor | None, rows: Rows) -> Tensor:
        set_dropout_rows(self.state.discriminator, rows)
        images = self.augment(images, rows)
        maps = () if self.state.feature_maps is None else (self.state.feature_maps(images),)
        logits: Tensor = self.state.judge(images, classes, *maps)
        return logits


class _Mean:
    """The gradients of a network, and more tensors, averaged over micro-batches and processes."""

    def __init__(self, group: Group, network: nn.Module) -> None:
        self._group = group
        self._network = network
        self._tensors: list[Tensor] = []

    def add(self, weight: float, tensors: Sequence[Tensor]) -> None:
        terms = list(tensors) if weight == 1 else list(torch._foreach_mul(list(tensors), weight))
        self._tensors = list(torch._foreach_add(self._tensors, terms)) if self._tensors else terms

    def begin_sum(self) -> PendingSum:
        parameters = trained(self._network)
        others = self._tensors[len(parameters) :]
        return self._group.begin_sum(self._tensors, like=[*parameters, *others])


def gradient_names(state: TrainState) -> list[str]:
    """Return the names of all trained parameters, in the order of `StepResult.gradients`."""
    return [
        f"{part} {name}"
        for part in ("discriminator", "generator")
        for name, parameter in getattr(state, part).named_parameters()
        if parameter.requires_grad
    ]


def _fingerprint(gradients: list[Tensor]) -> Tensor:
    if gradients[0].device.type == "cpu":  # where sums are faster than norms
        return torch.stack([gradient.sum() for gradient in gradients]).float()
    return torch.stack(torch._foreach_norm(gradients)).float()
