from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import pytest

from ganctl import store
from ganctl.config import presets, schema
from ganctl.datasets.streaming import index, stream
from ganctl.errors import DataError

evaluate = importlib.import_module("ganctl.evaluation.evaluate")
TINY = ("--size", "8", "--batch-size", "4", "--device", "cpu", "--precision", "fp32",
        "--set", "base_channels=4", "--latent-dim", "8", "--num-samples", "4",
        "--set", "eval_samples=0")  # fmt: skip
pytestmark = pytest.mark.usefixtures("_no_plot")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(stream, "_num_processes", lambda _: 0)


def test_a_run_on_packed_photos_streams_them_and_is_resumed(ok, cli, photos, tmp_path):
    packed = json.loads(
        ok("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar", "--per-shard", "5",
           "--json").out
    )  # fmt: skip
    assert (packed["num_images"], packed["num_shards"]) == (12, 3)
    assert packed["classes"] == {"cat": 5, "dog": 7}
    data = ("train", "--data", packed["index"], *TINY)

    whole = ok(*data, "--epochs", "2", "--out", tmp_path / "whole")
    assert "12 images in 3 shards" in whole.err
    assert "2 classes from files beside the images; training at 8x8 RGB" in whole.err
    ok(*data, "--steps", "2", "--out", tmp_path / "parts")
    for steps in ("4", "6"):
        ok("train", "--resume", "--steps", steps, "--out", tmp_path / "parts")
    one, other = (store.read_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert one.step == other.step == 6
    assert all(one.generator[key].equal(other.generator[key]) for key in one.generator)
    ok("report", tmp_path / "parts", "--with-images", "-o", tmp_path / "report.html")
    assert 'class="sheet"' in (tmp_path / "report.html").read_text()
    ok("sample", tmp_path / "parts", "--class", "dog", "-o", tmp_path / "dogs.png")

    for shard in (tmp_path / "s").iterdir():
        shard.unlink()
    ok("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar", "--per-shard", "6")
    result = cli("train", "--resume", "--steps", "8", "--out", tmp_path / "parts")
    assert result.code == 1
    assert "are not those this run was trained on" in result.err


def test_a_streaming_run_is_evaluated_against_some_of_its_images(ok, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "MIN_MEASURED", 2)
    ok("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar")
    config = schema.override(
        presets.preset("fast"),
        {"data": str(tmp_path / "s/index.json"), "image_size": "8", "image_channels": 3},
    )
    digest = index.read(config.data).digest
    model = SimpleNamespace(config=config, data_digest=digest, held_out_digest="")
    one, other, *_ = evaluate._real_images(model, config.data, lambda *_: None)
    assert one.shape == other.shape == (6, 8, 8, 3)
    model.data_digest = "other"
    with pytest.raises(DataError, match="are not those this run was trained on"):
        evaluate._real_images(model, config.data, lambda *_: None)


def test_existing_shards_are_indexed(ok, cli, photos, documented, tmp_path):
    ok("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar", "--per-shard", "5")
    (tmp_path / "s/index.json").unlink()
    result = ok("data", "index", tmp_path / "s/{000..002}.tar")
    assert "12 images in 3 shards" in result.out
    assert ", 2 classes from files beside the images" in result.out
    result = cli("data", "index", tmp_path / "s/{000..002}.tar")
    assert (result.code, "already exists" in result.err) == (1, True)
    (tmp_path / "s/index.json").unlink()
    documented(
        "data-index", json.loads(ok("data", "index", tmp_path / "s/0{00..02}.tar", "--json").out)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--per-shard", "0"), "--per-shard"),
        (("--shard-size", "much"), "is not a size"),
        (("--shard-size", "0"), "must be more than 0 bytes"),
        (("--fit", "pad"), "files are stored as they are"),
        (("--out", "x.tar"), "is not a pattern of names for shards"),
        (("--size", "7"), "multiples of 4"),
    ],
)
def test_wrong_options_are_refused(cli, photos, tmp_path, words, said):
    result = cli("data", "pack", photos, "-o", tmp_path / "s/{0..}.tar", *words)
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "s").exists()


def test_a_folder_may_be_called_like_a_subcommand(ok, cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos.rename("pack")
    assert json.loads(ok("data", "./pack", "--json").out)["num_images"] == 12
    assert json.loads(ok("data", "--json", "pack").out)["num_images"] == 12
    assert cli("data", "pack").code == 2


def test_data_refuses_an_index(cli, photos, tmp_path):
    address = tmp_path / "s/index.json"
    assert cli("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar").code == 0
    result = cli("data", address)
    assert result.code == 2
    assert "streamed" in result.err
