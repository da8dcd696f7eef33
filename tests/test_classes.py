"""Names of classes, and the class that a user means."""

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
def test_a_class_is_found_by_name_in_any_case_or_by_number(text, number):
    assert find(text, PETS) == number


def test_a_name_comes_before_a_number():
    assert [find(text, ("1", "0", "x")) for text in ("0", "1", "2")] == [1, 0, 2]


def test_names_that_differ_only_in_case_must_be_given_exactly():
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
def test_an_unknown_class_is_refused_with_similar_names(text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        find(text, PETS)
    assert caught.value.hint.startswith(hint)
    assert len(str(caught.value)) < 200


@given(st.lists(st.text(max_size=12), min_size=1, max_size=12), st.text(max_size=12))
def test_any_text_is_found_in_any_names_or_refused(names, text):
    for name in names:
        assert names[find(name, names)] == name
    with contextlib.suppress(UsageError):
        assert 0 <= find(text, names) < len(names)


def test_several_classes_are_separated_by_commas():
    assert find_several("dog, cat,2", PETS) == [1, 0, 2]
    assert find_several("a, b", PETS) == [4]  # a name that has a comma itself
    with pytest.raises(UsageError, match="no class 'b'"):
        find_several("cat,b", PETS)


@pytest.mark.parametrize("known", [[], ["cat"], ["cat", "dog", "cow"]])
def test_classes_are_numbers_if_there_are_not_as_many_names(known):
    assert names_of(2, known) == ("0", "1")
    assert names_of(0, known) == ()


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_names_are_printable_and_can_be_written_to_any_file(known):
    for name, shown in zip(known, names_of(len(known), known), strict=True):
        assert shown.isprintable()
        shown.encode()
        assert shown == name or not name.isprintable()


def test_stored_names_are_shortened_and_limited_in_number():
    assert stored(("cat", "x" * 1000)) == ["cat", "x" * MAX_NAME]
    assert len(stored(["cat"] * MAX_CLASSES)) == MAX_CLASSES
    assert stored(["cat"] * (MAX_CLASSES + 1)) == []
