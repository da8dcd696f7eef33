"""The choice of a feature network."""

import pytest

from ganctl import features
from ganctl.errors import UsageError


def test_unknown_features_and_unknown_data_are_refused():
    with pytest.raises(UsageError, match="unknown features 'digit'"):
        features.load("digit", "mnist")
    with pytest.raises(UsageError, match="does not know cifar10"):
        features.load("digits", "cifar10")
