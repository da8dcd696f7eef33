"""The page as a file."""

import pytest

import ganctl
from ganctl.errors import UsageError
from ganctl.export.page import rendering
from ganctl.export.source import Source


def test_it_forbids_requests_and_escapes_names(model_of, tmp_path):
    model = model_of("fast")
    object.__setattr__(model, "data", "<script>alert(1)</script>")
    assert model.export(tmp_path / "g.html") < 4_000_000
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "default-src &#39;none&#39;" in page
    assert "<script>alert" not in page
    made_with = ganctl.inspect(tmp_path / "g.html")["made_with"]
    assert (made_with["checkpoint"], made_with["image_shape"]) == (model.digest, "[1, 28, 28]")


def test_a_generator_too_large_is_refused_and_nothing_is_written(model_of, tmp_path, monkeypatch):
    model = model_of("fast")
    for limit in (1_000, 300_000):  # before the work, and after it
        monkeypatch.setattr(rendering, "MAX_BYTES", limit)
        with pytest.raises(UsageError, match="too large for a page"):
            model.export(tmp_path / "g.html")
    assert not (tmp_path / "g.html").exists()


def test_uint8_is_for_programs(model_of, tmp_path):
    with pytest.raises(UsageError, match=r"uint8.+ is for programs"):
        model_of("fast").export(tmp_path / "g.html", uint8=True)


def test_too_many_latents_are_refused_and_other_formats_have_none(model_of, tmp_path, monkeypatch):
    model = model_of("fast")
    points = model.sample(range(3)).latents
    monkeypatch.setattr(rendering, "MAX_BYTES", 100)
    monkeypatch.setattr(Source, "num_bytes", 0)
    with pytest.raises(UsageError, match="3 latents are too many for a page"):
        model.export(tmp_path / "g.html", latents=points)
    with pytest.raises(UsageError, match="latents are for a page"):
        model.export(tmp_path / "g.pt2", latents=points)
    assert not list(tmp_path.glob("g.*"))
