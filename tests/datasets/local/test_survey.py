"""The survey of a source of images, and its words."""

from __future__ import annotations

import json

import pytest

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.local.survey import Survey, describe_classes, describe_problems
from ganctl.datasets.sources.base import Problem

SETTINGS = ImageSettings((32, 32), 3)


@pytest.mark.parametrize(
    ("side", "range_"),
    [(8, "1 to 27"), (28, "28 to 31"), (300, "256 to 511"), (9999, "2048 and more")],
)  # fmt: skip
def test_the_histogram_has_a_range_for_every_short_side(side, range_):
    survey = Survey.of_array(7, side, side + 1, "RGB", {}, SETTINGS)
    assert survey.histogram() == [(range_, 7)]


def test_the_histogram_has_the_empty_ranges_between_others():
    survey = Survey.of_array(7, 28, 28, "L", {}, SETTINGS)
    survey.short_sides[64] = 2
    assert survey.histogram() == [
        ("28 to 31", 7),
        ("32 to 47", 0),
        ("48 to 63", 0),
        ("64 to 95", 2),
    ]


def test_a_survey_of_an_array_round_trips_through_json():
    survey = Survey.of_array(7, 30, 40, "RGB", {"cat": 3, "dog": 4}, SETTINGS)
    assert (survey.num_enlarged, survey.labels_from) == (7, "the data set")
    assert Survey.from_dict(json.loads(json.dumps(survey.to_dict()))) == survey


def test_words_for_classes_and_problems():
    assert describe_classes(0, None) == ""
    assert describe_classes(1, None) == ", 1 class"
    assert describe_classes(2, "dataset.json") == ", 2 classes from dataset.json"
    problems = [Problem(f"{number}.png", "truncated") for number in range(22)]
    lines = describe_problems(problems)
    assert lines[0] == "0.png: truncated"
    assert lines[20:] == ["... and 2 more, which ganctl data lists"]
