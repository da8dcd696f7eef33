"""ganctl project: the command."""

import json

import numpy as np
import pytest


@pytest.fixture
def pictures(ok, run, tmp_path):
    """Two images that the generator drew, seeds 0 and 1, in a folder."""
    ok("sample", run, "-n", "2", "-o", f"{tmp_path / 'drawn'}/")
    return tmp_path / "drawn"


def test_the_result_names_each_picture(ok, run, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("ganctl.steering.search._ADAM_STEPS", 5)
    monkeypatch.setattr("ganctl.steering.search._MAX_ITERATIONS", 3)
    result = ok("project", run, pictures, "-o", tmp_path / "out", "--class", "0")
    first, head, *rows = result.out.splitlines()
    assert first.startswith(f"{tmp_path / 'out'}: 2 latents, PSNR ")
    assert head.split() == ["picture", "class", "PSNR", "feature", "error"]
    assert [row.split()[:2] for row in rows] == [["seed-000000.png", "0"], ["seed-000001.png", "0"]]
    with np.load(tmp_path / "out" / "latents.npz") as arrays:
        assert arrays["latents"].shape == (2, 100)
        assert arrays["names"].tolist() == ["seed-000000.png", "seed-000001.png"]
        made_by = json.loads(str(arrays["provenance"]))
        assert made_by["command"] == "ganctl project tiny drawn --class 0"


def test_json_describes_the_pictures(ok, run, pictures, documented, tmp_path):
    one = pictures / "seed-000001.png"
    result = ok("project", run, one, "-o", tmp_path / "out", "--class", "1", "--json")
    document = json.loads(result.out)
    documented("project", document)
    (image,) = document["images"]
    assert (image["name"], image["class"], image["class_name"]) == ("seed-000001.png", 1, "1")
    assert document["psnr_db"] == image["psnr_db"] > 25
    assert result.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("none.png", "-o", "out"), 1, "there is nothing at 'none.png'"),
        (("mnist", "-n", "0", "-o", "out"), 2, "-n must be at least 1"),
        (("mnist", "-n", "1", "--class", "dog", "-o", "out"), 2, "there is no class 'dog'"),
        (("mnist", "-n", "1", "-o", "file"), 2, "'file' is not a folder"),
        (("mnist",), 2, "missing option '-o'"),
        (("-o", "out"), 2, "missing argument 'image...'"),
    ],
)
def test_wrong_input_is_explained(cli, run, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    result = cli("project", run, *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_earlier_result_is_replaced_only_by_force(ok, cli, run, pictures, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "latents.npz").write_bytes(b"precious")
    command = ("project", run, pictures / "seed-000001.png", "-o", tmp_path / "out", "--class", "1")
    refused = cli(*command)
    assert refused.code == 1
    assert "latents of an earlier call" in refused.err
    assert (tmp_path / "out" / "latents.npz").read_bytes() == b"precious"
    ok(*command, "--force")
    assert (tmp_path / "out" / "projection.png").exists()
