"""Generators in .safetensors files: what is written is read back, and nothing else is."""

from __future__ import annotations

import json
import struct

import pytest
import safetensors.torch
import torch

from ganctl import generator_file, limits
from ganctl.errors import CheckpointError, UnreadableError
from ganctl.generator_file import ExportedGenerator, encode, read


@pytest.fixture
def generator(tiny_checkpoint):
    return ExportedGenerator(
        config=tiny_checkpoint.config, weights=tiny_checkpoint.generator_ema, is_average=True,
        data={"name": "mnist", "digest": "1" * 64, "held_out_digest": ""}, classes=(),
        checkpoint="2" * 64, step=3, ganctl="0.1.0",
    )  # fmt: skip


@pytest.fixture
def path(generator, tmp_path):
    path = tmp_path / "g.safetensors"
    path.write_bytes(encode(generator))
    return path


@pytest.fixture
def changed(path):
    """Return a function that changes the header or the tensors, with a digest that fits."""

    def change(values=None, **tensors):
        known, weights = parts(path)
        weights = {name: each for name, each in (weights | tensors).items() if each is not None}
        del known["digest"]
        known["digest"] = generator_file._digest(known, weights)
        known |= values or {}
        path.write_bytes(safetensors.torch.save(weights, {"ganctl": json.dumps(known)}))
        return path

    return change


def parts(path):
    with safetensors.safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["ganctl"]), weights


def test_what_is_written_is_read_back(generator, path):
    found = read(path)
    assert found.weights.keys() == generator.weights.keys()
    assert all(found.weights[name].equal(each) for name, each in generator.weights.items())
    for name in ("config", "is_average", "data", "classes", "checkpoint", "step", "ganctl"):
        assert getattr(found, name) == getattr(generator, name), name
    known, _ = parts(path)
    assert (known["image_shape"], known["latent_dim"]) == ([1, 28, 28], 8)
    assert (known["digest"], known["classes"]) == (found.digest, [])


def test_a_copy_that_is_written_again_is_equal(path):
    assert encode(read(path)) == path.read_bytes()


def first(kept):
    return lambda content: content[:kept]


DAMAGE = {
    "empty": (first(0), "is empty"),
    "the length alone": (first(8), "is not a safetensors file"),
    "half of the header": (first(400), "is cut short or damaged"),
    "no tensors": (first(-4), "is cut short or damaged"),
    "more at the end": (lambda content: content + b"1234", "is cut short or damaged"),
    "another file": (lambda _: b"\x89PNG\r\n\x1a\n" * 9, "is not a safetensors file"),
    "an enormous header": (
        lambda content: struct.pack("<Q", 2**62) + content[8:], "larger than any of them"
    ),
    "a header longer than the file": (
        lambda _: struct.pack("<Q", 2**20) + b"{}", "is cut short or damaged"
    ),
    "no JSON": (lambda content: content[:9] + b"!!" + content[11:], "is cut short or damaged"),
    "a changed weight": (lambda content: content[:-1] + b"\x01", "does not match its digest"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_in_plain_words(path, kind):
    change, words = DAMAGE[kind]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=words):
        read(path)


@pytest.mark.parametrize("claim", [{"shape": [2**40]}, {"data_offsets": [0, 2**60]}])
def test_a_tensor_that_claims_more_than_the_file_has_is_refused(path, claim):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["layers.0.weight"] |= claim
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(CheckpointError, match="is cut short or damaged"):
        read(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schema": 2}, r"newer ganctl \(schema 2; this one reads up to 1\)"),
        ({"schema": "1"}, "'schema' in its header"),
        ({"step": -1}, "'step' in its header"),
        ({"step": 9**30}, "'step' in its header"),
        ({"weights": "other"}, "'weights' in its header"),
        ({"checkpoint": "x"}, "'checkpoint' in its header"),
        ({"ganctl": None}, "'ganctl' in its header"),
        ({"classes": ["0"]}, "'classes' in its header"),
        ({"classes": [1]}, "'classes' in its header"),
        ({"data": {}}, "'data' in its header"),
        ({"config": []}, "has an invalid configuration"),
        ({"config": {}}, "has an invalid configuration"),
        ({"digest": "0" * 64}, "does not match its digest"),
        ({"digest": None}, "does not match its digest"),
    ],
)
def test_a_wrong_header_is_refused(changed, values, words):
    with pytest.raises(CheckpointError, match=words):
        read(changed(values))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "another program wrote this file"),
        ({"format": "pt"}, "another program wrote this file"),
        ({"ganctl": "0.1.0"}, "'ganctl' in its header"),
        ({"ganctl": "[]"}, "'ganctl' in its header"),
        ({"ganctl": "[" * 100_000}, "'ganctl' in its header"),
        ({"ganctl": "9" * 5000}, "'ganctl' in its header"),
    ],
)
def test_files_of_other_programs_are_refused(path, metadata, words):
    path.write_bytes(safetensors.torch.save(parts(path)[1], metadata))
    with pytest.raises(CheckpointError, match=words):
        read(path)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (None, "'layers.0.bias' is missing"),
        (torch.zeros(3), r"'layers.0.bias' is \(3,\)"),
        (torch.zeros(784, dtype=torch.int64), "int64, not"),
        (torch.zeros(784, dtype=torch.float16), "'layers.0.bias' is F16"),
    ],
)
def test_wrong_tensors_are_refused(changed, path, tensor, words):
    assert parts(path)[1]["layers.0.bias"].shape == (784,)
    with pytest.raises(CheckpointError, match=words):
        read(changed(**{"layers.0.bias": tensor}))
    with pytest.raises(CheckpointError, match="'other' is unexpected"):
        read(changed(other=torch.zeros(2), **{"layers.0.bias": torch.zeros(784)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(changed, path, value):
    bias = parts(path)[1]["layers.0.bias"]
    bias[7] = value
    with pytest.raises(CheckpointError, match=r"'layers\.0\.bias' holds NaN or infinity"):
        read(changed(**{"layers.0.bias": bias}))


def test_a_file_that_cannot_be_read_is_named_so(tmp_path, path, monkeypatch):
    with pytest.raises(UnreadableError, match="cannot be read: No such file"):
        read(tmp_path / "other.safetensors")
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 1000)
    with pytest.raises(CheckpointError, match="larger than any of them"):
        read(path)
