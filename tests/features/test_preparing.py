"""Images as networks take them."""

import numpy as np
import torch
from PIL import Image

from ganctl.features.preparing import as_rgb, in_batches, resized

CPU = torch.device("cpu")


def test_every_kind_of_image_becomes_rgb():
    gray = torch.tensor([[[[7]]]], dtype=torch.uint8)
    assert as_rgb(gray).flatten().tolist() == [7, 7, 7]
    color = torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8)
    assert as_rgb(color).flatten().tolist() == [1, 2, 3]
    rgba = torch.tensor([[[[10, 20, 30, 255], [10, 20, 30, 0]]]], dtype=torch.uint8)
    assert as_rgb(rgba)[0, :, 0].T.tolist() == [[10, 20, 30], [255, 255, 255]]


def test_images_are_resized_as_clean_fid_does():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    for size in ((32, 32), (128, 100)):
        found = resized(torch.from_numpy(pixels).float()[None, None], *size)[0, 0]
        image = Image.fromarray(pixels.astype(np.float32))
        expected = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(found.numpy() - expected).max() < 0.01
    same = torch.ones(1, 3, 8, 8)
    assert resized(same, 8, 8) is same


def test_batches_have_one_size():
    sizes = []

    def network(images):
        sizes.append(len(images))
        return images[:, 0, 0, 0]

    images = torch.arange(35, dtype=torch.uint8).view(35, 1, 1, 1).expand(35, 4, 4, 3)
    found = torch.cat(in_batches(images, network, CPU))
    assert sizes == [16, 16, 16]
    assert found[:35].tolist() == [*range(35)]
