import platform
import sys
from pathlib import Path

import pytest
import torch

from ganctl import devices
from ganctl.config.schema import PRECISIONS
from ganctl.errors import DeviceError, UsageError

CPU = torch.device("cpu")


@pytest.fixture
def cuda(monkeypatch):
    """Pretend to have a number of CUDA devices and no MPS."""

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return pretend


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cdua", "Did you mean 'cuda'?"),
        ("CPU", "Did you mean 'cpu'?"),
        ("tpu:0", "Did you mean 'cpu'?"),
        ("cuda:x", "Did you mean 'cuda'?"),
        ("gpu", "Did you mean 'cuda'?"),
        ("GPU:0", "Did you mean 'cuda'?"),
        ("cuda:-1", "Did you mean 'cuda'?"),
        ("cpu:0", "Did you mean 'cpu'?"),
        ("", "Known: auto, cpu, cuda, mps."),
    ],
)
def test_an_unknown_device_suggests_a_known_one(name, hint):
    with pytest.raises(UsageError, match=f"unknown device '{name}'") as caught:
        devices.resolve_device(name)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "count", "complaint"),
    [
        ("cuda", 0, "no CUDA device here"),
        ("cuda:0", 0, "no CUDA device here"),
        ("cuda:9", 1, "no CUDA device 9 here"),
        ("cuda:2", 2, "no CUDA device 2 here"),
        ("mps", 1, "no MPS device here"),
    ],
)
def test_a_missing_device_is_refused(cuda, name, count, complaint):
    cuda(count)
    with pytest.raises(DeviceError, match=complaint) as caught:
        devices.resolve_device(name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "count", "device"),
    [
        ("cpu", 1, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 1, "cuda:0"),
        ("cuda", 2, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_an_existing_device_is_found(cuda, name, count, device):
    cuda(count)
    assert devices.resolve_device(name) == torch.device(device)


def test_auto_chooses_mps_without_cuda(cuda, monkeypatch):
    cuda(0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.resolve_device("auto") == torch.device("mps")
    assert devices.resolve_device("mps") == torch.device("mps")


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_an_explicit_precision_is_kept(name):
    assert devices.resolve_precision(name, CPU) == name


def test_auto_precision_is_resolved_on_a_cpu():
    assert devices.resolve_precision("auto", CPU) in set(PRECISIONS) - {"auto"}


@pytest.mark.parametrize(("capability", "name"), [((8, 0), "bf16"), ((7, 5), "fp32")])
def test_auto_precision_on_cuda_follows_the_hardware(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert devices.resolve_precision("auto", torch.device("cuda", 0)) == name


def test_a_cpu_is_described_by_its_threads():
    threads = torch.get_num_threads()
    assert devices.describe(CPU).startswith(f"cpu, {threads} thread")


def test_preparing_a_device_twice_changes_no_result():
    x = torch.arange(12.0).view(3, 4)
    before = x @ x.T
    devices.prepare(CPU)
    devices.prepare(CPU)
    devices.synchronize(CPU)
    assert (x @ x.T).equal(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_is_described_by_its_name():
    device = devices.resolve_device("cuda")
    assert torch.cuda.get_device_name(device) in devices.describe(device)
    assert devices.resolve_precision("auto", device) in ("fp32", "bf16")


# Memory.


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="known under Linux alone")
def test_free_memory_of_a_cpu_is_the_machines():
    assert 10**7 < devices.free_memory(CPU) < 10**14


def test_free_memory_of_other_devices_is_unknown():
    assert devices.free_memory(torch.device("cuda")) is None


def test_a_machine_is_described_by_system_processor_and_instructions(monkeypatch):
    told = devices.describe_machine()
    assert told == devices.describe_machine()
    assert told.startswith(f"{platform.system()}, ")
    assert told.endswith(f", {torch.backends.cpu.get_cpu_capability()}")
    content = "processor\t: 0\nmodel name\t: Z80: fast\nprocessor\t: 1\nmodel name\t: other\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: content)
    assert ", Z80: fast, " in devices.describe_machine()


def test_an_unnamed_processor_is_described_by_its_architecture(monkeypatch):
    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "m68k")
    for read in (lambda *_: "CPU part: 0xd0c\n", missing):
        monkeypatch.setattr(Path, "read_text", read)
        assert ", m68k, " in devices.describe_machine()
