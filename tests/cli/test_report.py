"""ganctl report: the command."""

import json
import os
import shutil
import webbrowser

import pytest


def test_a_run_becomes_a_file(ok, run, tmp_path):
    out = tmp_path / "report.html"
    result = ok("report", run, "-o", out)
    assert result.err == ""
    assert result.out.splitlines()[0] == "tiny: 2 epochs, 2 pictures of samples, 0 problems"
    page = out.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert f"ganctl train --resume --out {run} --epochs 4" in page
    assert f"ganctl evaluate {run}" in page
    assert 'class="sheet"' in page, "MNIST is at hand"


def test_the_default_file_is_report_html(ok, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok("report", run)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_json_describes_the_report(ok, run, dcgan_run, documented, tmp_path):
    out = tmp_path / "both.html"
    told = json.loads(ok("report", run, "--compare", dcgan_run, "-o", out, "--json").out)
    assert (told["out"], told["bytes"]) == (str(out), out.stat().st_size)
    assert told["bytes"] < 5_000_000
    documented("report", told)
    first, second = told["runs"]
    assert (first["pictures"], first["step"], first["finished"]) == ([1, 2], 8, True)
    assert (second["run"], second["epochs"]) == (str(dcgan_run), 1)


def test_a_report_on_a_checkpoint_includes_the_files_beside_it(ok, run, tmp_path):
    out = tmp_path / "report.html"
    told = json.loads(ok("report", run / "ckpt.pt", "-o", out, "--json").out)
    assert told["runs"][0]["pictures"] == [1, 2]
    assert "--resume" not in out.read_text("utf-8").partition("<main>")[2].partition("Starts")[2]


def test_a_report_on_a_run_that_ended_inside_an_epoch(ok, fast_options, tmp_path):
    ok("train", *fast_options, "--steps", "6", "--out", tmp_path / "run")
    told = json.loads(ok("report", tmp_path / "run", "-o", tmp_path / "r.html", "--json").out)
    assert told["runs"][0]["epochs"] == 2
    assert "2 part" in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.usefixtures("_no_plot")
def test_training_images_are_shown_only_if_requested_and_unchanged(
    ok, photos, fast_options, tmp_path
):
    run, out = tmp_path / "run", tmp_path / "r.html"
    few = ("--limit", "12", "--batch-size", "4", "--steps", "4")
    ok("train", *fast_options, *few, "--data", photos, "--out", run)

    def shown(*options):
        result = ok("report", run, "-o", out, *options)
        return "trained on" in out.read_text("utf-8"), result.err

    assert shown() == (False, "")
    assert shown("--with-images") == (True, "")
    shutil.copy(photos / "cat/0.png", photos / "cat/1.png")
    is_shown, said = shown("--with-images")
    assert not is_shown
    assert "not the images that the run was trained on" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "report.pdf"), "cannot write '.pdf' files"),
        (("-o", "report"), "has no suffix"),
        (("--compare", "x") * 6, "7 runs are too many"),
    ],
)
def test_wrong_usage_is_explained(cli, run, arguments, words):
    result = cli("report", run, *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


@pytest.mark.parametrize("name", ["nowhere", "folder", "file.pt"])
def test_a_path_without_a_run_is_refused(cli, run, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.pt").write_bytes(b"no checkpoint")
    for arguments in (
        ("report", tmp_path / name),
        ("report", run, "--compare", tmp_path / name),
    ):
        result = cli(*arguments, "-o", tmp_path / "r.html")
        assert (result.code, result.out) == (1, "")
        assert len(result.err.splitlines()) <= 2
        assert name in result.err
    assert not (tmp_path / "r.html").exists()


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_a_folder_name_that_is_not_utf_8(ok, run, tmp_path):
    folder = tmp_path / os.fsdecode(b"run-\xff <b>")
    folder.symlink_to(run)
    ok("report", folder, "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "\\xff" in page
    assert "<b>" not in page.partition("<main>")[0]


@pytest.mark.parametrize("has_browser", [True, False])
def test_a_report_opens_in_a_browser_if_there_is_one(ok, run, tmp_path, monkeypatch, has_browser):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or has_browser)
    monkeypatch.chdir(tmp_path)
    result = ok("report", run, "-o", "a b.html", "--open")
    assert opened == [(tmp_path / "a b.html").as_uri()]
    assert ("No browser found" in result.err) != has_browser
    ok("report", run, "-o", "a b.html")
    assert len(opened) == 1
