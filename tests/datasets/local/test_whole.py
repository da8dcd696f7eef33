"""Images at their own sizes: all of a source, in order, from several processes."""

import numpy as np
import pytest
from PIL import Image

from ganctl.datasets import loading
from ganctl.datasets.local import preparing, whole
from ganctl.datasets.local.whole import WholeImages
from ganctl.datasets.sources.base import Problem
from ganctl.errors import UsageError


def quiet(*_):
    """Ignore progress."""


def read(images):
    survey = images.measure(quiet)
    return survey, list(images.read())


def save(path, size=(8, 8), mode="RGB", number=0):
    """Save an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size[::-1], 3)[: 2 if mode == "L" else 3]
    noise = np.random.default_rng([number, *size]).integers(0, 256, shape, np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def mixed(tmp_path):
    """Twelve images of three sizes in the folders of two classes, one of them gray."""
    folder = tmp_path / "mixed"
    for number in range(12):
        size = ((8, 8), (20, 12), (12, 20))[number % 3]
        mode = "L" if number == 5 else "RGB"
        save(folder / "ab"[number % 2] / f"{number:02}.png", size, mode, number)
    return folder


def expected(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]


@pytest.mark.parametrize("num_processes", [0, 2])
def test_every_image_is_read_in_order_at_its_own_size(mixed, monkeypatch, num_processes):
    monkeypatch.setattr(whole, "_CHUNK_IMAGES", 2)
    monkeypatch.setattr(preparing, "num_workers_for", lambda _: num_processes)
    survey, found = read(WholeImages.at(str(mixed)))
    assert survey.sizes == {"8x8": 4, "20x12": 4, "12x20": 4}
    assert not survey.problems
    for pixels, image in zip(found, expected(mixed), strict=True):
        assert (pixels.squeeze() == image).all()


def test_an_image_that_cannot_be_decoded_is_a_problem(mixed):
    path = mixed / "a" / "02.png"
    path.write_bytes(path.read_bytes()[:-30])
    survey, found = read(WholeImages.at(str(mixed)))
    assert survey.num_images == 12, "its header is intact"
    (problem,) = [one for one in found if isinstance(one, Problem)]
    assert problem.name == "a/02.png"


def test_chunks_are_bounded_by_their_pixels(mixed, monkeypatch):
    monkeypatch.setattr(whole, "_CHUNK_PIXELS", 300)
    images = WholeImages.at(str(mixed))
    images.measure(quiet)
    sizes = [sum(images._facts[one].width * images._facts[one].height for one in chunk)
             for chunk in whole._chunks(images._facts)]  # fmt: skip
    assert max(sizes) <= 300
    assert sum(sizes) == 4 * (64 + 240 + 240)
    monkeypatch.setattr(whole, "_CHUNK_PIXELS", 1)
    assert len(list(whole._chunks(images._facts))) == 12


def test_a_limit_chooses_the_same_random_images(mixed):
    some = [read(WholeImages.at(str(mixed), limit=5))[1] for _ in range(2)]
    assert [one.tobytes() for one in some[0]] == [one.tobytes() for one in some[1]]
    assert len(some[0]) == 5
    names = {image.tobytes() for image in expected(mixed)}
    assert {one.tobytes() for one in some[0]} <= names


def test_the_key_is_a_function_of_the_images(mixed):
    keys = [WholeImages.at(str(mixed)).key for _ in range(2)]
    keys += [WholeImages.at(str(mixed), limit=5).key]
    keys += [WholeImages.at(str(mixed), background="black").key]
    save(mixed / "a" / "new.png")
    keys += [WholeImages.at(str(mixed)).key]
    assert len(set(keys)) == len(keys) - 1


def test_arrays_and_data_sets_are_whole_images_too(tiny_mnist, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
    np.savez(tmp_path / "five.npz", images=pixels)
    for images in (
        WholeImages.of_array("five", pixels), loading.open_whole(str(tmp_path / "five.npz"))
    ):  # fmt: skip
        assert (np.stack(read(images)[1]) == pixels).all()
    digits = loading.open_whole("mnist")
    survey, found = read(digits)
    assert (survey.sizes, {one.shape for one in found}) == ({"28x28": 40}, {(28, 28, 1)})


def test_shards_are_refused():
    with pytest.raises(UsageError, match="only be streamed"):
        loading.open_whole("https://example.org/index.json")
