"""Only ganctl's own archives are passed to torch, with unchanged content."""

import io
import struct
import zipfile

import pytest
import torch

from ganctl import archive, limits
from ganctl.config.presets import PRESETS, preset
from ganctl.config.schema import MAX_EPOCHS, override
from ganctl.errors import CheckpointError, UsageError
from ganctl.history import COLUMNS
from ganctl.training import memory, session
from ganctl.training.state import create

PLAIN = {"name": "x", "number": 7, "share": 0.5, "list": [1, {"a": None}], "flags": [True, False]}


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def checked_archive(data: bytes):
    return torch.load(archive.checked_archive(io.BytesIO(data)), weights_only=True)


def refusal(data: bytes) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        archive.checked_archive(io.BytesIO(data))
    return caught.value


class Counting(io.BytesIO):
    """A file that counts the bytes read from it."""

    count = 0

    def read(self, size=-1):
        content = super().read(size)
        self.count += len(content)
        return content


@pytest.mark.parametrize(
    "shape", [(), (0,), (5,), (2, 3), (0, 4), (2, 1, 3), (1, 2, 3, 4), (1,) * 8]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_tensors_of_every_shape_pass(shape, dtype):
    tensor = torch.arange(torch.Size(shape).numel()).to(dtype).reshape(shape)
    found = checked_archive(saved({**PLAIN, "tensor": tensor, "again": tensor.clone()}))
    assert found.pop("again").equal(tensor)
    assert found["tensor"].equal(tensor)
    assert found.pop("tensor").dtype == dtype
    assert found == PLAIN


def test_an_archive_has_the_prefix_of_its_name(tmp_path):
    torch.save(PLAIN, tmp_path / "ünï code.pt")
    with (tmp_path / "ünï code.pt").open("rb") as file:
        assert torch.load(archive.checked_archive(file), weights_only=True) == PLAIN


def test_another_programs_gigabytes_are_not_read():
    model = {"model": torch.nn.Linear(1000, 1000).state_dict()}  # an OrderedDict
    file = Counting(saved(model))
    with pytest.raises(CheckpointError, match="another program"):
        archive.checked_archive(file)
    assert file.count < len(file.getvalue()) / 20


def test_a_damaged_tensor_is_found_by_its_checksum():
    data = bytearray(saved({"x": torch.full((100,), 3.0)}))
    data[data.index(struct.pack("<f", 3.0) * 50)] ^= 1
    assert refusal(bytes(data)).message == "is cut short or damaged"


@pytest.mark.parametrize("change", [-4, 4, None], ids=["short", "long", "missing"])
def test_a_tensor_has_the_size_that_it_claims(change):
    source = zipfile.ZipFile(io.BytesIO(saved({"x": torch.arange(10.0)})))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            if name != "archive/data/0":
                changed.writestr(name, content)
            elif change is not None:
                changed.writestr(name, (content + bytes(4))[: len(content) + change])
    assert "differ in size" in refusal(target.getvalue()).message


def test_tensors_that_share_a_storage_are_refused():
    whole = torch.arange(10.0)
    assert "one part twice" in refusal(saved([whole, whole.view(2, 5)])).message
    assert "does not write" in refusal(saved([whole[5:]])).message


def test_a_pickle_over_the_size_limit_is_not_read(monkeypatch):
    monkeypatch.setattr(limits, "PICKLE_BYTES", 100)
    assert "not torch's own" in refusal(saved(PLAIN)).message


@pytest.mark.parametrize("by_zip64", [False, True], ids=["zip", "zip64"])
def test_a_directory_of_megabytes_is_not_read(by_zip64):
    """Two records hold the size, and only one of them is true."""
    start = saved(PLAIN)[:100]
    entries = b"PK\x01\x02" + bytes(42)
    directory = entries * 50_000
    record = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 50_000, 50_000, len(directory), len(start)
    ) + struct.pack("<4sIQI", b"PK\x06\x07", 0, len(start) + len(directory), 1)
    end = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 46 if by_zip64 else len(directory), len(start), 0
    )
    file = Counting(start + directory + (record if by_zip64 else b"") + end)
    with pytest.raises(CheckpointError, match="its archive is not torch's own"):
        archive.checked_archive(file)
    assert file.count < len(directory) / 2


def pickled(program: bytes) -> bytes:
    """Return an archive that has only this pickle."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(zipfile.ZipInfo("archive/data.pkl"), b"\x80\x02" + program + b".")
    return target.getvalue()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"](" + b"N" * 100_000 + b"e", "too many parts"),
        (b"N" + b"q\x00" * 100_000 + b"q\x00" * 2**20, "too many parts"),
        (b"(" * 17, "too many parts"),
        (b"](" + b"X\x00\x40\x00\x00" + b"a" * 2**14 + b"q\x00" + b"h\x00" * 99 + b"e", "twice"),
    ],
    ids=["values", "puts", "marks", "a string mentioned often"],
)
def test_the_cost_of_reading_is_bounded_by_the_length_of_the_pickle(program, words):
    assert words in refusal(pickled(program)).message


@pytest.mark.parametrize("num_unknown", [0, 11])
def test_the_longest_history_is_within_bounds(num_unknown):
    """Most strings in a history are names of columns, which every row repeats."""
    names = sorted(COLUMNS)
    unknown = dict.fromkeys(names[:num_unknown])
    rows = [
        {**dict.fromkeys(names, n / 7), "epoch": n, "step": n, **unknown} for n in range(MAX_EPOCHS)
    ]
    archive.checked_archive(io.BytesIO(saved({"history": rows})))


@pytest.mark.parametrize("name", ["fast", "dcgan"])  # no guided ones are that large
def test_no_run_begins_whose_checkpoints_could_not_be_read(name, tmp_path, monkeypatch):
    def too_late(*_):
        raise AssertionError("begun")

    config = override(preset(name), {"latent_dim": 4096, "base_channels": 512})
    monkeypatch.setattr(session, "create", too_late)
    monkeypatch.setattr(session.threads, "choose", too_late)
    with pytest.raises(UsageError, match=r"[56]\.\d GiB, more than the 4 GiB that can be read"):
        session.new(config, tmp_path / "run", "cpu")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PRESETS)
def test_the_size_of_a_checkpoint_is_known_before_it_is_written(name):
    config = override(preset(name), {"base_channels": 4, "num_classes": 3})
    state = create(config, torch.device("cpu"))
    whole = saved([state.weights(), state.moments()])
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        sizes = archive._check_program(file.read("archive/data.pkl"))
    assert memory.checkpoint_bytes(config) == sum(sizes.values())
