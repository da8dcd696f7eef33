"""Loading of images from a path."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import detection, loading
from ganctl.datasets.dataset import Dataset
from ganctl.datasets.decoding.decode import NO_MEMORY, BadImage
from ganctl.datasets.local import loading as local
from ganctl.datasets.local import preparing
from ganctl.datasets.local.survey import Survey
from ganctl.datasets.sources.folder import Folder
from ganctl.errors import DataError, GanctlError, UsageError

ASKED = ImageSettings()


@pytest.fixture
def once(monkeypatch):
    """Return a list to which every file that is decoded or measured is added."""
    calls = []
    for module, name in ((detection, "decode"), (preparing, "examine"), (preparing, "measure")):
        original = getattr(module, name)

        def counted(content, *arguments, original=original):
            calls.append(content)
            return original(content, *arguments)

        monkeypatch.setattr(module, name, counted)
    return calls


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_classes(photos):
    data = loading.load(str(photos))
    assert data.image_shape == (3, 28, 28)
    assert (data.images.dtype, data.labels.dtype) == (torch.uint8, torch.int64)
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [0] * 5 + [1] * 7
    assert data.is_mapped
    assert data.name == str(photos)
    arrays = Dataset.from_arrays("x", data.images.numpy(), data.labels.numpy())
    assert data.digest == arrays.digest


def test_mapped_images_cause_no_warning_about_read_only_tensors(photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loading.load(str(photos))


def test_a_second_start_reads_no_image(photos, once):
    first = loading.load(str(photos))
    assert once
    once.clear()
    again = loading.load(str(photos))
    assert once == []
    assert again.images.equal(first.images)
    assert (again.digest, again.classes) == (first.digest, first.classes)
    assert list(map(str, again.notices)) == list(map(str, first.notices))


def test_asking_for_the_detected_settings_decodes_nothing(photos, once):
    """A resumed run asks for the size that was detected at its first start."""
    first = local.prepare(str(photos), ASKED)
    once.clear()
    again = local.prepare(str(photos), first.survey.settings)
    assert once == []
    assert again.survey == first.survey
    assert "detected" in first.training_size
    assert "detected" not in again.training_size


def test_images_stored_at_the_detected_size_are_not_decoded_again(photos, once):
    local.prepare(str(photos), ImageSettings((28, 28), 3))
    decoded = len([content for content in once if content])
    once.clear()
    local.prepare(str(photos), ASKED)
    assert len(once) < decoded  # measured, and a few checked for color, but not decoded
    once.clear()
    local.prepare(str(photos), ASKED)
    assert once == []


def _touch(photos):
    os.utime(photos / "dog" / "0.png", ns=(1, 1))


def _rename(photos):
    (photos / "dog" / "0.png").rename(photos / "dog" / "00.png")


def _add(photos):
    shutil.copy(photos / "dog" / "0.png", photos / "dog" / "new.png")


@pytest.mark.parametrize("change", [_touch, _rename, _add])
def test_any_change_of_a_file_is_noticed(photos, once, change):
    loading.load(str(photos))
    once.clear()
    change(photos)
    loading.load(str(photos))
    assert once


def test_a_removed_broken_link_is_forgotten(photos):
    link = photos / "dog" / "gone.png"
    link.symlink_to("nowhere")
    with pytest.raises(DataError, match="1 of 13 files"):
        loading.load(str(photos))
    link.unlink()
    assert len(loading.load(str(photos))) == 12


@pytest.mark.parametrize("reason", ["cannot be read: Permission denied", NO_MEMORY])
def test_files_that_are_unreadable_for_now_are_tried_again_next_time(photos, monkeypatch, reason):
    def read(source, entry):
        if entry.name == "dog/0.png":
            raise BadImage(reason)
        return original(source, entry)

    original = Folder.read
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "read", read)
        found = loading.load(str(photos), skip_bad=True)
        assert len(found) == 11
        assert "all will be decoded again next time" in "\n".join(map(str, found.notices))
    found = loading.load(str(photos))
    assert len(found) == 12
    assert "next time" not in "\n".join(map(str, found.notices))


@pytest.mark.parametrize(
    "settings",
    [ImageSettings((32, 32)), ImageSettings(None, 1), ImageSettings(None, None, "pad"),
     ImageSettings(None, None, "crop", "black")],
)  # fmt: skip
def test_other_settings_decode_the_images_again(photos, once, settings):
    loading.load(str(photos))
    once.clear()
    loading.load(str(photos), settings=settings)
    assert once


def test_a_cached_archive_is_not_opened(photos, tmp_path, once, monkeypatch):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted(photos.rglob("*.png")):
            archive.write(photo, photo.relative_to(photos))
    first = loading.load(str(path))
    assert first.digest == loading.load(str(photos)).digest
    assert first.classes == ("cat", "dog")
    once.clear()
    monkeypatch.setattr(local, "open_source", None)
    assert loading.load(str(path)).images.equal(first.images)
    assert once == []


def test_an_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    labels = np.array([1, 0, 1, 1, 0, 0])
    np.savez(tmp_path / "x.npz", images=images, labels=labels)
    data = loading.load(str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(data.images.numpy(), images)
    assert data.labels.tolist() == labels.tolist()


def test_a_limit_draws_always_the_same_images_from_all_classes(tmp_path):
    labels = np.repeat([0, 1], 50)
    images = np.arange(100, dtype=np.uint8).repeat(28 * 28).reshape(100, 28, 28)
    np.savez(tmp_path / "x.npz", images=images, labels=labels)
    path = str(tmp_path / "x.npz")
    few, again, more = (loading.load(path, limit=limit) for limit in (20, 20, 40))
    assert len(few) == 20
    assert few.images.equal(again.images)
    assert set(few.labels.tolist()) == {0, 1}
    chosen, wider = ({int(image[0, 0, 0]) for image in data.images} for data in (few, more))
    assert chosen < wider
    assert len(loading.load(path, limit=1000)) == 100


# Errors


def test_broken_files_are_refused_by_name_or_skipped(photos):
    (photos / "cat" / "0.png").write_bytes((photos / "cat" / "0.png").read_bytes()[:400])
    with pytest.raises(DataError, match="1 of 12 files") as caught:
        loading.load(str(photos))
    assert caught.value.details == ["cat/0.png: truncated"]
    assert "skip_bad=True" in str(caught.value.hint)
    data = loading.load(str(photos), skip_bad=True)
    assert data.labels.tolist() == [0] * 4 + [1] * 7
    assert any("cat/0.png: truncated" in notice for notice in data.notices)


def test_only_the_first_of_many_broken_files_are_named(photos):
    for number in range(30):
        (photos / f"{number:02}.png").write_bytes(b"words")
    with pytest.raises(DataError, match="30 of 42 files") as caught:
        loading.load(str(photos))
    assert len(caught.value.details) == 21
    assert caught.value.details[0] == "00.png: not an image"
    assert "10 more" in caught.value.details[-1]


def test_files_are_not_skipped_if_all_are_broken(photos):
    for path in photos.rglob("*.png"):
        path.write_bytes(b"words")
    for skip_bad in (False, True):
        with pytest.raises(DataError, match="12 of 12 files"):
            loading.load(str(photos), skip_bad=skip_bad)


def test_a_source_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(DataError, match="no images") as caught:
        loading.load(str(tmp_path))
    assert caught.value.details == ["notes.txt: not an image by its name"]


def test_a_single_image_is_refused(photos):
    shutil.rmtree(photos / "dog")
    for path in sorted((photos / "cat").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="only one image"):
        loading.load(str(photos))


def test_missing_images_are_refused(photos):
    path = loading.resolve(str(photos))
    shutil.rmtree(photos)
    with pytest.raises(DataError, match="cannot be read"):
        local.load(path, ASKED)


@pytest.mark.parametrize("color", ["reddish", "", "#12", "\0"])
def test_an_unknown_background_color_is_refused(photos, color):
    settings = ImageSettings(background=color)
    with pytest.raises(UsageError, match="is not a color"):
        loading.load(str(photos), settings=settings)


# Notices


def test_notices_describe_the_images(photos):
    shutil.copy(photos / "dog" / "0.png", photos / "dog" / "z.png")
    told = loading.load(str(photos), settings=ImageSettings((64, 64))).notices
    assert told[0] == (
        f"13 images in {photos}, 2 classes from folders; training at 64x64 RGB (channels detected)"
    )
    assert told[1] == "13 images smaller than that will be enlarged."
    assert told[2] == "1 duplicate image will be used like all others."
    assert "13 images are few" in str(told[3])
    assert len(told) == 4


@pytest.mark.parametrize(("side", "is_said"), [(100, False), (128, True)])
def test_large_images_can_be_trained_on_at_a_larger_size(tmp_path, side, is_said):
    for number in range(2):
        Image.new("RGB", (side, side), (number, 0, 0)).save(tmp_path / f"{number}.png")
    prepared = loading.prepare(str(tmp_path), ImageSettings())
    assert prepared.images.shape[1:3] == (64, 64)
    advice = [*map(str, prepared.advice())]
    assert any("image_size='128' keeps more detail" in line for line in advice) == is_said
    asked = loading.prepare(str(tmp_path), ImageSettings((64, 64)))
    assert asked.advice() == []


@pytest.mark.parametrize(
    ("alpha", "channels", "advice"),
    [
        (
            100,
            None,
            "2 images have transparent parts, which are shown over white; ",
        ),
        (100, 4, None),
        (255, 4, "No image has transparent parts: image_channels=3 gives the same images"),
        (255, None, None),
    ],
)
def test_transparency_is_reported(tmp_path, alpha, channels, advice):
    for number in range(2):
        image = Image.new("RGBA", (32, 32), (number, 90, 0, alpha))
        image.save(tmp_path / f"{number}.png")
    for _ in range(2):  # decoded, and from the cache
        prepared = loading.prepare(str(tmp_path), ImageSettings(channels=channels))
        assert prepared.images.shape[3] == (channels or 3)
        said = [*map(str, prepared.advice())]
        assert [line[: len(advice)] for line in said] == [advice] if advice else said == []


def test_classes_without_a_usable_image_are_named(photos):
    for path in (photos / "cat").iterdir():
        path.write_bytes(b"")
    data = loading.load(str(photos), skip_bad=True)
    assert data.classes == ("cat", "dog")
    assert "Classes without any usable image: 1 (cat)." in data.notices


def test_peculiar_images_are_reported_before_training(photos):
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "lime", "blue")]
    frames[0].save(photos / "cat" / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(photos / "cat" / "b.tif", save_all=True, append_images=frames[1:2])
    frames[0].save(photos / "dog" / "c.jpg")
    whole = (photos / "dog" / "c.jpg").read_bytes()
    (photos / "dog" / "c.jpg").write_bytes(whole[:-1])
    for value in (4095, 17):
        dark = Image.fromarray(np.full((30, 40), value, np.uint16))
        dark.save(photos / "dog" / f"dark-{value}.png")
    data = loading.load(str(photos))
    assert data.notices[1:4] == (
        "Values of more than 8 bits: 17 to 4,095 found; 17 is black, 4,095 is white.",
        "2 files with several pages or frames, of which only the first is used (3 left out). To "
        "use the others, save each as its own file.",
        "1 JPEG without the last bytes: used, because the picture is complete.",
    )
    survey = local.prepare(str(photos), ASKED).survey
    assert survey.remarks.frames == [("cat/a.gif", 3), ("cat/b.tif", 2)]
    assert survey.remarks.lacking_end == ["dog/c.jpg"]
    assert survey.found_range == (17, 4095)
    assert not survey.problems


@pytest.mark.parametrize(("brightest", "is_said"), [(63, True), (64, False), (0, True)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_nearly_black_images_are_reported(tmp_path, brightest, is_said, fit):
    """Masks whose values are numbers of classes are nearly black; their padding is white."""
    images = np.zeros((20, 8, 12), np.uint8)
    images[7] = brightest
    np.savez(tmp_path / "x.npz", images=images)
    notices = loading.load(str(tmp_path / "x.npz"), settings=ImageSettings(fit=fit)).notices
    assert any("images (mode L) are nearly black" in str(line) for line in notices) == is_said


def save_wide(folder, values):
    folder.mkdir(exist_ok=True)
    for number, value in enumerate(values):
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("value_range", "resolved", "levels", "description", "advice"),
    [
        ("auto", "1000,2000", [0, 128, 255], "1,000 is black, 2,000 is white", False),
        ("full", "full", [4, 6, 8], "black and white are the lowest and highest possible", True),
        ("1500,9500", "1500,9500", [0, 0, 16], "1,500 is black, 9,500 is white", True),
        ("0,1500", "0,1500", [170, 255, 255], "0 is black, 1,500 is white", False),
    ],
)
def test_a_range_makes_gray_levels(tmp_path, value_range, resolved, levels, description, advice):
    save_wide(tmp_path / "wide", (1000, 1500, 2000))
    prepared = local.prepare(
        str(tmp_path / "wide"), dataclasses.replace(ASKED, value_range=value_range)
    )
    assert prepared.images[:, 0, 0, 0].tolist() == levels
    assert prepared.survey.settings.value_range == resolved
    assert prepared.survey.describe_range() == f"1,000 to 2,000 found; {description}"
    assert any("nearly black" in str(line) for line in prepared.advice()) == advice


def test_a_range_that_was_found_finds_the_cache_and_holds_for_test_images(tmp_path, monkeypatch):
    save_wide(tmp_path / "train", (1000, 2000))
    save_wide(tmp_path / "test", (1500, 1600))
    found = local.load(str(tmp_path), ASKED)
    assert found.value_range == "1000,2000"
    settings = local.prepare(str(tmp_path), ASKED).survey.settings
    held_out = local.load(str(tmp_path), settings, held_out=True)
    assert sorted(held_out.images[:, 0, 0, 0].tolist()) == [128, 153]
    monkeypatch.setattr(local, "_decode", None)
    assert local.load(str(tmp_path), settings).digest == found.digest


def test_floating_point_arrays_are_read_with_their_range(tmp_path):
    values = np.broadcast_to(np.linspace(-1, 1, 3)[:, None, None], (3, 8, 8)).astype(">f4")
    np.save(tmp_path / "x.npy", values)
    images = local.prepare(str(tmp_path / "x.npy"), ASKED).images
    assert images[:, 0, 0, 0].tolist() == [0, 128, 255]
    values[1, 3, 3] = np.nan
    np.save(tmp_path / "x.npy", values)
    survey = local.prepare(str(tmp_path / "x.npy"), ASKED).survey
    assert [problem.reason for problem in survey.problems] == [
        "has values that are infinite or not numbers (NaN)"
    ]


def test_many_images_are_not_called_few(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (local.FEW, 28, 28), np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    assert len(loading.load(str(tmp_path / "x.npz")).notices) == 1


def test_a_temporary_folder_caches_images_if_need_be(photos, cache_folder, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache_folder.parent.mkdir(parents=True)
    cache_folder.write_text("not a folder")
    assert len(loading.load(str(photos))) == 12
    monkeypatch.setattr(preparing, "examine", None)
    assert len(loading.prepare(str(photos), ImageSettings()).images) == 12  # not decoded again


# Named sets


# A contact sheet


@pytest.mark.parametrize(
    ("counts", "shown", "columns"),
    [
        ([200], 64, None), ([3], 3, None), ([100] * 10, 60, 6), ([100, 100], 64, None),
        ([100] * 9 + [2], 56, None), ([2] * 200, 64, None), ([0, 5] * 5, 25, None),
        ([100] * 26, 52, None),
    ],
)  # fmt: skip
def test_a_contact_sheet_has_examples_of_all_classes(counts, shown, columns):
    labels = np.repeat(np.arange(len(counts)), counts)
    classes = {str(k): count for k, count in enumerate(counts)} if len(counts) > 1 else {}
    survey = Survey.of_array(1, 28, 28, "L", classes, ImageSettings((28, 28), 1))
    prepared = local.Prepared("x", np.zeros((len(labels), 1, 1, 1), np.uint8), labels, "", survey,
                            ASKED)  # fmt: skip
    chosen, row = prepared.examples()
    assert (len(chosen), row) == (shown, columns)
    assert len(set(chosen.tolist())) == shown
    assert set(labels[chosen]) == set(labels) or len(set(labels)) > 64
    if columns:
        assert (labels[chosen].reshape(-1, columns) == np.arange(len(counts))[:, None]).all()


# Hostile folders


def test_a_hostile_folder_is_scanned_safely(photos):
    """Loops, pipes, unreadable files and odd names are listed, and none hangs or ends the scan."""
    if sys.platform == "win32":
        pytest.skip("no pipes or links to be made here")
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "gone.png").symlink_to(photos / "nothing.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "bomb.png").write_bytes(_bomb())
    (photos / "写真 📷.png").write_bytes(b"")
    (photos / "two\nlines\x1b[2J.png").write_bytes(b"words")
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff\xfe.png")).write_bytes(b"words")
    prepared = local.prepare(str(photos), ASKED)
    reasons = {problem.name: problem.reason for problem in prepared.survey.problems}
    assert prepared.survey.num_images == 12
    assert "gone.png" in reasons
    assert "pipe.png" in reasons
    assert "too large" in reasons["bomb.png"]
    assert reasons["写真 📷.png"] == "empty file"
    assert all(name.isprintable() for name in reasons)
    assert len(reasons) == 6
    assert local.prepare(str(photos), ASKED).survey == prepared.survey  # by way of JSON


def _bomb() -> bytes:
    """Return the header of a PNG of 60,000 x 60,000 pixels."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )


@given(st.binary(max_size=300), st.sampled_from([".png", ".jpg", ".gif", ".tif", ".webp", ".bmp"]))
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_an_image_or_a_named_problem(photos, content, suffix):
    folder = photos / "cat"
    for path in folder.glob("odd.*"):
        path.unlink()
    (folder / f"odd{suffix}").write_bytes(content)
    survey = local.prepare(str(photos), ASKED).survey
    assert survey.num_images + len(survey.problems) == 13
    assert [problem.name for problem in survey.problems] in ([], [f"cat/odd{suffix}"])


@pytest.mark.parametrize("kind", ["zip", "tar", "npz", "tar.gz"])
@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04" + bytes(200)])
def test_a_file_that_is_no_archive_is_refused_by_name(tmp_path, kind, content):
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content)
    with pytest.raises(GanctlError) as caught:
        loading.load(str(path))
    assert "x." in str(caught.value)


def test_decoded_images_equal_the_drawn_ones(tmp_path):
    """The pixels stay the same from the files to the mapped array."""
    for number in range(3):
        picture = np.full((64, 64, 3), 80 * number, np.uint8)
        picture[:, :32] = (255, 0, 10 * number)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    images = loading.load(str(tmp_path), settings=ImageSettings((64, 64), 3)).images
    assert images[2, 0, 0].tolist() == [255, 0, 20]
    assert images[2, 0, 63].tolist() == [160, 160, 160]


# Held-out images


@pytest.fixture
def split(tmp_path, photos):
    """A folder whose training images are the photos, and 3 others are held out."""
    folder = tmp_path / "split"
    shutil.move(photos, folder / "train")
    for number in range(3):
        (folder / "test").mkdir(exist_ok=True)
        Image.new("RGB", (60, 60), (number, 0, 0)).save(folder / "test" / f"{number}.png")
    return folder


def test_held_out_images_are_only_used_for_comparison(split):
    train = loading.load(str(split))
    assert (len(train), train.classes, train.num_held_out) == (12, ("cat", "dog"), 3)
    assert loading.has_held_out(train)
    assert train.notices[1:3] == (
        "Trained on: 12 images in train/. Held out: 3 images in test/.",
        "Held-out images are only compared with samples, by 'ganctl evaluate'.",
    )
    seen = ImageSettings((8, 12), 3)
    test = loading.load_test(str(split), settings=seen)
    assert test.images.shape == (3, 8, 12, 3)
    assert test.images[:, 0, 0, 0].tolist() == [0, 2, 1], "in random order"
    again = loading.load(str(split), settings=ImageSettings(train.images.shape[1:3], 3))
    assert again.digest == train.digest, "the two are kept apart in the cache"


def test_held_out_images_that_cannot_be_read_are_skipped(split):
    (split / "test" / "0.png").write_bytes(b"words")
    assert len(loading.load_test(str(split), settings=ImageSettings((8, 8), 1))) == 2


def test_a_limit_applies_to_training_images_only(split):
    assert len(loading.load(str(split), limit=2)) == 2
    assert len(loading.load_test(str(split))) == 3


def test_without_held_out_images_there_are_no_test_images(photos):
    assert not loading.has_held_out(loading.load(str(photos)))
    with pytest.raises(UsageError, match="has no test images"):
        loading.load_test(str(photos))
