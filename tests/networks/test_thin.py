"""Convolutions of grayscale images by fold and unfold equal torch's own, up to rounding."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganctl.networks import thin


def gap(ours: Tensor, exact: Tensor) -> float:
    return float((ours - exact).detach().abs().max() / exact.detach().abs().max())


def compare(ours: nn.Module, exact: nn.Module, x: Tensor) -> None:
    """Compare values and all gradients, also those of a gradient's norm, which R1 needs."""
    exact.load_state_dict(ours.state_dict())
    exact.double()
    found = []
    for layer, images in ((ours, x), (exact, x.double())):
        images = images.detach().requires_grad_()
        y = layer(images)
        (gradient,) = torch.autograd.grad(y.square().sum(), images, create_graph=True)
        found.append(
            [
                y,
                *torch.autograd.grad(y.sin().sum(), layer.parameters(), retain_graph=True),
                gradient,
                *torch.autograd.grad(gradient.square().sum(), [layer.weight]),
            ]
        )
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape
        assert gap(a, b) < 2e-5


@pytest.mark.parametrize(("kernel", "padding"), [(5, 2), (4, 1), (3, 1)])
@pytest.mark.parametrize("size", [(28, 28), (8, 12), (9, 7)])
def test_convolution(size: tuple[int, int], kernel: int, padding: int) -> None:
    torch.manual_seed(0)
    arguments = (1, 6, kernel, 2, padding)
    compare(thin.Conv2d(*arguments), nn.Conv2d(*arguments), torch.randn(3, 1, *size))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "padding", "extra"), [(5, 2, 1), (4, 1, 0), (3, 1, 1)])
@pytest.mark.parametrize("size", [(14, 14), (4, 6)])
def test_transposed_convolution(
    size: tuple[int, int], kernel: int, padding: int, extra: int, bias: bool
) -> None:
    torch.manual_seed(0)
    arguments = (6, 1, kernel, 2, padding, extra, 1, bias)
    ours, exact = thin.ConvTranspose2d(*arguments), nn.ConvTranspose2d(*arguments)
    compare(ours, exact, torch.randn(3, 6, *size))


def test_torchs_own_layer_is_used_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "unfold", None)
    monkeypatch.setattr(F, "fold", None)
    gray, rgb = torch.randn(2, 1, 8, 8), torch.randn(2, 3, 8, 8).requires_grad_()
    for channels, images in ((1, gray), (3, rgb)):
        layer = thin.Conv2d(channels, 4, 5, 2, 2)
        plain = F.conv2d(images, layer.weight, layer.bias, 2, 2)
        assert torch.equal(layer(images), plain)
    layer = thin.ConvTranspose2d(4, 3, 5, 2, 2, 1)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(layer(x), F.conv_transpose2d(x, layer.weight, layer.bias, 2, 2, 1))


def test_results_are_bf16_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert thin.ConvTranspose2d(4, 1, 5, 2, 2, 1)(torch.randn(2, 4, 8, 8)).dtype == (
            torch.bfloat16
        )
        images = torch.randn(2, 1, 8, 8).requires_grad_()
        assert thin.Conv2d(1, 4, 5, 2, 2)(images).dtype == torch.bfloat16
