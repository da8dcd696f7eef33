"""ganctl export: the command."""

import json

import pytest


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


def test_json_describes_the_file(ok, dcgan_run, documented, tmp_path):
    out = tmp_path / "g.onnx"
    result = ok("export", dcgan_run, "-o", out, "--json")
    document = json.loads(result.out)
    documented("export", document)
    assert (document["kind"], document["bytes"]) == ("onnx", out.stat().st_size)
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
