"""The page as a file."""

import pytest

from ganctl.errors import UsageError
from ganctl.export.page import directions, rendering


def test_it_forbids_requests_and_escapes_names(model_of, tmp_path):
    model = model_of("fast")
    object.__setattr__(model, "data", "<script>alert(1)</script>")
    assert model.export(tmp_path / "g.html") < 4_000_000
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "default-src &#39;none&#39;" in page
    assert "<script>alert" not in page


def test_a_generator_too_large_is_refused_and_nothing_is_written(model_of, tmp_path, monkeypatch):
    model = model_of("fast")
    for limit in (1_000, 300_000):  # before the work, and after it
        monkeypatch.setattr(rendering, "MAX_BYTES", limit)
        with pytest.raises(UsageError, match="too large for a page"):
            model.export(tmp_path / "g.html")
    assert not (tmp_path / "g.html").exists()


def test_uint8_is_for_programs(model_of, tmp_path):
    with pytest.raises(UsageError, match="a page has no uint8"):
        model_of("fast").export(tmp_path / "g.html", uint8=True)


def test_directions_are_unit_vectors_the_same_each_time(model_of):
    model = model_of("dcgan")
    source = _source(model)
    found = directions.principal_directions(source, 5)
    assert found.shape == (5, model.network.latent_dim)
    assert found.norm(dim=1).sub(1).abs().max() < 1e-5
    assert found.equal(directions.principal_directions(source, 5))
    assert len(directions.principal_directions(source, 10_000)) == model.network.latent_dim


def _source(model):
    from ganctl.export.source import Source

    return Source(model.generator, model.config, model.classes, {}, {"name": model.data})
