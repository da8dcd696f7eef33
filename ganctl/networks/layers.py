"""Layers that both architectures share, and a network layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_MOST = 8


def widened(base: int, doublings: int) -> int:
    """Channels after so many doublings of `base`, of which a layer has eight times at the most."""
    return base * min(1 << doublings, _MOST)


class ToImage(nn.Module):
    """vectors (N, H*W*C), channels last as in Keras, → images (N, C, H, W); copies nothing."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.view(-1, *self.shape).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"{self.shape}"


class Logit(nn.Linear):
    """vectors (N, F) → one logit each, (N, 1).

    With classes, as one-hot vectors (N, K), it is the sum of one that all share and of the class's
    own: the projection discriminator, Miyato & Koyama 2018, eq. 3.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, 1 + num_classes)

    def forward(self, vectors: Tensor, classes: Tensor | None = None) -> Tensor:
        logits = super().forward(vectors)
        if classes is None:
            return logits[:, :1]
        return logits[:, :1] + (logits[:, 1:] * classes).sum(1, keepdim=True)


class ToVector(nn.Module):
    """images (N, C, H, W) → vectors (N, H*W*C), channels last as in Keras.

    Copies nothing in the channels-last layout, where torch's own Flatten does, and slows down
    everything that its differently laid out gradients meet.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


@dataclass(frozen=True)
class Layer:
    """One layer as a table's row."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Without the batch."""
    trained: int
    """Parameters that the optimizer changes."""
    kept: int
    """Running statistics, which Keras counts as parameters too."""

    @property
    def parameters(self) -> int:
        """All of them, as Keras counts."""
        return self.trained + self.kept


def layer_table(network: nn.Module, *input_shapes: tuple[int, ...]) -> list[Layer]:
    """Every leaf of `network`, built on the meta device, in the order data flows through it.

    `input_shapes`, one an argument, are without the batch.
    """
    rows: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def record(module: nn.Module, _: object, output: Tensor) -> None:
        rows.append(
            Layer(
                name=names[module],
                kind=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                trained=sum(parameter.numel() for parameter in module.parameters()),
                kept=sum(b.numel() for b in module.buffers() if b.is_floating_point()),
            )
        )

    hooks = [module.register_forward_hook(record) for module in names if not any(module.children())]
    with torch.no_grad():
        network(*(torch.empty(2, *shape, device="meta") for shape in input_shapes))
    for hook in hooks:
        hook.remove()
    return rows


def is_run_here(x: Tensor) -> bool:
    """Return whether `x` is computed on this CPU, and not only traced to be computed elsewhere."""
    return x.device.type == "cpu" and not torch._C._is_tracing()
