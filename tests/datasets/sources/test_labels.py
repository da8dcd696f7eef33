import json
import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.datasets.sources import labels
from ganctl.datasets.sources.labels import BadLabels, NoLabels, beside, parse


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("dataset.json", b"{", "cannot be understood: Expecting property name"),
        ("dataset.json", b"\xff", "cannot be understood: 'utf-8' codec"),
        ("dataset.json", b"[" * 60_000, "cannot be understood: maximum recursion"),
        ("dataset.json", b'{"labels": {"a.png": 1}}', "its 'labels' are not a list"),
        ("dataset.json", b'{"labels": [["a.png"]]}', '["a.png"] is not a file and its class'),
        ("dataset.json", b'{"labels": ["ab"]}', "ab is not a file and its class"),
        ("dataset.json", b'{"labels": [[3, 1]]}', "3 is not a file name"),
        ("dataset.json", b'{"labels": [["a.png", [0.5]]]}', "[0.5] is neither the name nor"),
        ("dataset.json", b'{"labels": [["a.png", true]]}', "true is neither the name nor"),
        ("dataset.json", b'{"labels": [["a\\u001b.png", 0.5]]}', "0.5 is neither"),
        ("dataset.json", b'{"labels": [["a", 0], ["a", 1]]}', "a has two classes"),
        ("dataset.json", b'{"labels": [["%s", 0]]}' % (b"a" * 5000), "too long for a file name"),
        ("dataset.json", b'{"labels": [["a", "%s"]]}' % (b"b" * 5000), "long for a class name"),
        ("dataset.json", b'{"labels": [["%b", 0], ["%b", 1]]}' % ((b"a" * 99,) * 2), "a... has"),
        ("metadata.jsonl", b'{"file_name": "a", "label": 0}\n[]', "line 2 is not an object"),
        ("metadata.jsonl", b"words", "cannot be understood: Expecting value"),
        ("labels.csv", b'file,label\n"a', "cannot be understood: unexpected end of data"),
        ("labels.csv", b"file,label\n" + b"a" * 200_000, "cannot be understood: field larger"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_understood_are_refused_with_the_reason(name, content, said):
    with pytest.raises(BadLabels) as caught:
        parse(name, content)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.json", b"[]"),
        ("dataset.json", b'{"other": 1}'),
        ("metadata.jsonl", b""),
        ("metadata.jsonl", b'{"file_name": "a.png", "text": "a cat"}'),
        ("metadata.csv", b""),
        ("metadata.csv", b"file_name,text\na.png,a cat\n"),
        ("labels.csv", b"7,cat\n8,dog\n"),
        ("labels.csv", b"a.png,cat,1\nb.png,dog,2\n"),
    ],
)
def test_files_named_like_a_list_of_labels_may_be_something_else(name, content):
    with pytest.raises(NoLabels):
        parse(name, content)


def test_two_columns_need_no_header():
    classes = {"a.png": "cat", "b/c.JPG": "dog"}
    assert parse("labels.csv", b"a.png,cat\nb/c.JPG,dog\n") == classes
    assert parse("labels.csv", b"\xef\xbb\xbfa.png ;cat\r\nb/c.JPG; dog\r\n") == classes


def test_images_without_a_class_are_not_in_it():
    rows = [["a", None], ["b", ""], ["c", " "], ["d", 0]]
    assert parse("dataset.json", json.dumps({"labels": rows}).encode()) == {"d": "0"}
    assert parse("labels.csv", b"file\tlabel\na\nb\t\n\nd\t x\n") == {"d": "x"}


@given(st.sampled_from(labels.LISTS), st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_list_or_are_refused(name, content):
    try:
        found = parse(name, content)
    except (BadLabels, NoLabels) as refused:
        assert str(refused).isprintable()  # noqa: PT017 - most are refused
    else:
        assert all(map(str.isprintable, (*found, *found.values())))


@pytest.mark.parametrize(
    ("content", "suffix", "label"),
    [
        (b"7\n", "cls", "7"),
        ("Katze \U0001f408".encode(), "cls", "Katze \U0001f408"),
        (b"\x1b[31m", "cls", "\\x1b[31m"),
        (b'{"label": 3}', "json", "3"),
        (b'{"label": "cat"}', "json", "cat"),
        (b"", "cls", None),
        (b"\xff", "cls", None),
        (b"a" * 5000, "cls", None),
        (b'{"label": 1.5}', "json", None),
        (b'["label"]', "json", None),
        (b"{", "json", None),
        (b"[" * 60_000, "json", None),
        (b'{"a": 1}', "json", None),
    ],
)
def test_a_file_beside_an_image_has_its_class(content, suffix, label):
    assert beside(content, suffix) == label


def test_endless_accents_are_not_normalized(monkeypatch):
    assert labels.comparable("e\u0301.png") == "é.png"
    own = SimpleNamespace(
        combining=unicodedata.combining,
        normalize=lambda *_: pytest.fail("it takes quadratic time"),
    )
    monkeypatch.setattr(labels, "unicodedata", own)
    for path in ("a" + "\u0300" * 99 + "\u0316" * 99, "a" + "\u0300\u0316" * 99, "plain.png"):
        assert labels.comparable(path) == path
