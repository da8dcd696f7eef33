"""ganctl export: the command."""

import json

import numpy as np
import pytest
from PIL import Image


def test_the_result_says_how_to_call_the_generator(ok, run, tmp_path):
    result = ok("export", run, "-o", tmp_path / "g.pt2", "--uint8")
    first, *rest = result.out.splitlines()
    assert first.startswith(f"{tmp_path / 'g.pt2'}: ")
    assert first.endswith("(moving average, step 8)")
    assert rest == [
        "latents: float32 (N, 100)",
        "classes: int64 (N,), 10 classes from 0",
        "images: uint8 (N, 28, 28, 1)",
    ]
    shown = ok("inspect", tmp_path / "g.pt2").out
    assert f"command      ganctl export {run.name} --uint8" in shown
    assert "output       uint8 (N, H, W, C)" in shown


def test_wrong_usage_is_found_before_anything_is_loaded(cli, run, tmp_path):
    for suffix, option in ((".html", "--uint8"), (".safetensors", "--uint8")):
        result = cli("export", run, "-o", tmp_path / f"g{suffix}", option)
        assert result.code == 2
        assert f"--uint8 is for programs, which a {suffix} is not" in result.err
        assert "Exporting" not in result.err


def test_json_describes_the_file(ok, dcgan_run, documented, tmp_path):
    out = tmp_path / "g.safetensors"
    result = ok("export", dcgan_run, "-o", out, "--json")
    document = json.loads(result.out)
    documented("export", document)
    assert (document["kind"], document["bytes"]) == ("safetensors", out.stat().st_size)
    assert (document["image_shape"], document["ema"]) == ([1, 28, 28], False)
    assert result.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "g.txt"), "cannot write '.txt' files"),
        (("-o", "g"), "has no suffix"),
        ((), "missing option"),
    ],
)
def test_wrong_usage_is_explained(cli, run, arguments, words):
    result = cli("export", run, *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err.lower()


@pytest.fixture(scope="module")
def exported(cli, run, tmp_path_factory):
    """The generator of `run` as a .safetensors file."""
    path = tmp_path_factory.mktemp("exported") / "digits.safetensors"
    result = cli("export", run, "-o", path)
    assert (result.code, result.out.splitlines()[1:]) == (0, [])
    return path


def test_commands_that_draw_read_an_exported_generator(ok, run, exported, tmp_path):
    for suffix, name, *options in (
        (".png", "sample", "-n", 4),
        (".png", "interpolate", "--seeds", "1,2", "--frames", 2),
        (".html", "explore", "--no-open"),
    ):
        made = []
        for source in (run, exported):
            out = tmp_path / f"{name}-{source.stem}{suffix}"
            ok(name, source, *options, "-o", out)
            if suffix == ".html":  # each also says from which file it was drawn
                made.append(out.read_text("utf-8").replace(f"ganctl explore {source.name}", ""))
            else:
                made.append(np.asarray(Image.open(out)))
        assert np.array_equal(*made), name


def test_an_exported_generator_is_inspected(ok, run, exported, documented):
    document = json.loads(ok("inspect", exported, "--weights", "--json").out)
    documented("inspect-exported", document)
    whole = json.loads(ok("inspect", run, "--json").out)
    assert (document["checkpoint"], document["step"]) == (whole["digest"], 8)
    assert document["generator"] == whole["generator"]
    assert {row["part"] for row in document["weights"]} == {"generator_ema"}
    shown = ok("inspect", exported, "--weights").out
    for words in (
        "exported generator: moving average",
        "10 classes (conditional): 0, 1, 2",
        whole["digest"],
        "ConvTranspose2d",
        "moving average of the generator",
    ):
        assert words in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--init-from", "G", "--dry-run"),
        ("report", "G"),
        ("inspect", "G", "RUN"),
    ],
)
def test_commands_that_need_a_whole_checkpoint_refuse_an_exported_generator(
    cli, run, exported, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    result = cli(*({"G": exported, "RUN": run}.get(word, word) for word in arguments))
    assert (result.code, result.out) == (1, "")
    message, hint = result.err.splitlines()[-2:]
    assert message.startswith(f"ganctl: {exported} is an exported generator: it can be drawn from")
    assert hint == "  Give the run directory or the .pt file that it was exported from."
    assert not list(tmp_path.iterdir())


def test_a_damaged_generator_is_refused(cli, exported, tmp_path):
    damaged = tmp_path / "g.safetensors"
    damaged.write_bytes(exported.read_bytes()[:-100])
    result = cli("sample", damaged)
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"ganctl: {damaged} is cut short or damaged",
        "  Export it again, with 'ganctl export'.",
    ]
    result = cli("sample", exported, "--no-ema")
    assert (result.code, result.out) == (2, "")
    assert "digits.safetensors holds the moving average alone" in result.err
    result = cli("export", exported, "-o", "g.safetensors", "--uint8")
    assert (result.code, result.out) == (2, "")
    assert "--uint8 is for programs, which a .safetensors is not" in result.err
