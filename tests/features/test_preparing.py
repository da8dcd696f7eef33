"""Images as networks take them."""

import numpy as np
import torch
from PIL import Image

from ganctl.features.preparing import as_rgb, resized


def test_every_kind_of_image_becomes_rgb():
    gray = torch.tensor([[[[7]]]], dtype=torch.uint8)
    assert as_rgb(gray).flatten().tolist() == [7, 7, 7]
    color = torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8)
    assert as_rgb(color).flatten().tolist() == [1, 2, 3]


def test_images_are_resized_as_clean_fid_does():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    for size in ((32, 32), (128, 100)):
        found = resized(torch.from_numpy(pixels).float()[None, None], *size)[0, 0]
        image = Image.fromarray(pixels.astype(np.float32))
        expected = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(found.numpy() - expected).max() < 0.01
    same = torch.ones(1, 3, 8, 8)
    assert resized(same, 8, 8) is same
