"""Checkpoints survive a round trip; reading anything else raises CheckpointError only."""

import dataclasses
import io
import os
import pickle
import random
import re
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ganctl import checkpoint
from ganctl.checkpoint import VERSION, Checkpoint, content_digest, decode, encode
from ganctl.config import presets, schema
from ganctl.errors import CheckpointError
from ganctl.history import QUALITY_METRICS

FIXTURES = Path(__file__).parent / "fixtures"
ROW = {
    "epoch": 1, "step": 3, "images": 40, "seconds": 0.5, "elapsed_seconds": 0.5,
    "g_loss": 0.7, "d_loss": 0.6, "d_real": 0.5, "d_fake": 0.4, "diversity": 0.9,
    "images_per_sec": 80.0, **dict.fromkeys(QUALITY_METRICS), "frechet_distance": 2.5,
}  # fmt: skip


def small(**changes) -> Checkpoint:
    """Return a valid checkpoint with few weights: the schema does not know the networks."""

    def table():
        return {"weight": torch.arange(6.0).view(2, 3)}

    fields = {
        "config": presets.preset("dcgan"),
        "step": 3,
        "generator": table(),
        "generator_ema": None,
        "discriminator": table(),
        "optimizer_g": {"exp_avg": table(), "exp_avg_sq": table()},
        "optimizer_d": {"exp_avg": table(), "exp_avg_sq": table()},
        "history": [dict(ROW)],
        "partial": {"sums": [0.5] * 4, "steps": 1, "images": 16, "seconds": 0.25},
        "data": {
            "name": "m",
            "num_images": 40,
            "image_shape": [1, 28, 28],
            "digest": "0",
            "num_held_out": 0,
            "held_out_digest": "",
            "classes": ["a", "b"],
        },
        "made_by": {"ganctl": "0", "date": "today"},
    }
    return Checkpoint(**{**fields, **changes})


def plain(value):
    """Return a value in which `==` compares tensors bit by bit."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def content_of(found: Checkpoint):
    """Return the content of a file without its digest and schema version."""
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    told = {name: value for name, value in fields.items() if name not in ("digest", "schema")}
    return plain(told)


def saved(content) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, buffer)
    return buffer.getvalue()


def unpacked() -> dict:
    return torch.load(io.BytesIO(encode(small())), weights_only=True)


def forged(change) -> bytes:
    """Return a file with changed content and, if it has one, the digest that matches."""
    content = unpacked()
    change(content)
    try:
        content["digest"] = content_digest(content)
    except Exception:
        content["digest"] = "0" * 64
    return saved(content)


def refusal(data: bytes) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        decode(data)
    return caught.value


# Round trips.

arrays = npst.arrays(
    st.sampled_from([np.float32, np.int64]),
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
tables = st.dictionaries(st.text(max_size=5), arrays.map(torch.from_numpy), max_size=3)
finite = st.integers(-(2**52), 2**52) | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=25)
@given(
    generator=tables,
    ema=st.none() | tables,
    moments=tables,
    step=st.integers(0, 10**9),
    history=st.lists(finite.map(lambda value: {**ROW, "seconds": value}), max_size=3),
    made_by=st.dictionaries(st.text(max_size=5), finite | st.text(max_size=9), max_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_checkpoint_survives_a_round_trip(generator, ema, moments, step, history, made_by, seed):
    original = small(
        config=schema.override(presets.preset("fast"), {"seed": seed}),
        step=step,
        generator=generator,
        generator_ema=ema,
        optimizer_g={"exp_avg": moments, "exp_avg_sq": moments},
        history=history,
        made_by=made_by,
    )
    found = decode(encode(original))
    assert content_of(found) == content_of(original)
    assert len(found.digest) == 64


def test_a_tiny_run_survives_a_round_trip(tiny_checkpoint):
    assert content_of(decode(encode(tiny_checkpoint))) == content_of(tiny_checkpoint)


def test_tensors_are_saved_whatever_their_layout_and_history():
    odd = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    view = torch.arange(1000.0).requires_grad_()[::100]
    found = decode(encode(small(generator={"odd": odd, "view": view})))
    assert found.generator["odd"].equal(odd)
    assert found.generator["view"].equal(view)
    assert len(encode(small(generator={"view": view}))) < len(encode(small())) + 500


def test_the_digest_covers_every_part():
    variants = [
        small(),
        small(step=4),
        small(generator={"weight": torch.arange(6.0).view(3, 2)}),
        small(generator={"weighty": torch.arange(6.0).view(2, 3)}),
        small(generator_ema={}),
        small(history=[]),
        small(made_by={}),
        small(config=presets.preset("fast")),
    ]
    assert len({decode(encode(variant)).digest for variant in variants}) == len(variants)
    assert decode(encode(small())).digest == decode(encode(small())).digest


# Files of other programs.


class Evil:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, arr_0=np.zeros(3))
    return buffer.getvalue()


def legacy() -> bytes:
    buffer = io.BytesIO()
    torch.save(unpacked(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is a PNG picture"),
        (b"hello, world", "is not a ganctl checkpoint"),
        (pickle.dumps({"format": "ganctl"}), "is a bare pickle"),
        (legacy(), "is a bare pickle"),
        (npz(), "is not a ganctl checkpoint"),
        (saved({"epoch": 3, "model": {}}), "another program wrote this"),
        (saved({"format": torch.ones(2)}), "another program wrote this"),
        (saved([1, 2]), "another program wrote this"),
        (saved(torch.ones(3)), "another program wrote this"),
        (b"PK\x03\x04", "is cut short or damaged"),
    ],
    ids=["empty", "png", "text", "pickle", "old", "npz", "dict", "format", "list", "one", "zip"],
)
def test_another_programs_file_is_named_for_what_it_is(data, complaint):
    assert complaint in refusal(data).message


@pytest.mark.parametrize(
    "wrap",
    [pickle.dumps, saved, lambda evil: forged(set_in("data", "name", to=evil))],
    ids=["pickle", "torch", "within"],
)
def test_code_in_a_file_does_not_run(wrap, tmp_path):
    harmed = tmp_path / "harmed"
    data = wrap(Evil(harmed))
    assert b"mkdir" in data
    assert refusal(data).hint.startswith("It was not opened")
    assert not harmed.exists()


def test_a_compressed_archive_is_not_unpacked():
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(encode(small()))) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in source.namelist():
            bomb.writestr(name, source.read(name))
        bomb.writestr("archive/data/99", bytes(10**6))
    assert "archive is not torch's own" in refusal(buffer.getvalue()).message


def test_an_archive_whose_members_share_their_bytes_is_refused():
    """Each entry of the directory is doubled, so that the members unpack to more than the file."""
    data = encode(small(generator={"weight": torch.zeros(10_000)}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start, count = archive.start_dir, 2 * len(archive.infolist())
    directory = data[start : data.rindex(b"PK\x05\x06")].partition(b"PK\x06\x06")[0]
    end = struct.pack("<4s4x2H2I2x", b"PK\x05\x06", count, count, 2 * len(directory), start)
    assert "archive is not torch's own" in refusal(data[:start] + 2 * directory + end).message


# Damage.


def test_a_file_cut_short_anywhere_is_refused():
    data = encode(small())
    for length in [*range(1, len(data), 37), len(data) - 1]:
        decode_error = refusal(data[:length])
        assert decode_error.message.startswith("is ")


@pytest.mark.parametrize("where", ["everywhere", "the directory"])
def test_a_flipped_bit_is_refused_or_changes_nothing(where):
    data = encode(small())
    whole = content_of(decode(data))
    directory = data.index(b"PK\x01\x02")
    bits = [8 * position + position % 8 for position in range(0, len(data), 5)]
    if where == "the directory":
        bits = random.Random(0).sample(range(8 * directory, 8 * len(data)), 600)
        bits += [8 * (directory + 8)]  # the first member calls itself encrypted
    refused = 0
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert content_of(decode(bytes(damaged))) == whole
        except CheckpointError:
            refused += 1
    assert refused > len(bits) / 4


def test_a_changed_weight_does_not_match_the_digest():
    content = unpacked()
    content["generator"]["weight"][0, 0] = 5
    assert "does not match its digest" in refusal(saved(content)).message


# Content that ganctl does not write.


def set_in(*path, to):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic():
    value = {}
    value["itself"] = value
    return value


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (set_in("version", to=VERSION + 1), f"newer ganctl .schema {VERSION + 1}"),
        (set_in("version", to="1"), "no schema version"),
        (set_in("version", to=True), "no schema version"),
        (set_in("version", to=0), "no schema version"),
        (lambda content: content.pop("version"), "no schema version"),
        (lambda content: content.pop("config"), "invalid configuration"),
        (set_in("config", "seed", to=-1), "invalid configuration: seed must be"),
        (set_in("config", "sede", to=1), "invalid configuration: .*sede"),
        (set_in("config", "network", "base_channels", to=10**9), "base_channels must be"),
        (lambda content: content.pop("generator"), "'generator' is missing"),
        (lambda content: content.pop("history"), "'history' is missing"),
        (set_in("step", to=True), "'step' is missing or of the wrong type"),
        (set_in("step", to=1.0), "'step' is missing or of the wrong type"),
        (set_in("step", to=-1), "step is out of range"),
        (set_in("generator", to=[]), "'generator' is missing or of the wrong type"),
        (set_in("generator", "x", to=1.0), "not tables of tensors"),
        (set_in("generator_ema", to={"x": "y"}), "not tables of tensors"),
        (set_in("discriminator", 7, to=torch.ones(1)), "not tables of tensors"),
        (set_in("optimizer_g", "extra", to={}), "not Adam's state"),
        (lambda content: content["optimizer_d"].pop("exp_avg"), "not Adam's state"),
        (set_in("optimizer_d", "exp_avg", to=None), "not tables of tensors"),
        (set_in("history", 0, to=[]), "not a table of numbers"),
        (set_in("history", 0, "g_loss", to="0.7"), "not a table of numbers"),
        (set_in("history", 0, "g_loss", to=float("nan")), "not a table of numbers"),
        (set_in("history", 0, "more", to=1.0), "not a table of numbers"),
        (set_in("history", 0, "g_loss", to=2**60), "not a table of numbers"),
        (set_in("step", to=2**60), "step is out of range"),
        (set_in("step", to=10**400), "a number that is too large"),
        (set_in("data", "num_images", to=2**60), "not describe its training images"),
        (lambda content: content["history"][0].pop("step"), "not a table of numbers"),
        (set_in("data", "num_images", to=0), "not describe its training images"),
        (set_in("data", "image_shape", to=[1, 28.0]), "not describe its training images"),
        (set_in("data", "name", to=None), "not describe its training images"),
        (set_in("data", "classes", to=["a", 1]), "not describe its training images"),
        (set_in("data", "classes", to="ab"), "not describe its training images"),
        (set_in("data", "classes", to=["a"] * 1001), "not describe its training images"),
        (set_in("data", "classes", to=["a" * 256]), "not describe its training images"),
        (set_in("made_by", "x", to=[1]), "what made it"),
        (set_in("made_by", 1, to="x"), "what made it"),
        (set_in("partial", "x", to=nested(100)), "nested too deeply"),
        (set_in("partial", "x", to=cyclic()), "it holds one part twice"),
        (set_in("partial", "x", to={1, 2}), "more than tensors and plain values"),
        (set_in("partial", "x", to=b"bytes"), "more than tensors and plain values"),
        (set_in("partial", "x", to=1j), "more than tensors and plain values"),
        (set_in("partial", "x", to=torch.float32), "more than tensors and plain values"),
    ],
)  # fmt: skip
def test_invalid_content_is_refused(change, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        decode(forged(change))


def test_parts_shared_over_and_over_are_refused_without_walking_them():
    """A walk through this file of a few kilobytes would take 30**9 steps."""
    for depth in (3, 9):  # where the first is walked, the second is not reached
        shared = [1]
        for _ in range(depth):
            shared = [shared] * 30
        content = unpacked()
        content["partial"]["x"] = shared
        assert "it holds one part twice" in refusal(saved(content)).message


def with_program(program: bytes) -> bytes:
    """Return an intact archive with a handwritten pickle."""
    source = zipfile.ZipFile(io.BytesIO(encode(small())))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, program if name.endswith("data.pkl") else source.read(name))
    return target.getvalue()


def shared_tuples(depth: int) -> bytes:
    """Return a pickle of a dict whose key is 30 times the same tuple of 30 times the same ..."""
    program = b"\x80\x02}" + b"(" * depth + b"K\x01\x85q\x00"
    for level in range(depth):
        program += (b"h" + bytes([level])) * 29 + b"tq" + bytes([level + 1])
    return program + b"K\x01s."


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (shared_tuples(3), "another program"),
        (shared_tuples(9), "another program"),  # days to hash, were it executed
        (b"\x80\x02}K\x01" + b"\x85" * 200_000 + b"K\x01s.", "another program"),
        (b"\x80\x02" + b"}" * 200_000 + b".", "too many parts"),
        (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "more than tensors"),
        (b"\x80\x02ctorch\nload\n)R.", "more than tensors"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "more than tensors"),
        (b"\x80\x02]", "damaged"),
        (b"", "damaged"),
        (b"not a pickle", "more than tensors|damaged"),
    ],
)  # fmt: skip
def test_a_pickles_program_is_checked_before_it_is_run(program, complaint, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was executed"))
    with pytest.raises(CheckpointError, match=complaint):
        decode(with_program(program))


@pytest.mark.parametrize("text", ["\ud800", "ünï"])
def test_any_text_is_read_or_refused(text):
    data = forged(set_in("made_by", "x", to=text))
    try:
        assert decode(data).made_by["x"] == text
    except CheckpointError:
        assert text == "\ud800"


def odd_tensors():
    ones = torch.ones(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "stride 0": torch.zeros(1).expand(10**12),
            "not contiguous": torch.zeros(4, 4).T,
            "parameter": torch.nn.Parameter(ones),
            "needs a gradient": torch.ones(4, requires_grad=True),
            "meta": torch.ones(4, device="meta"),
            "sparse": ones.to_sparse(),
            "bfloat16": ones.bfloat16(),
            "float8": ones.to(torch.float8_e5m2),
            "conjugate": torch.ones(4, dtype=torch.complex64).conj(),
            "negative": torch._neg_view(ones),
            "quantized": torch.quantize_per_tensor(ones, 1.0, 0, torch.qint8),
        }


@pytest.mark.parametrize("name", odd_tensors())
def test_a_tensor_that_ganctl_does_not_write_is_refused(name):
    data = forged(set_in("generator", "weight", to=odd_tensors()[name]))
    complaints = "ganctl does not write|more than tensors and plain values|another program"
    assert re.search(complaints, refusal(data).message)


def test_an_older_version_is_upgraded_step_by_step(monkeypatch):
    """Two newer versions are invented, since there is only one so far."""
    data = encode(small())
    monkeypatch.setattr(checkpoint, "VERSION", VERSION + 2)
    monkeypatch.setitem(checkpoint.UPGRADES, VERSION, lambda content: {**content, "step": 10})
    monkeypatch.setitem(
        checkpoint.UPGRADES, VERSION + 1, lambda content: {**content, "step": content["step"] + 1}
    )
    found = decode(data)
    assert (found.step, found.schema) == (11, VERSION)
    again = decode(encode(found))
    assert (again.step, again.schema) == (11, VERSION + 2)


def test_there_is_an_upgrade_from_every_older_version():
    assert sorted(checkpoint.UPGRADES) == list(range(1, VERSION))


@pytest.mark.parametrize("history", [None, 7, [7], [{}], [[]]])
def test_an_upgrade_to_nonsense_is_refused(monkeypatch, history):
    data = encode(small())
    monkeypatch.setattr(checkpoint, "VERSION", VERSION + 1)
    monkeypatch.setitem(
        checkpoint.UPGRADES, VERSION, lambda content: {**content, "history": history}
    )
    assert "history" in refusal(data).message


@pytest.mark.parametrize(
    "remove",
    [
        lambda content: content["config"].pop("image_key"),
        lambda content: content["config"]["network"].pop("stages"),
        lambda content: content["history"][0].pop("diversity"),
    ],
)
def test_a_checkpoint_from_before_the_first_release_is_refused_in_plain_words(remove):
    """Development versions numbered their schemas from 1, too, and lack what came later."""
    error = refusal(forged(remove))
    assert re.search("unknown or missing settings|history", error.message)
    assert error.hint == "Checkpoints from before ganctl's first release cannot be read."


@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_checkpoints_of_the_first_schema_can_always_be_read(preset):
    """The checkpoints were written by ganctl 0.1.0, after 6 steps, with 4 per epoch."""
    found = decode((FIXTURES / f"schema-1-{preset}.pt").read_bytes())
    assert (found.config.preset, found.step, found.made_by["ganctl"]) == (preset, 6, "0.1.0")
    assert [row["step"] for row in found.history] == [4]
    missing = [name for name in QUALITY_METRICS if found.history[0][name] is None]
    assert missing == ["patch_distance"], "digits have a feature network"
    assert (found.config.eval_samples, found.config.threads) == (20, 1)
    assert found.config.conditional == (preset == "fast")
    again = decode(encode(found))
    assert (found.schema, again.schema) == (1, VERSION)
    assert content_of(again) == content_of(found)
