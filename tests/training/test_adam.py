"""Steps equal those of torch's class."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.training.adam import Adam


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 1))
    return layers.to(memory_format=torch.channels_last)


def gradients(of: nn.Module, step: int) -> list[torch.Tensor]:
    """Return gradients in the other memory layout, as R1's are."""
    rng = torch.Generator().manual_seed(step)
    return [torch.randn(p.shape, generator=rng) for p in of.parameters() if p.requires_grad]


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("resumed_after", [None, 2])
def test_steps_equal_those_of_torchs_class(frozen: int, resumed_after: int | None) -> None:
    ours, theirs = network(), network()
    for each in (ours, theirs):
        each[:frozen].requires_grad_(False)
    adam = Adam(ours, (0.5, 0.9))
    expected = torch.optim.Adam(theirs.parameters(), betas=(0.5, 0.9), fused=True)
    for step in range(4):
        if step == resumed_after:
            kept, adam = adam.moments, Adam(ours, (0.5, 0.9))
            adam.restore(kept, step)
        rate = 0.1 / (1 + step)
        adam.step(gradients(ours, step), rate)
        expected.param_groups[0]["lr"] = rate
        trained = [p for p in theirs.parameters() if p.requires_grad]
        for parameter, gradient in zip(trained, gradients(theirs, step), strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
        expected.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(a, b)
        for moment, weights in adam.moments.items():
            zero = torch.zeros_like(b)
            assert_close(weights[name], expected.state.get(b, {}).get(moment, zero))
