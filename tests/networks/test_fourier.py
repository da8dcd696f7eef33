"""The transposed convolution by Fourier transform equals torch's own, up to rounding."""

import pytest
import torch
from torch.nn import functional as F

from ganctl.networks import fourier


def layer(inputs: int = 6, outputs: int = 5, kernel_size: int = 5) -> fourier.ConvTranspose2d:
    torch.manual_seed(0)
    return fourier.ConvTranspose2d(inputs, outputs, kernel_size)


def gap(ours: torch.Tensor, exact: torch.Tensor) -> float:
    return float((ours - exact).detach().abs().max() / exact.detach().abs().max())


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("size", [(7, 7), (8, 8), (7, 9), (3, 2), (10, 10)])
def test_values_and_gradients_are_those_of_torchs_convolution(
    size: tuple[int, int], kernel_size: int
) -> None:
    ours = layer(kernel_size=kernel_size)
    x = torch.randn(4, 6, *size, requires_grad=True)
    exact_x = x.detach().double().requires_grad_()
    exact_weight = ours.weight.detach().double().requires_grad_()
    y = ours(x)
    exact = F.conv_transpose2d(exact_x, exact_weight, padding=kernel_size // 2)
    assert y.shape == exact.shape
    assert gap(y, exact) < 1e-5
    direction = torch.randn_like(y)
    gradients = torch.autograd.grad(y, [x, ours.weight], direction)
    expected = torch.autograd.grad(exact, [exact_x, exact_weight], direction.double())
    assert all(gap(a, b) < 1e-5 for a, b in zip(gradients, expected, strict=True))


def test_it_is_about_as_exact_as_torchs_convolution() -> None:
    ours = layer(64, 32)
    x = torch.randn(16, 64, 7, 7)
    exact = F.conv_transpose2d(x.double(), ours.weight.double(), padding=2)
    direct = F.conv_transpose2d(x, ours.weight, padding=2)
    assert gap(ours(x), exact) < 4 * gap(direct, exact)


def test_there_are_as_many_frequencies_as_the_docstring_says() -> None:
    to_x, to_weight, from_y = fourier._transforms(7, 7, 5, torch.float32)
    assert to_x.shape == (82, 49)
    assert to_weight.shape == (82, 25)
    assert from_y.shape == (49, 82)


@pytest.mark.parametrize("inputs_layout", [torch.contiguous_format, torch.channels_last])
def test_the_result_is_channels_last_for_every_input_layout(
    inputs_layout: torch.memory_format,
) -> None:
    x = torch.randn(4, 6, 7, 7).to(memory_format=inputs_layout)
    y = layer()(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert gap(y, F.conv_transpose2d(x.double(), layer().weight.double(), padding=2)) < 1e-5


def test_large_images_use_torchs_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "_convolve", None)
    ours, x = layer(), torch.randn(2, 6, 12, 12)
    assert torch.equal(ours(x), F.conv_transpose2d(x, ours.weight, padding=2))


def test_in_bf16_it_is_about_as_exact_as_torchs_convolution() -> None:
    ours = layer(64, 32)
    x = torch.randn(16, 64, 7, 7)
    exact = F.conv_transpose2d(x.double(), ours.weight.double(), padding=2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ours(x)
        direct = F.conv_transpose2d(x, ours.weight, padding=2)
    assert inside.dtype == direct.dtype == torch.bfloat16
    assert (inside - exact).norm() < 2 * (direct - exact).norm()


def test_sampling_first_does_not_spoil_training() -> None:
    fourier._transforms.cache_clear()
    ours, x = layer(), torch.randn(2, 6, 7, 7)
    with torch.inference_mode():
        ours(x)
    (gradient,) = torch.autograd.grad(ours(x).sum(), [ours.weight])
    assert gradient.isfinite().all()


def test_few_matrices_are_cached() -> None:
    ours = layer()
    for height in range(1, 11):
        for width in range(1, 11):
            ours(torch.randn(1, 6, height, width))
    assert fourier._transforms.cache_info().currsize <= 32
