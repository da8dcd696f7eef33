"""Batch normalization over a whole batch of which each process has a share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganctl.distributed.group import SINGLE, Group


def synchronized(network: nn.Module, group: Group) -> nn.Module:
    """Return `network` with batch normalization over all processes of `group`.

    Its weights and buffers and their names stay the same.
    """
    if next(network.parameters()).device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(network)  # type: ignore[no-untyped-call]
        return converted
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                replacement = SyncBatchNorm(child.num_features, child.eps, child.momentum)
                replacement.load_state_dict(child.state_dict())
                replacement.group = group
                setattr(parent, name, replacement)
    return network


class SyncBatchNorm(_BatchNorm):
    """nn.SyncBatchNorm for CPUs, since torch has it only for GPUs; for (N, C) or (N, C, H, W)."""

    group: Group = SINGLE

    def _check_input_dim(self, x: Tensor) -> None:
        """Accept any input; the base class is abstract."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        output: Tensor
        output, mean, variance, count = _Normalize.apply(
            x, self.weight, self.bias, self.eps, self.group
        )
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return output


class _Normalize(torch.autograd.Function):
    """Normalization over all processes: Ioffe & Szegedy 2015, algorithm 1, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, group: Group
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own_count = x.numel() // x.shape[1]
        # Many times as fast as var_mean for channels-last tensors. The variance is the biased one.
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = torch.batch_norm_update_stats(precise, None, None, 0.0)
        # The statistics of all processes are combined, since sums of squares would cancel.
        table = torch.stack([mean, variance, torch.full_like(mean, own_count)])
        means, variances, counts = group.all_gather(table).unbind(1)
        count = counts.sum(0)
        mean = (means * counts).sum(0) / count
        variance = ((variances + (means - mean).square()) * counts).sum(0) / count
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.group = group
        shape = _shape(x)
        factor = weight * scale
        output = torch.addcmul((bias - mean * factor).view(shape), x, factor.view(shape))
        output = output.to(x.dtype)
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        shape = _shape(x)
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, scale, True, 0.0, [False, True, True]
        )
        sums = torch.stack([by_bias, by_weight])
        mean_gradient, mean_product = ctx.group.all_gather(sums).sum(0) / count
        # weight * scale * (gradient - its mean - normalized x * mean of gradient * normalized x)
        factor = weight * scale
        slope = -factor * mean_product * scale
        offset = -factor * mean_gradient - slope * mean
        result = torch.addcmul(offset.view(shape), x, slope.view(shape))
        result.addcmul_(gradient, factor.view(shape))
        return result.to(x.dtype), by_weight, by_bias, None, None


def _shape(x: Tensor) -> list[int]:
    return [1, -1, *[1] * (x.ndim - 2)]
