"""The survey and the pixels of a source."""

from __future__ import annotations

import io
import json
import multiprocessing
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.dataset import digest_of
from ganctl.datasets.decoding.decode import BadImage, decode
from ganctl.datasets.local import preparing
from ganctl.datasets.local.preparing import (
    decode_all,
    map_chunks,
    measure_all,
    open_pool,
)
from ganctl.datasets.local.survey import Remarks, Survey
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source
from ganctl.datasets.sources.opening import open_source

ASKED = ImageSettings()


def quiet(*_):
    """Ignore progress."""


@dataclass
class Memory(Source):
    """A source of files in memory."""

    files: dict
    bad: list = field(default_factory=list)

    @property
    def contents(self):
        return Contents(
            [Entry(name, self.label(name), len(self.files[name])) for name in self.files],
            classes=sorted({self.label(name) for name in self.files} - {None}),
            labels_from="folders",
            notes=["a note"],
            problems=self.bad,
        )

    def label(self, name):
        return name.partition("/")[0] if "/" in name else None

    def read(self, entry):
        content = self.files[entry.name]
        if content == b"unreadable":
            raise BadImage("cannot be read")
        return content


def image(mode="RGB", size=(40, 30), kind="PNG", number=0):
    """Return an image file's bytes, a different image for each `number`."""
    rng = np.random.default_rng([number, *size])
    whole = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    buffer = io.BytesIO()
    whole.convert(mode).save(buffer, kind)
    return buffer.getvalue()


def prepared(source, settings=ASKED, num_workers=1, progress=quiet):
    """Return (survey, images, labels) of a source."""
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        with open_pool(source, len(source.entries), num_workers) as pool:
            measured = measure_all(source, source.entries, settings, pool, progress)
            labels, *found, digest = decode_all(source, measured, file, pool, progress)
        images = np.load(file.name)
        assert Path(file.name).stat().st_size == images.nbytes + 128  # and no more behind them
    assert digest == digest_of(images)
    return Survey.of_source(source, measured, *found), images, labels


GOOD, OTHER = image(), image(number=1)
CUT = image(number=2)[:-3000]


def test_counts_of_a_survey():
    files = {
        "a/1.png": GOOD,
        "a/2.jpg": image("L", (20, 50), "JPEG"),
        "b/3.gif": image("P", (100, 120), "GIF"),
        "b/4.png": image("RGBA", (40, 30), number=3),
    }
    survey, images, labels = prepared(Memory(files, [Problem("x.txt", "not one", harmless=True)]))
    assert (survey.num_files, survey.num_images) == (4, 4)
    assert survey.sizes == {"40x30": 2, "20x50": 1, "100x120": 1}
    assert survey.num_sizes == 3
    assert survey.short_sides == {1: 1, 28: 2, 96: 1}
    assert survey.median_side == 30
    assert survey.num_enlarged == 1
    assert survey.modes == {"RGB": 1, "L": 1, "P": 1, "RGBA": 1}
    assert survey.formats == {"PNG": 2, "JPEG": 1, "GIF": 1}
    assert survey.classes == {"a": 2, "b": 2}
    assert (survey.problems, survey.duplicates) == ((), ())
    assert survey.ignored == (Problem("x.txt", "not one", harmless=True),)
    assert survey.settings == ImageSettings((28, 28), 3)
    assert labels.tolist() == [0, 0, 1, 1]
    for index, content in enumerate(files.values()):
        np.testing.assert_array_equal(images[index], decode(content, survey.settings))


def test_damaged_files_are_named_and_the_others_keep_their_labels():
    """Damage is found while listing, from a header, or only when decoding."""
    files = {
        "a/1.png": CUT, "a/2.png": GOOD, "b/3.png": b"words", "b/4.png": OTHER,
        "b/5.png": b"unreadable", "c/6.png": b"",
    }  # fmt: skip
    survey, images, labels = prepared(Memory(files, [Problem("z.heic", "not supported")]))
    reasons = {problem.name: problem.reason for problem in survey.problems}
    assert list(reasons) == ["a/1.png", "b/3.png", "b/5.png", "c/6.png", "z.heic"]
    assert reasons["a/1.png"] == "truncated"
    assert reasons["b/3.png"] == "not an image"
    assert reasons["c/6.png"] == "empty file"
    assert (survey.num_files, survey.num_images) == (7, 2)
    assert survey.classes == {"a": 1, "b": 1, "c": 0}
    assert survey.modes == {"RGB": 2}
    assert labels.tolist() == [0, 1]
    assert images.shape == (2, 28, 28, 3)
    np.testing.assert_array_equal(images[1], decode(OTHER, survey.settings))


def test_a_survey_without_images():
    source = Memory({"1.png": b"words"})
    with open_pool(source, 1) as pool:
        measured = measure_all(source, source.entries, ASKED, pool, quiet)
    survey = Survey.of_source(source, measured, [], Remarks())
    assert (survey.num_files, survey.num_images, len(survey.problems)) == (1, 0, 1)
    assert survey.settings == ASKED
    assert Survey.from_dict(survey.to_dict()) == survey


def test_duplicates_are_found():
    files = {"1.png": GOOD, "2.png": OTHER, "3.png": GOOD, "4.png": GOOD}
    survey, images, _ = prepared(Memory(files))
    assert survey.duplicates == (("3.png", "1.png"), ("4.png", "1.png"))
    assert len(images) == 4


def test_a_damaged_file_is_not_a_duplicate():
    survey, _, _ = prepared(Memory({"0.png": GOOD, "1.png": CUT, "2.png": CUT}))
    assert survey.duplicates == ()
    assert len(survey.problems) == 2


# What is chosen


@pytest.mark.parametrize(
    ("modes", "channels"),
    [(["L", "1", "LA"], 1), (["L", "RGB"], 3), (["I;16"], 1), (["P"], 3), (["L"] * 5 + ["P"], 3)],
)
def test_detected_channels(modes, channels):
    files = {f"{k}.png": image(mode, number=k) for k, mode in enumerate(modes) if mode != "I;16"}
    if modes == ["I;16"]:
        buffer = io.BytesIO()
        Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(buffer, "PNG")
        files["16.png"] = buffer.getvalue()
    assert prepared(Memory(files))[0].settings.channels == channels


def test_gray_images_stored_as_rgb_are_grayscale():
    gray = Image.open(io.BytesIO(image("L"))).convert("RGB")
    files = {}
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        gray.save(buffer, kind)
        files[kind] = buffer.getvalue()
    assert prepared(Memory(files))[0].settings.channels == 1


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_given_settings_are_not_detected(fit):
    settings = ImageSettings((48, 64), 1, fit, "black")
    survey, images, _ = prepared(Memory({"1.png": GOOD, "2.png": OTHER}), settings)
    assert survey.settings == settings
    assert images.shape == (2, 48, 64, 1)
    assert survey.num_enlarged == 2


@pytest.mark.parametrize(("fit", "num_enlarged"), [("crop", 1), ("pad", 0), ("stretch", 1)])
def test_whether_an_image_is_enlarged_depends_on_the_fit(fit, num_enlarged):
    """40x30 for 32x32: cropped it is enlarged from 30 rows; padded it shrinks to 32 columns."""
    settings = ImageSettings((32, 32), 3, fit)
    assert prepared(Memory({"1.png": GOOD}), settings)[0].num_enlarged == num_enlarged


# How


def test_progress_reaches_its_end_in_both_stages(monkeypatch):
    monkeypatch.setattr(preparing, "_CHUNK_FILES", 3)
    told = []
    files = {f"{k}.png": image(number=k) for k in range(8)}
    prepared(Memory(files), progress=lambda *what: told.append(what))
    for doing in ("scanning", "decoding"):
        assert [what[1:] for what in told if what[0] == doing] == [(0, 8), (3, 8), (6, 8), (8, 8)]


def test_large_files_come_in_small_chunks(monkeypatch):
    entries = [Entry(str(k), None, size) for k, size in enumerate([5, 5, 20, 1, 1, 1])]
    monkeypatch.setattr(preparing, "_CHUNK_BYTES", 10)
    assert [[entry.size for entry in chunk] for chunk in preparing._chunks(entries, 64)] == [
        [5, 5], [20], [1, 1, 1]
    ]  # fmt: skip


def test_two_processes_give_the_same_result_as_one(photos, monkeypatch):
    (photos / "cat" / "broken.png").write_bytes(CUT)
    monkeypatch.setattr(preparing, "_CHUNK_FILES", 3)
    source = open_source(str(photos))
    survey, images, labels = prepared(source, num_workers=2)
    assert not multiprocessing.active_children()
    alone = prepared(source, num_workers=1)
    assert survey == alone[0]
    np.testing.assert_array_equal(images, alone[1])
    np.testing.assert_array_equal(labels, alone[2])
    assert len(images) == 12


def test_few_files_start_no_other_process(photos, monkeypatch):
    monkeypatch.setattr(preparing.workers, "ProcessPoolExecutor", None)  # not even touched
    source = open_source(str(photos))
    assert len(prepared(source, num_workers=None)[1]) == 12


def test_a_survey_round_trips_through_json():
    files = {"a/1.png": CUT, "a/2.png": GOOD, "b/3\udcff.png": GOOD, "b/4.png": OTHER}
    source = Memory(files, [Problem("é.txt", "not one", harmless=True)])
    survey, _, _ = prepared(source)
    assert survey.problems
    assert survey.duplicates
    assert Survey.from_dict(json.loads(json.dumps(survey.to_dict()))) == survey


def test_few_large_images_are_in_memory_at_once():
    entries = [Entry(f"{number}.png", None, 100) for number in range(100)]
    sizes = []

    def pool(tasks):
        for _, chunk, _ in tasks:
            sizes.append(len(chunk))
            yield None

    for side in (64, 1024):
        settings = ImageSettings((side, side), 4)
        list(map_chunks(pool, settings, entries, "decoding", quiet))
    assert sizes == [64, 36, *[8] * 12, 4]
