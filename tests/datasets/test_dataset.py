import dataclasses
import hashlib
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganctl.batch import Share
from ganctl.datasets.dataset import Batch, Dataset, digest_of, epoch_order
from ganctl.errors import Text

CPU = torch.device("cpu")
COLOR = np.arange(2 * 4 * 8 * 3, dtype=np.uint8).reshape(2, 4, 8, 3)


def dataset(images: np.ndarray) -> Dataset:
    return Dataset.from_arrays("some", images, np.zeros(len(images), np.uint8))


def images_at(data: Dataset, indices: list[int]) -> torch.Tensor:
    return Batch(*data.fetch(torch.tensor(indices)), first=0, size=len(indices)).images()


def test_a_batch_is_scaled_to_minus_one_and_one():
    images = np.array([[[0, 255], [51, 204]]], np.uint8)
    batch = images_at(dataset(images), [0])
    assert batch.dtype == torch.float32
    # 51 is a fifth of 255: -1 + 2/5
    torch.testing.assert_close(batch, torch.tensor([[[[-1.0, 1.0], [-0.6, 0.6]]]]))
    assert (batch.min(), batch.max()) == (-1, 1)


def test_a_batch_has_the_requested_images_in_order():
    images = np.repeat(np.arange(5, dtype=np.uint8), 16).reshape(5, 4, 4)
    batch = images_at(dataset(images), [3, 0, 3])
    values = (batch[:, 0, 0, 0] + 1) * 127.5
    assert batch.shape == (3, 1, 4, 4)
    assert values.round().tolist() == [3, 0, 3]


def test_color_images_keep_their_channels():
    color = dataset(COLOR)
    assert color.image_shape == (3, 4, 8)
    batch = (images_at(color, [1]) + 1) * 127.5
    expected = torch.from_numpy(COLOR[1]).permute(2, 0, 1).float()
    torch.testing.assert_close(batch[0], expected)


def test_grayscale_images_and_labels_have_the_expected_shapes():
    gray = Dataset.from_arrays("g", np.zeros((3, 8, 4), np.uint8), np.array([2, 0, 1], np.uint8))
    assert (len(gray), gray.image_shape) == (3, (1, 8, 4))
    assert gray.labels.dtype == torch.int64
    assert gray.labels.tolist() == [2, 0, 1]


def test_the_digest_is_a_function_of_shape_and_bytes():
    changed = COLOR.copy()
    changed[1, 3, 7, 2] ^= 1
    variants = [COLOR, changed, COLOR.reshape(2, 8, 4, 3), COLOR[::-1], COLOR[:1]]
    assert len({dataset(images).digest for images in variants}) == len(variants)
    assert dataset(np.asfortranarray(COLOR)).digest == dataset(COLOR).digest


def test_the_digest_of_many_images_is_that_of_all_their_bytes():
    images = np.random.default_rng(0).integers(0, 256, (600, 2, 2, 1), np.uint8)
    expected = hashlib.sha256(b"(600, 2, 2, 1)" + images.tobytes()).hexdigest()
    assert digest_of(images) == expected


def test_moving_keeps_everything_but_the_device():
    moved = dataset(COLOR).to(torch.device("meta"))
    assert moved.images.device.type == "meta"
    assert moved.labels.device.type == "meta"
    assert (moved.name, moved.digest) == ("some", dataset(COLOR).digest)
    assert moved.num_classes == dataset(COLOR).num_classes


@given(num_images=st.integers(1, 300), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10**6))
def test_an_epoch_order_is_a_reproducible_permutation(num_images, seed, epoch):
    order = epoch_order(num_images, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(num_images))
    torch.manual_seed(epoch)
    np.random.seed(1)
    assert order.equal(epoch_order(num_images, seed=seed, epoch=epoch))


@pytest.mark.parametrize("other", [{"seed": 1, "epoch": 0}, {"seed": 0, "epoch": 1}])
def test_seed_and_epoch_both_matter(other):
    assert not epoch_order(100, seed=0, epoch=0).equal(epoch_order(100, **other))


def mapped(tmp_path, count=50):
    """Return the same images in memory, and mapped from a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    labels = np.arange(count) % 3
    np.save(tmp_path / "images.npy", pixels)
    file = np.load(tmp_path / "images.npy", mmap_mode="c")
    whole = Dataset.from_arrays("some", pixels, labels, classes="abc")
    return whole, dataclasses.replace(whole, stored=torch.from_numpy(file), is_mapped=True)


@pytest.mark.parametrize("first", [0, 2])
def test_mapped_images_give_the_same_epoch_as_images_in_memory(tmp_path, first):
    whole, in_file = mapped(tmp_path)
    numbers = range(first, 7)  # the last batch has two images
    bounded = in_file.to(CPU, bound=whole.images.nbytes - 1)
    assert bounded.is_mapped
    expected = list(whole.batches(8, numbers, seed=3, epoch=1))
    found = list(bounded.batches(8, numbers, seed=3, epoch=1))
    assert [len(batch.labels) for batch in found] == [8] * (6 - first) + [2]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.pixels.equal(theirs.pixels)
        assert ours.labels.equal(theirs.labels)


def test_images_within_the_bound_are_read_into_memory(tmp_path):
    whole, in_file = mapped(tmp_path)
    read = in_file.to(CPU, bound=whole.images.nbytes)
    assert not read.is_mapped
    assert read.images.data_ptr() != in_file.images.data_ptr()
    assert read.images.equal(whole.images)
    assert not in_file.to(CPU).is_mapped


@pytest.mark.parametrize("is_mapped", [False, True])
def test_processes_together_get_the_batches_of_a_single_one(tmp_path, is_mapped):
    whole, in_file = mapped(tmp_path)
    images = in_file.to(CPU, bound=0) if is_mapped else whole
    wanted = {"seed": 3, "epoch": 1}
    shares = [list(images.batches(8, range(7), share=Share(r, 3), **wanted)) for r in range(3)]
    for number, alone in enumerate(images.batches(8, range(6), **wanted)):
        parts = [share[number] for share in shares]
        assert torch.cat([part.pixels for part in parts]).equal(alone.pixels)
        assert torch.cat([part.labels for part in parts]).equal(alone.labels)
        assert [(part.first, part.size) for part in parts] == [(0, 8), (3, 8), (6, 8)]
    assert [len(share[6].labels) for share in shares] == [2, 2, 2]  # fewer than processes: each all


def test_an_epoch_of_mapped_images_can_be_abandoned(tmp_path):
    _, in_file = mapped(tmp_path)
    batches = in_file.to(CPU, bound=0).batches(8, range(7), seed=0, epoch=0)
    assert len(next(batches).labels) == 8
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ganctl-images")]


def test_a_mirrored_image_is_flipped_horizontally():
    whole = dataset(COLOR)
    batch = Batch(*whole.fetch(torch.tensor([0, 1])), first=0, size=2)
    plain = batch.images()
    flipped = batch.images(torch.tensor([False, True, True]))  # as for a batch of three
    assert flipped[0].equal(plain[0])
    assert flipped[1].equal(plain[1].flip(2))
    assert not flipped[1].equal(plain[1])


def test_the_notices_that_say_why_there_are_no_classes():
    notices = ("12 images", "No classes: stray.png lies beside the folders.", Text("Add {}.", 1))
    found = dataclasses.replace(dataset(COLOR), notices=notices)
    assert found.no_classes == ("No classes: stray.png lies beside the folders.",)


@pytest.mark.parametrize("bound", [None, 0])
def test_held_out_images_are_in_no_batch_and_the_file_is_not_copied(tmp_path, bound):
    whole, in_file = mapped(tmp_path)
    kept = in_file.hold_out(10)
    held_out = kept.held_out_images()
    assert (len(kept), kept.num_held_out, len(held_out)) == (40, 10, 10)
    assert kept.stored is held_out.stored is in_file.stored
    assert kept.digest == whole.digest
    ready = kept.to(CPU, bound=bound)
    assert ready.is_mapped == (bound == 0)
    both = [
        *ready.batches(8, range(5), seed=3, epoch=1),
        *held_out.batches(10, range(1), seed=0, epoch=0),
    ]
    found = {
        image.numpy().tobytes(): int(label)
        for batch in both
        for image, label in zip(batch.pixels, batch.labels, strict=True)
    }
    wanted = zip(whole.images.numpy(), whole.labels.tolist(), strict=True)
    assert found == {image.tobytes(): label for image, label in wanted}
    shares = [[*ready.batches(8, range(5), seed=3, epoch=1, share=Share(r, 2))] for r in range(2)]
    for number, alone in enumerate(ready.batches(8, range(5), seed=3, epoch=1)):
        assert torch.cat([share[number].pixels for share in shares]).equal(alone.pixels)


def test_held_out_images_can_be_read_like_any_others(tmp_path):
    whole, in_file = mapped(tmp_path)
    kept = in_file.hold_out(10)
    np.testing.assert_array_equal(kept.pixels[:], kept.images.numpy())
    np.testing.assert_array_equal(kept.evenly_spaced(8), kept.images.numpy()[::5])
    np.testing.assert_array_equal(kept.pixels[np.array([3, 1])], kept.images.numpy()[[3, 1]])
    assert (len(kept.pixels), kept.pixels.shape) == (40, (40, 8, 8, 3))
    assert digest_of(kept.pixels) == digest_of(kept.images.numpy())
    assert in_file.hold_out(0) is in_file
    assert whole.held_out_images() is None
    assert (whole.held_out_digest, len(kept.held_out_digest)) == ("", 64)
    others = dataclasses.replace(whole, labels=whole.labels.flip(0)).hold_out(10)
    assert others.held_out_digest != kept.held_out_digest
