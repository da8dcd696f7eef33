"""Adversarial losses: pure functions of logits.

`real_pred` and `fake_pred` are the discriminator's logits, float (N, 1), of real and of generated
images. Every loss is a mean over the batch, a scalar. Logits are (N, 1+P) where a discriminator
also judges feature maps: the loss of the maps' P logits is added, times `FEATURE_WEIGHT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

FEATURE_WEIGHT = 0.3
"""Weight of the losses of logits of feature maps, beside that of the pixels' logits."""
FEATURE_R1_WEIGHT = 0.001
"""Gamma of the R1 penalty of logits of feature maps. With 0.03 or more they guide too weakly."""


def discriminator_loss(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
    """Return the binary cross-entropy of real images against 1 plus that of fakes against 0.

    Goodfellow et al. 2014, eq. 1, as a loss.
    """
    real = F.binary_cross_entropy_with_logits(real_pred, torch.ones_like(real_pred))
    fake = F.binary_cross_entropy_with_logits(fake_pred, torch.zeros_like(fake_pred))
    return real + fake


def generator_loss(fake_pred: Tensor) -> Tensor:
    """Return the binary cross-entropy of fakes against 1, the non-saturating loss.

    Goodfellow et al. 2014, section 3.
    """
    return F.binary_cross_entropy_with_logits(fake_pred, torch.ones_like(fake_pred))


def relativistic_discriminator_loss(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
    """Return a loss that is low if each real image looks more real than the fake paired with it.

    Jolicoeur-Martineau 2018 (RSGAN); Huang et al. 2024 (R3GAN), eq. 2.
    """
    return F.softplus(-_paired_difference(real_pred, fake_pred)).mean()


def relativistic_generator_loss(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
    """Return a loss that is low if each fake looks more real than the image paired with it.

    The generator's side of the same game.
    """
    return F.softplus(_paired_difference(real_pred, fake_pred)).mean()


def r1_penalty(real_pred: Tensor, real: Tensor) -> Tensor:
    """Return half the mean squared norm of the discriminator's gradient at the real images.

    Mescheder et al. 2018, eq. 9, without its factor gamma. `real`, (N, C, H, W), must require a
    gradient. The result can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(real_pred.sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def feature_r1_penalty(real_pred: Tensor, maps: Sequence[Tensor]) -> Tensor:
    """Return half the squared norm of the gradient of the sum of all logits, over their number.

    The logits of feature maps are (N, P). `maps` are those of real images, each (N, C, H, W), and
    must require a gradient. Each logit depends on its part of one map, so the result does not grow
    with the maps' size. Maps in bf16 have gradients in bf16, which are squared in float32.
    """
    gradients = torch.autograd.grad(real_pred.sum(), maps, create_graph=True)
    squared = [each.float().square().sum() for each in gradients]
    return torch.stack(squared).sum() / (2 * real_pred.numel())


def _paired_difference(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
    # The last batch of an epoch may have more fakes than real images: the others have no pair.
    return real_pred - fake_pred[: len(real_pred)]


def _with_features(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def total(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
        pixels = loss(real_pred[:, :1], fake_pred[:, :1])
        if real_pred.shape[1] == 1:
            return pixels
        return pixels + FEATURE_WEIGHT * loss(real_pred[:, 1:], fake_pred[:, 1:])

    return total


def _of_pixels(
    probabilities: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return lambda real_pred, fake_pred: probabilities(real_pred[:, :1], fake_pred[:, :1])


def _bce_probabilities(real_pred: Tensor, fake_pred: Tensor) -> tuple[Tensor, Tensor]:
    return real_pred.sigmoid().mean(), fake_pred.sigmoid().mean()


def _relativistic_probabilities(real_pred: Tensor, fake_pred: Tensor) -> tuple[Tensor, Tensor]:
    difference = _paired_difference(real_pred, fake_pred)
    return difference.sigmoid().mean(), (-difference).sigmoid().mean()


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of both networks, and the probabilities that the logits stand for.

    All functions take (real_pred, fake_pred), (N, 1) or (N, 1+P).
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    probabilities: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """Mean D(x) and D(G(z)): the probability that an image is real (`relativistic`: more real than
    the one paired with it). Both are 0.5 at the equilibrium."""


LOSSES: dict[str, AdversarialLoss] = {
    "bce": AdversarialLoss(
        _with_features(discriminator_loss),
        _with_features(lambda _, fake_pred: generator_loss(fake_pred)),
        _of_pixels(_bce_probabilities),
    ),
    "relativistic": AdversarialLoss(
        _with_features(relativistic_discriminator_loss),
        _with_features(relativistic_generator_loss),
        _of_pixels(_relativistic_probabilities),
    ),
}
"""The losses by the names that a config's `loss` takes."""
