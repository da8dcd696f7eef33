"""Values as text."""

from __future__ import annotations

import pytest

from ganctl.text import duration, in_bytes, listed, printable, sparkline, suggestion


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("mnits", "Did you mean 'mnist'?"),
        ("MNIST", "Did you mean 'mnist'?"),
        ("cifra10", "Did you mean 'cifar10'?"),
        ("cifar", "Did you mean 'cifar10'?"),
        ("zzz", "Known: mnist, cifar10."),
        ("", "Known: mnist, cifar10."),
    ],
)
def test_a_suggestion_names_the_closest_word_or_all_of_them(word, hint):
    assert suggestion(word, ("mnist", "cifar10")) == hint


def test_a_suggestion_keeps_the_spelling_of_the_known_word():
    assert suggestion("fords", ("CARS", "Fords Mustang", "Ford")) == "Did you mean 'Ford'?"


def test_listed_cuts_many_names_and_long_ones():
    assert listed(["cat", "dog"]) == "cat, dog"
    assert listed([f"{n}" for n in range(1003)], at_most=3) == "0, 1, 2 and 1,000 more"
    assert len(listed(["x" * 255] * 1000)) < 2200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_duration(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_300_000, "12.3 MB"), (2.5e9, "2.5 GB")],
)
def test_in_bytes(num_bytes, words):
    assert in_bytes(num_bytes) == words


def test_a_sparkline_goes_from_the_lowest_to_the_highest():
    assert sparkline([0, 7, 14], 80) == "▁▅█"


def test_a_flat_sparkline_is_flat():
    assert len(set(sparkline([2.0, 2.0, 2.0], 80))) == 1


@pytest.mark.parametrize(
    ("width", "bars"), [(4, "▁▃▆█"), (3, "▁▄█"), (2, "▁█"), (1, "▁"), (0, "▁"), (-5, "▁")]
)
def test_a_sparkline_averages_values_that_do_not_fit(width, bars):
    assert sparkline([0, 1, 2, 3], width) == bars


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("a\x00\x1b[1mb", r"a\x00\x1b[1mb"),
        ("\u202egnp", r"\u202egnp"),
        ("x" * 9, "xxxx…"),
    ],
)
def test_printable_escapes_and_cuts(text, shown):
    assert printable(text, 5 if len(text) == 9 else 20) == shown
