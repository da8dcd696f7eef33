"""The text that files carry about their origin, as JSON."""

from __future__ import annotations

from ganctl import provenance


def test_text_survives_as_ascii():
    text = {"seeds": "0-15", "class": "été \x1b[2J"}
    content = provenance.as_json(text)
    assert content.isascii()
    assert content.isprintable()
    assert provenance.from_json(content) == text


def test_what_is_no_such_text_says_nothing():
    for content in ("", "{", "[1]", "7", None, "[" * 100_000):
        assert provenance.from_json(content) == {}
    assert provenance.from_json('{"step": 3}') == {"step": "3"}


def test_long_lists_are_cut_so_that_every_reader_accepts_them():
    found = provenance.from_json(provenance.as_json({"seeds": "7," * 10**6, "step": "3"}))
    assert len(found["seeds"]) < 2**17
    assert found["seeds"].endswith("...")
    assert found["step"] == "3"
