"""The evaluation of a checkpoint; which images it uses is tested in cli/test_evaluate.py."""

from types import SimpleNamespace

import pytest

from ganctl.errors import UsageError
from ganctl.evaluation.evaluate import evaluate


@pytest.mark.parametrize("number", [-1, 0, 9, 60_001])
def test_the_number_of_samples_is_checked(number):
    with pytest.raises(UsageError, match="10 to 60,000 samples") as caught:
        evaluate(SimpleNamespace(), num_samples=number, data=None, choice="auto", progress=print)
    assert str(caught.value.hint) == "Give num_samples=10000."
