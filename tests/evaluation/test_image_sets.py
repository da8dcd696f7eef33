"""Images go to the network whole, and their features keep their order."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl.datasets.local.whole import WholeImages
from ganctl.errors import DataError, UsageError
from ganctl.evaluation import image_sets
from ganctl.features import FeatureNetwork


class Network(FeatureNetwork):
    """Returns each image's size, first value and mean, and counts images and batches."""

    name, digest = "a network", "its weights"

    def __init__(self):
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(tuple(images.shape))
        values = images.float().flatten(1)
        sizes = torch.tensor([images.shape[1:3]]).expand(len(images), 2).float()
        return torch.cat([sizes, values[:, :1], values.mean(1, keepdim=True)], 1), values[:, :1]


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def folder(tmp_path):
    """Thirty images of three sizes, every seventh one gray."""
    rng = np.random.default_rng(0)
    path = tmp_path / "images"
    path.mkdir()
    for number in range(30):
        height, width = ((8, 8), (6, 9), (9, 6))[number % 3]
        shape = (height, width) if number % 7 == 0 else (height, width, 3)
        pixels = rng.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(path / f"{number:02}.png")
    return path


def of_files(network, path, *, skip_bad=False, is_kept=False, told=lambda *_: None):
    images = WholeImages.at(str(path))
    survey = images.measure(told)
    return image_sets.of_files(
        network, str(path), images, survey, skip_bad=skip_bad, is_kept=is_kept, progress=told
    )


def test_features_keep_the_order_of_the_images(network, folder):
    told = []
    found = of_files(network, folder, told=lambda *progress: told.append(progress))
    for path, features in zip(sorted(folder.iterdir()), found.activations.features, strict=True):
        pixels = np.asarray(Image.open(path))
        expected = [*pixels.shape[:2], pixels.flat[0], pixels.mean()]
        assert features.numpy() == pytest.approx(expected, rel=1e-5)
    assert found.sizes == {"8x8": 10, "9x6": 10, "6x9": 10}
    assert found.size == "8x8 and 2 other sizes"
    assert len(set(found.digests)) == 30
    assert told[-1] == (f"extracting features of {folder}", 30, 30)


def test_images_of_one_size_are_prepared_together(network, monkeypatch):
    chunks = [np.zeros((number, 8, 8, 1), np.uint8) for number in (6, 5)]
    chunks.append(np.zeros((3, 9, 6, 3), np.uint8))
    monkeypatch.setattr(image_sets, "_CHUNK_IMAGES", 4)
    image_sets.of_samples(network, "ckpt.pt", chunks, 14, lambda *_: None)
    assert [shape[0] for shape in network.shapes] == [4, 4, 3, 3]
    network.shapes.clear()
    monkeypatch.setattr(image_sets, "_CHUNK_PIXELS", 1)
    image_sets.of_samples(network, "ckpt.pt", chunks, 14, lambda *_: None)
    assert [shape[0] for shape in network.shapes] == [1] * 14


def test_features_that_are_kept_are_extracted_once(network, folder):
    first = of_files(network, folder, is_kept=True)
    count = len(network.shapes)
    second = of_files(network, folder, is_kept=True)
    assert len(network.shapes) == count
    assert second.activations.features.equal(first.activations.features)
    assert (second.digests, second.sizes) == (first.digests, first.sizes)
    (folder / "00.png").unlink()
    assert len(of_files(network, folder, is_kept=True)) == 29
    of_files(network, folder)
    assert len(network.shapes) > count + 3, "only kept ones are looked up"


def test_bad_files_are_refused_or_skipped(network, folder):
    (folder / "05.png").write_bytes(b"no image")
    whole = (folder / "06.png").read_bytes()
    (folder / "06.png").write_bytes(whole[: len(whole) // 2])
    found = of_files(network, folder, skip_bad=True, is_kept=True)
    assert (len(found), found.num_skipped) == (28, 2)
    assert [note for note in found.notes if "06.png" in note]
    (folder / "05.png").unlink()
    with pytest.raises(DataError, match="cannot be used") as caught:
        of_files(network, folder, is_kept=True)
    assert "06.png" in caught.value.details[0]


def test_samples_are_a_set_as_well(network):
    chunks = [np.full((4, 8, 8, 1), value, np.uint8) for value in (3, 7)]
    found = image_sets.of_samples(network, "ckpt.pt", chunks, 8, lambda *_: None)
    assert found.activations.features[:, 2].tolist() == [3] * 4 + [7] * 4
    assert (found.sizes, len(set(found.digests))) == ({"8x8": 8}, 2)


def test_a_network_for_images_of_one_shape_refuses_others(network, folder):
    network.image_shape = (28, 28, 1)
    with pytest.raises(UsageError, match="28x28, and one is 8x8 gray"):
        of_files(network, folder)
