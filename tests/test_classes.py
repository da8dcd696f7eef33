"""Which class a user means, and what classes are called."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.classes import MAX_CLASSES, MAX_NAME, find, find_several, names_of, stored
from ganctl.errors import UsageError

PETS = ("cat", "Dog", "guinea pig", "café", "a, b", "5")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("cat", 0),
        ("CAT", 0),
        ("dog", 1),
        (" Guinea Pig ", 2),
        ("cafe\N{COMBINING ACUTE ACCENT}", 3),  # as some file systems write it
        ("a, b", 4),
        ("5", 5),
        ("0", 0),
        ("4", 4),
    ],
)
def test_a_name_or_else_one_in_another_case_or_else_a_number(text, number):
    assert find(text, PETS) == number


def test_a_name_that_is_a_number_wins():
    assert [find(text, ("1", "0", "x")) for text in ("0", "1", "2")] == [1, 0, 2]


def test_of_names_that_differ_in_case_alone_each_must_be_written_as_it_is():
    assert [find(text, ("cat", "Cat")) for text in ("cat", "Cat")] == [0, 1]
    with pytest.raises(UsageError, match="no class 'CAT'") as caught:
        find("CAT", ("cat", "Cat"))
    assert caught.value.hint == "Known: cat, Cat."


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("cst", "no class 'cst'", "Did you mean 'cat'?"),
        ("DGO", "no class 'DGO'", "Did you mean 'Dog'?"),
        ("zebra", "no class 'zebra'", "Known: cat, Dog, guinea pig, café, a, b, 5."),
        ("", "no class ''", "Known: cat, "),
        ("6", "a name or 0 to 5, not 6", "Known: cat, "),
        ("-1", "a name or 0 to 5, not -1", "Known: cat, "),
        ("9" * 5000, "a name or 0 to 5, not 999", "Known: cat, "),
        ("²", "no class '²'", "Known: cat, "),
    ],
)
def test_another_is_refused_with_the_nearest(text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        find(text, PETS)
    assert caught.value.hint.startswith(hint)
    assert len(str(caught.value)) < 200


@given(st.lists(st.text(max_size=12), min_size=1, max_size=12), st.text(max_size=12))
def test_whatever_is_asked_of_whatever_names_it_is_found_or_refused(names, text):
    for name in names:
        assert names[find(name, names)] == name
    with contextlib.suppress(UsageError):
        assert 0 <= find(text, names) < len(names)


def test_several_stand_between_commas():
    assert find_several("dog, cat,2", PETS) == [1, 0, 2]
    assert find_several("a, b", PETS) == [4]  # a name that has a comma itself
    with pytest.raises(UsageError, match="no class 'b'"):
        find_several("cat,b", PETS)


@pytest.mark.parametrize("known", [[], ["cat"], ["cat", "dog", "cow"]])
def test_without_as_many_names_as_classes_they_are_numbers(known):
    assert names_of(2, known) == ("0", "1")
    assert names_of(0, known) == ()


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_name_cannot_steer_a_terminal_and_fits_into_any_file(known):
    for name, shown in zip(known, names_of(len(known), known), strict=True):
        assert shown.isprintable()
        shown.encode()
        assert shown == name or not name.isprintable()


def test_a_checkpoint_keeps_names_that_it_can_be_read_with():
    assert stored(("cat", "x" * 1000)) == ["cat", "x" * MAX_NAME]
    assert len(stored(["cat"] * MAX_CLASSES)) == MAX_CLASSES
    assert stored(["cat"] * (MAX_CLASSES + 1)) == []
