"""Batch normalization over the whole batch where each process has a share of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganctl.distributed.group import SINGLE, Group


def synchronized(network: nn.Module, group: Group) -> nn.Module:
    """`network` with every batch normalization taking its statistics from all of `group`.

    Its weights, buffers and their names stay as they are.
    """
    if next(network.parameters()).device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(network)  # type: ignore[no-untyped-call]
        return converted
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, _on_cpus(child, group))
    return network


class SyncBatchNorm(_BatchNorm):
    """nn.SyncBatchNorm, which torch has for GPUs alone, for CPUs. x is (N, C) or (N, C, H, W)."""

    group: Group = SINGLE

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions from two on."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        output, mean, variance, count = _Normalize.apply(
            x, self.weight, self.bias, self.eps, self.group
        )
        with torch.no_grad():
            assert self.momentum is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        normalized: Tensor = output
        return normalized


def _on_cpus(module: _BatchNorm, group: Group) -> SyncBatchNorm:
    found = SyncBatchNorm(module.num_features, module.eps, module.momentum)
    found.load_state_dict(module.state_dict())
    found.group = group
    return found


class _Normalize(torch.autograd.Function):
    """Ioffe & Szegedy 2015, algorithm 1, and its gradient (section 3), over all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, group: Group
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        each = x.numel() // x.shape[1]
        # Many times as fast as var_mean where the channels come last; the variance is the batch's.
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = torch.batch_norm_update_stats(precise, None, None, 0.0)
        # Each process's own, brought together: sums of squares would cancel.
        table = torch.stack([mean, variance, torch.full_like(mean, each)])
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
        _, own_weight, own_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, scale, True, 0.0, [False, True, True]
        )
        sums = torch.stack([own_bias, own_weight])
        of_bias, of_weight = ctx.group.all_gather(sums).sum(0) / count
        # weight * scale * (gradient - mean of it - normalized x * mean of their product)
        factor = weight * scale
        slope = -factor * of_weight * scale
        offset = -factor * of_bias - slope * mean
        result = torch.addcmul(offset.view(shape), x, slope.view(shape))
        result.addcmul_(gradient, factor.view(shape))
        return result.to(x.dtype), own_weight, own_bias, None, None


def _shape(x: Tensor) -> list[int]:
    return [1, -1, *[1] * (x.ndim - 2)]
