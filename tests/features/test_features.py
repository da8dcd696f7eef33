"""The choice of a feature network."""

import pytest

from ganctl import efficientnet, features
from ganctl.errors import UsageError


def test_unknown_features_and_unknown_data_are_refused():
    with pytest.raises(UsageError, match="unknown features 'digit'") as caught:
        features.load("digit", "mnist")
    assert "torchvision:resnet50" in str(caught.value.hint)
    with pytest.raises(UsageError, match="does not know cifar10"):
        features.load("digits", "cifar10")


@pytest.mark.parametrize("is_installed", [True, False])
def test_auto_is_the_best_network_at_hand(monkeypatch, is_installed):
    monkeypatch.setattr(efficientnet, "is_installed", lambda: is_installed)
    assert features.load("auto", "mnist").name == "mnist-classifier"
    found = features.load("auto", "cifar10", image_shape=(3, 32, 32))
    if is_installed:
        assert found.name == "efficientnet-lite0 at 128 pixels"
    else:
        assert found is None
    assert features.load("none", "mnist") is None
