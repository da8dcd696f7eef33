"""The training step, of both networks and the moving average: tensors in, tensors out."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganctl.batch import MicroBatch, Rows
from ganctl.distributed.group import Group, PendingSum
from ganctl.losses import (
    FEATURE_R1_WEIGHT,
    LOSSES,
    AdversarialLoss,
    feature_r1_penalty,
    r1_penalty,
)
from ganctl.networks.dropout import seed_dropout, set_dropout_rows
from ganctl.rng import Use
from ganctl.training.augment import Augmentation
from ganctl.training.schedules import has_penalty
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
            noise_seed,
        )
        for part in rows.split(config.accumulate * state.workers.count)
    ]
    at_once = state.workers.count
    rounds = [inputs[start : start + at_once] for start in range(0, len(inputs), at_once)]
    update = _simultaneous if config.updates == "simultaneous" else _alternating
    gradients, metrics = update(state, rounds, noise_seed)
    if state.ema is not None:
        _update_average(state.ema, state.generator, state.scheduled().ema_weight)
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


_Passes = tuple[list[Tensor], Callable[[], list[Tensor]]]
"""The discriminator's gradients of a micro-batch, and what computes those of the generator from the
same graph. Metrics come after the latter."""


def _simultaneous(
    state: TrainState, rounds: list[list[_Inputs]], seed: int
) -> tuple[list[Tensor], Tensor]:
    """Update both networks by gradients with respect to the same weights."""
    d_mean, g_mean = _Mean(state.group, state.discriminator), _Mean(state.group, state.generator)
    d_sum: PendingSum | None = None
    for parts in rounds:
        found = state.workers.map(functools.partial(_one_pass, state, seed), parts)
        d_mean.add(parts, [gradients for gradients, _ in found])
        if parts is rounds[-1]:  # summed while the generator's gradient is computed
            d_sum = d_mean.begin_sum()
        g_mean.add(parts, state.workers.map(operator.call, [generator for _, generator in found]))
    g_sum = g_mean.begin_sum()
    assert d_sum is not None
    d_total = d_sum.wait()
    state.update_discriminator(d_total)
    *g_total, metrics = g_sum.wait()
    state.update_generator(g_total)
    return [*d_total, *g_total], metrics


def _one_pass(state: TrainState, seed: int, batch: _Inputs) -> _Passes:
    """Return the gradients of both networks from one backward pass through the discriminator D.

    At a fake x the gradients of the two losses differ by a factor alone, since both losses depend
    on x only by its logit: dL_G/dx = dL_D/dx * (dL_G/dD(x)) / (dL_D/dD(x)). Where there are more
    logits, of feature maps, the generator's gradient takes a pass of its own.
    """
    loss = LOSSES[state.config.loss]
    seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
    with state.autocast():
        fake, seen = state.generate(batch.latents), batch.see_real()
        real_pred, fake_pred = batch.judge(seen), batch.judge(batch.see_fake(fake))
    logits = [pred.detach().float().requires_grad_() for pred in (real_pred, fake_pred)]
    d_loss, g_loss = loss.discriminator(*logits), loss.generator(*logits)
    d_by_real, d_by_fake = torch.autograd.grad(d_loss, logits)
    (g_by_fake,) = torch.autograd.grad(g_loss, logits[1:])
    # A fake that fools D not at all has next to no weight in L_D, but its full weight in L_G.
    d_by_fake = torch.where(d_by_fake.abs() < _TINY, _TINY, d_by_fake)
    outputs, slopes = [real_pred, fake_pred], [d_by_real, d_by_fake]
    if (penalty := _penalty(state, seen)) is not None:
        outputs.append(penalty)
        slopes.append(torch.ones_like(penalty))
    slopes = [slope.to(output.dtype) for slope, output in zip(slopes, outputs, strict=True)]
    parameters = trained(state.discriminator)
    is_shared = fake_pred.shape[1] == 1  # one backward pass serves both losses
    found = torch.autograd.grad(
        outputs, [*parameters, fake] if is_shared else parameters, slopes,
        retain_graph=not is_shared,
    )  # fmt: skip

    def of_generator() -> list[Tensor]:
        if is_shared:
            by_images = found[-1] * (g_by_fake / d_by_fake).view(-1, 1, 1, 1)
        else:
            (by_images,) = torch.autograd.grad(fake_pred, fake, g_by_fake.to(fake_pred.dtype))
        gradients = torch.autograd.grad(
            fake, list(state.generator.parameters()), by_images.to(fake.dtype)
        )
        return [*gradients, _metrics(loss, g_loss, d_loss, *logits)]

    return list(found[: len(parameters)]), of_generator


def _alternating(
    state: TrainState, rounds: list[list[_Inputs]], seed: int
) -> tuple[list[Tensor], Tensor]:
    """Update the discriminator, and then the generator by its loss with the new discriminator."""
    d_mean, g_mean = _Mean(state.group, state.discriminator), _Mean(state.group, state.generator)
    # Micro-batches in turn are there to save memory: their fakes are generated again.
    first_pass = functools.partial(_first_pass, state, seed, len(rounds) == 1)
    later: list[list[Callable[[], list[Tensor]]]] = []
    for parts in rounds:
        found = state.workers.map(first_pass, parts)
        d_mean.add(parts, [gradients for gradients, _ in found])
        later.append([generator for _, generator in found])
    d_total = d_mean.begin_sum().wait()
    state.update_discriminator(d_total)
    for parts, generators in zip(rounds, later, strict=True):
        g_mean.add(parts, state.workers.map(operator.call, generators))
    *g_total, metrics = g_mean.begin_sum().wait()
    state.update_generator(g_total)
    return [*d_total, *g_total], metrics


def _first_pass(state: TrainState, seed: int, keeps_fakes: bool, batch: _Inputs) -> _Passes:
    """Return the discriminator's gradients, and what computes those of the generator later on."""
    loss = LOSSES[state.config.loss]
    seed_dropout(state.discriminator, seed ^ Use.DROPOUT)
    with state.autocast():
        seen, real = batch.see_fake(state.generate(batch.latents)), batch.see_real()
        preds = batch.judge(real + seen.detach()).float()
    real_pred, fake_pred = preds[: len(batch.real)], preds[len(batch.real) :]
    d_loss = loss.discriminator(real_pred, fake_pred)
    penalty = _penalty(state, real)
    objective = d_loss if penalty is None else d_loss + penalty
    gradients = torch.autograd.grad(objective, trained(state.discriminator))
    real_pred, fake_pred, d_loss = real_pred.detach(), fake_pred.detach(), d_loss.detach()
    kept = seen if keeps_fakes else None

    def of_generator() -> list[Tensor]:
        seed_dropout(state.discriminator, seed ^ Use.DROPOUT_AGAIN)
        with state.autocast():
            again = kept or batch.see_fake(state.generate(batch.latents))
            new_pred = batch.judge(again).float()
        g_loss = loss.generator(real_pred, new_pred)
        gradients = torch.autograd.grad(g_loss, list(state.generator.parameters()))
        return [*gradients, _metrics(loss, g_loss, d_loss, real_pred, fake_pred)]

    return list(gradients), of_generator


def _penalty(state: TrainState, real: _Seen) -> Tensor | None:
    """Return R1 at the augmented real images, and at their feature maps, if it is due.

    It takes a forward pass of its own, and counts for all steps until it is due again: lazy
    regularization, Karras et al. 2020 (StyleGAN2), section 3.1.
    """
    config = state.config
    if not has_penalty(config, state.step):
        return None
    images, *maps = (each.detach().requires_grad_() for each in (real.images, *real.maps))
    real = real._replace(images=images, maps=tuple(maps))
    set_dropout_rows(state.discriminator, real.rows)
    with state.autocast():
        pred = state.discriminator(*real.arguments).float()
    penalty = config.r1_weight * r1_penalty(pred[:, :1], images)
    if maps:
        penalty = penalty + FEATURE_R1_WEIGHT * feature_r1_penalty(pred[:, 1:], maps)
    return config.r1_interval * penalty


def _metrics(
    loss: AdversarialLoss, g_loss: Tensor, d_loss: Tensor, real_pred: Tensor, fake_pred: Tensor
) -> Tensor:
    """Return the STEP_METRICS of a micro-batch, (4,)."""
    probabilities = loss.probabilities(real_pred.detach(), fake_pred.detach())
    return torch.stack([g_loss.detach(), d_loss.detach(), *probabilities]).float()


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, weight: float | Tensor) -> None:
    """Update the exponential moving average of the weights (Yazici et al. 2019); copy buffers."""
    kept: list[Tensor] = [*average.parameters()]
    new: list[Tensor] = [*network.parameters()]
    if isinstance(weight, Tensor):
        torch._foreach_lerp_(kept, new, [weight] * len(kept))
    else:
        torch._foreach_lerp_(kept, new, weight)
    for copied, buffer in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


class _Seen(NamedTuple):
    """Images as the discriminator sees them: augmented, with their feature maps if it has any."""

    images: Tensor
    classes: Tensor | None
    """One-hot, (N, K)."""
    maps: tuple[Tensor, ...]
    rows: Rows

    @property
    def arguments(self) -> tuple[object, ...]:
        """Those of the discriminator, which takes maps only if it has heads for them."""
        return (self.images, self.classes, *((self.maps,) if self.maps else ()))

    def __add__(self, other: _Seen) -> _Seen:  # type: ignore[override]  # tuples concatenate
        """Return both, to be judged in one pass, which is faster than two: calls cost time, too."""
        return _Seen(
            torch.cat([self.images, other.images]),
            None
            if self.classes is None or other.classes is None
            else torch.cat([self.classes, other.classes]),
            tuple(torch.cat(pair) for pair in zip(self.maps, other.maps, strict=True)),
            self.rows + other.rows,
        )

    def detach(self) -> _Seen:
        """Return the same without the graph that leads to the generator."""
        maps = tuple(each.detach() for each in self.maps)
        return self._replace(images=self.images.detach(), maps=maps)


@dataclass(frozen=True)
class _Inputs:
    """The images and latents of a micro-batch, and the discriminator's logits for them."""

    state: TrainState
    rows: MicroBatch
    real: Tensor
    latents: Tensor
    noise_seed: int

    @property
    def fake_classes(self) -> Tensor | None:
        """Classes of the fakes, one-hot (M, K); the first N are those of the real images."""
        network = self.state.config.network
        return self.latents[:, network.latent_dim :] if network.num_classes else None

    @property
    def real_classes(self) -> Tensor | None:
        classes = self.fake_classes
        return None if classes is None else classes[: len(self.real)]

    def see_real(self) -> _Seen:
        rows = self.rows.real_rows
        images = self._augmentation(Use.AUGMENTATION_OF_REAL)(self.real, rows)
        return self._see(images, self.real_classes, rows)

    def see_fake(self, fake: Tensor) -> _Seen:
        rows = self.rows.fake_rows
        images = self._augmentation(Use.AUGMENTATION_OF_FAKES)(fake.to(self.real.dtype), rows)
        return self._see(images, self.fake_classes, rows)

    def _augmentation(self, use: Use) -> Augmentation:
        return Augmentation(self.state.config.augment, self.noise_seed ^ use)

    def _see(self, images: Tensor, classes: Tensor | None, rows: Rows) -> _Seen:
        feature_maps = self.state.feature_maps
        maps = () if feature_maps is None else tuple(feature_maps(images))
        return _Seen(images, classes, maps, rows)

    def judge(self, seen: _Seen) -> Tensor:
        """Return the discriminator's logits, (N, 1) or (N, 1+P)."""
        set_dropout_rows(self.state.discriminator, seen.rows)
        logits: Tensor = self.state.judge(*seen.arguments)
        return logits


class _Mean:
    """The gradients of a network, and more tensors, averaged over micro-batches and processes."""

    def __init__(self, group: Group, network: nn.Module) -> None:
        self._group = group
        self._network = network
        self._tensors: list[Tensor] = []

    def add(self, parts: Sequence[_Inputs], found: Sequence[list[Tensor]]) -> None:
        """Add what was found for each part, in their order."""
        for part, tensors in zip(parts, found, strict=True):
            weight = part.rows.weight
            terms = tensors if weight == 1 else torch._foreach_mul(tensors, weight)
            if self._tensors:
                terms = torch._foreach_add(self._tensors, terms)
            self._tensors = list(terms)

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
