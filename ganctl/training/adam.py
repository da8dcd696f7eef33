"""Adam (Kingma & Ba 2015, algorithm 1) on the parameters of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import adam

from ganctl.checkpoint import MOMENTS, Weights


class Adam:
    """The optimizer of a network: its moving averages, by parameter name, and its steps.

    By the function that torch's class of this name calls. The class itself makes torch import its
    compiler, which takes more than a second, and does more per step than small networks take.
    """

    def __init__(self, network: nn.Module, betas: tuple[float, float]) -> None:
        self.betas = betas
        self.moments: dict[str, Weights] = {
            # zeros_like keeps the parameter's memory layout, which the fused kernel relies on
            moment: {name: torch.zeros_like(each) for name, each in network.named_parameters()}
            for moment in MOMENTS
        }
        named = {n: each for n, each in network.named_parameters() if each.requires_grad}
        self._parameters: list[Tensor] = [*named.values()]
        self._averages, self._squares = (
            [self.moments[moment][name] for name in named] for moment in MOMENTS
        )
        device = next(iter(network.parameters())).device
        self._fused = device.type in ("cpu", "cuda")  # one kernel for all parameters
        where = device if device.type == "cuda" else "cpu"
        self.steps = [torch.zeros((), device=where) for _ in named]

    def restore(self, moments: Mapping[str, Weights], step: int) -> None:
        """Continue after `step` steps that left these `moments`."""
        for moment, weights in moments.items():
            for name, kept in self.moments[moment].items():
                kept.copy_(weights[name])
        for each in self.steps:
            each.fill_(step)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float | Tensor) -> None:
        """Move the trained parameters by their `gradients`, in the order of the network."""
        # The fused kernel reads all in the order of memory; R1's gradients come in another layout.
        laid_out = [
            gradient
            if gradient.stride() == parameter.stride()
            else torch.empty_like(parameter).copy_(gradient)
            for parameter, gradient in zip(self._parameters, gradients, strict=True)
        ]
        adam.adam(
            self._parameters, laid_out, self._averages, self._squares, [], self.steps,
            fused=self._fused, foreach=False, amsgrad=False,
            beta1=self.betas[0], beta2=self.betas[1], lr=rate,
            weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip
