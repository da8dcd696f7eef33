"""ganctl explore: the command."""

import json
import tempfile
import webbrowser
from pathlib import Path

import pytest


@pytest.fixture
def opened(monkeypatch, tmp_path):
    urls = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return urls


def test_a_temporary_page_is_opened(ok, run, opened, tmp_path):
    result = ok("explore", run)
    path = Path(result.out.partition(": ")[0])
    assert opened == [path.as_uri()]
    assert path.is_relative_to(tmp_path)
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_json_describes_the_page(ok, run, opened, documented, tmp_path):
    out = tmp_path / "g.html"
    told = json.loads(ok("explore", run, "-o", out, "--no-open", "--json").out)
    documented("explore", told)
    assert (told["out"], told["bytes"], opened) == (str(out), out.stat().st_size, [])


def test_another_suffix_is_refused(cli, run, opened):
    result = cli("explore", run, "-o", "g.txt")
    assert (result.code, opened) == (2, [])
    assert "cannot write '.txt' files" in result.err


def test_the_latents_of_a_file_are_shown(ok, cli, run, documented, tmp_path):
    saved, out = tmp_path / "two.npz", tmp_path / "g.html"
    ok("sample", run, "-n", 2, "--save-latents", saved, "-o", tmp_path / "x.png")
    told = json.loads(ok("explore", run, "--latents", saved, "-o", out, "--no-open", "--json").out)
    documented("explore", told)
    assert told["latents"] == str(saved)
    assert '"numSeeds": 2,' in out.read_text("utf-8")
    told = json.loads(ok("export", run, "--latents", saved, "-o", out, "--json").out)
    documented("export", told)
    assert told["latents"] == str(saved)
    refused = cli("export", run, "--latents", saved, "-o", tmp_path / "g.pt2")
    assert refused.code == 2
    assert "--latents are for a page" in refused.err
    assert not (tmp_path / "g.pt2").exists()
