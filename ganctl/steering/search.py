"""The search for the latent whose image is nearest to a given one.

The distance is the mean squared difference of pixels. It has many local minima, so the search
begins with many random latents and becomes more precise, and more expensive, with fewer of them:
Adam (Kingma & Ba 2015) moves the nearest ones, and the Levenberg-Marquardt method (Marquardt 1963)
finishes the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from ganctl import latents, machine, sampling
from ganctl.config.schema import NetworkConfig
from ganctl.rng import Stream

_NUM_CANDIDATES = 2048
"""Number of random latents whose images are compared with each target."""
_NUM_STARTS, _ADAM_STEPS = 16, 100
_LEARNING_RATE, _LAST_LEARNING_RATE = 0.1, 0.03
_NUM_FINISHED, _MAX_ITERATIONS = 4, 30
"""Number of starts that are finished, and Levenberg-Marquardt's maximum number of iterations."""
_DIFFERENCE = 1e-2
"""Step of the one-sided differences, of latents with standard deviation 1. Rounding in float32
makes much smaller steps useless."""
_LONGEST_STEP = 1.5
_INVISIBLE = (2 / 255) ** 2 / 12
"""Mean squared difference that rounding to bytes causes: nothing below it can be seen."""
_LEAST_GAIN = 1e-3
"""Relative decrease of the distance; after three steps with less, a search ends."""


class _Point(NamedTuple):
    latent: Tensor
    """(latent_dim,)."""
    classes: Tensor
    """One-hot class, (num_classes,)."""
    distance: float


class Search:
    """A search for latents of one generator, which is in eval mode on the CPU."""

    def __init__(self, generator: nn.Module, network: NetworkConfig) -> None:
        self._generator = generator
        self._network = network
        self._chunk = sampling.chunk_size(network)
        jacobian = (network.latent_dim + 3) * math.prod(network.image_shape) * 4
        needed = jacobian + sampling.drawing_bytes(network)
        machine.require_memory(needed, "searching for a latent")

    def run(
        self,
        targets: Tensor,
        labels: Sequence[int] | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """Return the inputs of the images nearest to `targets`, float32 (N, input_dim).

        `targets` are (N, C, H, W) in [-1, 1]. Without `labels`, (N,), the class is searched for,
        too. Each result is a function of its own target and label alone. `progress` is called with
        the number of targets that are done.
        """
        starts = self._starts(targets, labels)
        found = torch.empty(len(targets), self._network.input_dim)
        for number, (target, inputs) in enumerate(zip(targets, starts, strict=True)):
            moved = self._adam(inputs, target)
            finished = [self._finish(point, target) for point in moved[:_NUM_FINISHED]]
            best = min(finished, key=lambda point: point.distance)
            found[number] = torch.cat([best.latent, best.classes])
            progress(number + 1)
        return found

    def _starts(self, targets: Tensor, labels: Sequence[int] | None) -> list[Tensor]:
        """Return the nearest random inputs for each target, (N, input_dim)."""
        if labels is None:
            return self._nearest(targets, None)
        found: dict[int, Tensor] = {}
        for label in sorted(set(labels)):
            members = [place for place, each in enumerate(labels) if each == label]
            found |= zip(members, self._nearest(targets[members], label), strict=True)
        return [found[place] for place in range(len(labels))]

    @torch.no_grad()
    def _nearest(self, targets: Tensor, label: int | None) -> list[Tensor]:
        random = Stream.PROJECTION.generator()
        points = latents.draw(random, _NUM_CANDIDATES, self._network.latent_dim)
        if count := self._network.num_classes:
            numbers = torch.arange(len(points)) % count
            if label is not None:
                numbers = torch.full_like(numbers, label)
            points = latents.with_classes(points, numbers, count)
        chunks = [
            torch.stack([_distances(images, target) for target in targets])
            for images in self._images(points)
        ]
        nearest = torch.cat(chunks, 1).topk(_NUM_STARTS, largest=False).indices
        return list(points[nearest])

    def _images(self, points: Tensor) -> Iterator[Tensor]:
        for chunk in torch.split(points, self._chunk):
            yield self._generator(chunk)

    def _adam(self, inputs: Tensor, target: Tensor) -> list[_Point]:
        """Return the points that Adam reaches from `inputs`, (N, input_dim), the nearest first."""
        reached: list[_Point] = []
        for part in torch.split(inputs, self._chunk):
            values, classes = torch.tensor_split(part, [self._network.latent_dim], 1)
            values = values.clone().requires_grad_()
            optimizer = torch.optim.Adam([values], lr=_LEARNING_RATE, betas=(0.9, 0.99))
            schedule = CosineAnnealingLR(optimizer, _ADAM_STEPS, eta_min=_LAST_LEARNING_RATE)
            for _ in range(_ADAM_STEPS):
                optimizer.zero_grad()
                distances = _distances(self._generator(torch.cat([values, classes], 1)), target)
                distances.sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                final = _distances(self._generator(torch.cat([values, classes], 1)), target)
            reached += map(_Point, values.detach(), classes, final.tolist())
        return sorted(reached, key=lambda point: point.distance)

    @torch.no_grad()
    def _finish(self, start: _Point, target: Tensor) -> _Point:
        """Return the end of a Levenberg-Marquardt search that begins at `start`.

        With the residuals r and their Jacobian J, a step solves
        (J'J + lambda diag(J'J)) step = J'r (Nocedal & Wright 2006, section 10.3). J is found by
        one-sided differences, which any generator allows.
        """
        latent, classes, distance = start
        steps = _DIFFERENCE * torch.eye(len(latent))
        damping, idle = 1e-2, 0
        image = self._render(latent[None], classes)[0]
        for _ in range(_MAX_ITERATIONS):
            jacobian = (self._render(latent + steps, classes) - image) / _DIFFERENCE  # transposed
            products = jacobian @ jacobian.T
            gradient = jacobian @ (image - target.flatten())
            diagonal = products.diagonal()
            scaled = torch.diag(damping * (diagonal + 1e-3 * diagonal.mean()))
            step = torch.linalg.lstsq(products + scaled, gradient).solution
            step *= min(1.0, _LONGEST_STEP / max(float(step.norm()), _LONGEST_STEP))
            moved = self._render((latent - step)[None], classes)[0]
            reached = float(functional.mse_loss(moved, target.flatten()))
            if reached < distance:
                idle = idle + 1 if reached > (1 - _LEAST_GAIN) * distance else 0
                latent, image, distance = latent - step, moved, reached
                damping = max(damping * 0.3, 1e-7)
            else:
                damping = min(damping * 4, 1e7)
            if idle == 3 or distance < _INVISIBLE:
                break
        return _Point(latent, classes, distance)

    def _render(self, points: Tensor, classes: Tensor) -> Tensor:
        """Return the images of latents (N, latent_dim), all of one class, as (N, C * H * W)."""
        inputs = torch.cat([points, classes.expand(len(points), -1)], 1)
        return torch.cat([images.flatten(1) for images in self._images(inputs)])


def _distances(images: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of each image, (N, C, H, W), from the target, (N,)."""
    return (images - target).square().flatten(1).mean(1)
