"""Exported generators draw what `sample` draws, in onnxruntime and in torch without ganctl."""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import ganctl
from ganctl import export, latents
from ganctl.errors import CheckpointError, DeviceError, PackageError, RunError, UsageError
from ganctl.images import to_pixels
from ganctl.model import load

PAGE = Path(__file__).parents[2] / "docs" / "use-it.md"


def inputs(model, seeds):
    points = latents.from_seeds(seeds, model.network.latent_dim)
    labels = torch.tensor([seed % 3 for seed in seeds])
    return {"latents": points, "classes": labels} if model.classes else {"latents": points}


def in_onnxruntime(path, model, seeds):
    session = onnxruntime.InferenceSession(str(path))
    arrays = {name: tensor.numpy() for name, tensor in inputs(model, seeds).items()}
    assert [each.name for each in session.get_inputs()] == list(arrays)
    (images,) = session.run(["images"], arrays)
    return images, session


def furthest(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
@pytest.mark.parametrize("channels", [1, 3])
def test_onnxruntime_draws_what_sample_draws(model_of, tmp_path, preset, channels):
    model = model_of(preset, channels)
    model.export(tmp_path / "g.onnx", command="ganctl export run")
    kinds = [node.op_type for node in onnx.load(tmp_path / "g.onnx").graph.node]
    assert not {"MatMul", "Col2Im"} & set(kinds), "layers for CPUs are exported as plain ones"
    for seeds in (range(5), [7]):
        images, session = in_onnxruntime(tmp_path / "g.onnx", model, seeds)
        assert (images.dtype, images.shape) == (np.float32, (len(seeds), channels, 28, 28))
        pixels = to_pixels(torch.from_numpy(images))
        assert furthest(pixels, model.sample(seeds).pixels) <= 1
    expected = {
        "ganctl": ganctl.__version__, "checkpoint": model.digest, "step": "4",
        "weights": "ema" if model.ema else "generator", "image_shape": f"[{channels}, 28, 28]",
        "latent_dim": "8", "classes": '["0", "1", "7"]',
        "output": "float32 (N, C, H, W) in [-1, 1]",
        "command": "ganctl export run",
    }  # fmt: skip
    assert session.get_modelmeta().custom_metadata_map == expected
    assert ganctl.inspect(tmp_path / "g.onnx")["made_with"] == expected
    wrong = {"latents": np.zeros((1, 8), np.float32), "classes": np.array([3])}
    with pytest.raises(Exception, match="idx=3 must be within"):
        session.run(["images"], wrong)


def test_images_can_be_bytes_and_a_generator_without_classes(model_of, tmp_path):
    model = model_of("fast", channels=4, num_classes=0)
    model.export(tmp_path / "g.onnx", uint8=True)
    images, session = in_onnxruntime(tmp_path / "g.onnx", model, range(5))
    assert (images.dtype, images.shape) == (np.uint8, (5, 28, 28, 4))
    assert furthest(images, model.sample(range(5)).pixels) <= 1
    assert session.get_modelmeta().custom_metadata_map["output"] == "uint8 (N, H, W, C)"


@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_torch_runs_a_pt2_without_ganctl(model_of, tmp_path, monkeypatch, preset):
    model = model_of(preset)
    size = model.export(tmp_path / "g.pt2")
    content = (tmp_path / "g.pt2").read_bytes()
    extra = {"ganctl.json": ""}
    expected, inspect = model.sample(range(5)).pixels, ganctl.inspect
    for name in filter(re.compile(r"ganctl\b").match, [*sys.modules]):
        monkeypatch.setitem(sys.modules, name, None)  # importing it again fails
    program = torch.export.load(io.BytesIO(content), extra_files=extra).module()
    assert (size, json.loads(extra["ganctl.json"])["checkpoint"]) == (len(content), model.digest)
    assert inspect(tmp_path / "g.pt2")["made_with"] == json.loads(extra["ganctl.json"])
    for seeds in (range(5), [3]):
        images = program(*inputs(model, seeds).values())
        assert furthest(to_pixels(images), expected[list(seeds)]) <= 1
    with pytest.raises(IndexError):
        program(inputs(model, [3])["latents"], torch.tensor([3]))


@pytest.mark.parametrize(
    ("preset", "channels", "num_classes"), [("fast", 3, 3), ("fast", 1, 0), ("dcgan", 1, 3)]
)
def test_an_exported_generator_is_read_back_with_equal_bits(
    model_of, tmp_path, preset, channels, num_classes
):
    model = model_of(preset, channels, num_classes)
    path = tmp_path / "g.safetensors"
    size = model.export(path)
    found = load(path)
    assert np.array_equal(found.sample(range(5)).pixels, model.sample(range(5)).pixels)
    kept = {**vars(model), "path": path, "generator": found.generator}
    assert vars(found) == kept
    assert size == path.stat().st_size
    found.export(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match=r"holds the (moving average|weights as trained) alone"):
        load(path, ema=not model.ema)
    assert load(path, ema=model.ema).ema == model.ema


def test_a_generator_with_weights_that_are_not_finite_is_not_exported(model_of, tmp_path):
    model = model_of("fast")
    model.generator.state_dict()["layers.0.bias"][3] = float("nan")
    for suffix in export.SUFFIXES:
        with pytest.raises(CheckpointError, match=r"layers\.0\.bias holds NaN or infinity"):
            model.export(tmp_path / f"g{suffix}")
    assert not list(tmp_path.iterdir())


def test_the_code_of_the_page_runs(model_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = model_of("fast", latent_dim=32)
    model.export("digits.onnx", uint8=True)
    model.export("digits.pt2")
    model.export("digits.safetensors")
    heads = model_of("guided", channels=3, num_classes=0, latent_dim=32)
    heads.export("heads.safetensors")
    blocks = re.findall(r"```python\n(.+?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(blocks) == 4
    names = {}
    for block in blocks:
        block = block.replace("torch.arange(10)", "torch.arange(10) % 3")  # as many as here
        assert "ganctl" not in re.findall(r"import (\w+)", block)
        exec(block, names)
        assert names["images"].shape in ((16, 28, 28, 1), (10, 1, 28, 28), (10, 3, 28, 28))
        if "safe_open" in block:
            drawn = heads if "heads" in block else model
            images = names["generator"](*inputs(drawn, range(5)).values())
            assert furthest(to_pixels(images), drawn.sample(range(5)).pixels) <= 1
    assert (tmp_path / "sevens.png").read_bytes()[:4] == b"\x89PNG"


def test_nothing_is_written_where_it_cannot_be(model_of, tmp_path, monkeypatch):
    model = model_of("fast")
    with pytest.raises(UsageError, match=r"cannot export '\.onxx' files"):
        model.export(tmp_path / "g.onxx")
    with pytest.raises(RunError, match="cannot be written"):
        model.export(tmp_path / "nowhere" / "g.pt2")
    monkeypatch.setattr("ganctl.export.onnx._MAX_BYTES", 1000)
    with pytest.raises(UsageError, match=r"more than an \.onnx can hold"):
        model.export(tmp_path / "g.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(PackageError, match=r"an \.onnx needs onnxscript, which is not") as caught:
        model.export(tmp_path / "g.onnx")
    assert "pip install 'ganctl[onnx]'" in caught.value.hint
    monkeypatch.setattr(export, "_COPIES", 10**12)
    with pytest.raises(DeviceError):
        model.export(tmp_path / "g.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".html"])
def test_no_file_says_where_its_maker_keeps_files(model_of, tmp_path, suffix):
    path = tmp_path / f"g{suffix}"
    model_of("guided", 3).export(path)
    content = path.read_bytes()
    if suffix == ".pt2":
        with zipfile.ZipFile(path) as file:
            content = b"".join(map(file.read, file.namelist()))
    assert str(Path(ganctl.__file__).parent).encode() not in content
    assert str(tmp_path).encode() not in content
