"""What counts as going wrong, and what does not."""

import numpy as np
import pytest

from ganctl.training import health
from ganctl.training.health import DISCRIMINATOR_WINS, SAMPLES_ALIKE, signs, variety

LATE = 10_000


@pytest.mark.parametrize(
    ("d_real", "d_fake", "diversity", "found"),
    [
        (0.6, 0.4, 1.0, []),
        (0.99, 0.01, 1.0, [DISCRIMINATOR_WINS]),
        (0.99, 0.4, 1.0, []),
        (0.6, 0.01, 1.0, []),
        (0.6, 0.4, 0.01, [SAMPLES_ALIKE]),
        (0.99, 0.01, 0.0, [DISCRIMINATOR_WINS, SAMPLES_ALIKE]),
        (0.6, 0.4, None, []),
    ],
)
def test_signs(d_real, d_fake, diversity, found):
    row = {"step": LATE, "d_real": d_real, "d_fake": d_fake, "diversity": diversity}
    assert signs(row) == found
    assert signs({**row, "step": health._SETTLED - 1}) == []


def test_variety_is_the_mean_deviation_of_a_pixel():
    pictures = np.zeros((2, 2, 2, 1), np.uint8)
    assert variety(pictures) == 0
    pictures[0, 0, 0] = 200  # one pixel of four: deviations 100, 0, 0, 0
    assert variety(pictures) == 25
    pictures[0], pictures[1] = 0, 255
    assert variety(pictures) == 127.5
