"""Metrics on their way from the device to the host."""

from types import SimpleNamespace

import pytest
import torch

from ganctl.history import Meter
from ganctl.training import readback, session
from ganctl.training.readback import MetricsReader, Readback
from ganctl.training.step import StepResult


def test_rows_are_received_once_and_in_order():
    rows = Readback(torch.device("cpu"))
    assert rows.receive(wait=True) == []
    for number in range(3):
        rows.add(torch.tensor([float(number), 0.5]))
    assert rows.num_kept == 3
    assert rows.receive(wait=True) == []  # not sent
    rows.send()
    rows.send()
    rows.add(torch.tensor([3.0, 0.5]))
    assert rows.num_kept == 1
    rows.send()
    assert rows.receive(wait=False) == [[n, 0.5] for n in (0.0, 1.0, 2.0, 3.0)]
    assert rows.receive(wait=True) == []


@pytest.fixture
def make_reader(monkeypatch, tmp_path):
    """Return a function that makes a reader for a device, and a clock that tests set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(readback, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(readback, "gradient_names", lambda _: ())

    def make(device):
        state = SimpleNamespace(device=torch.device(device), step=0)
        return MetricsReader(state, Meter(), tmp_path / "ckpt.pt"), clock

    return make


ONE_STEP = StepResult(torch.tensor([1.0, 2.0, 0.5, 0.25]), torch.tensor([]))


def test_a_cpu_is_read_at_time_intervals(make_reader, monkeypatch):
    monkeypatch.setattr(readback, "_READ_SECONDS", 0.1)
    reader, clock = make_reader("cpu")
    found = []
    for _ in range(5):
        clock.now += 0.0625
        reader.add(ONE_STEP, 8)
        found.append((reader.read_if_due(), reader.meter.steps))
    assert found == [(False, 0), (True, 2), (False, 2), (True, 4), (False, 4)]
    assert reader.meter.seconds == 0.25


def test_a_device_that_is_no_cpu_is_read_after_a_number_of_steps(make_reader):
    reader, _ = make_reader("mps")
    found = []
    for _ in range(readback._READ_STEPS + 1):
        reader.add(ONE_STEP, 8)
        found.append(reader.read_if_due())
    assert found == [*[False] * (readback._READ_STEPS - 1), True, False]
    assert (reader.meter.steps, reader.meter.images) == (50, 51 * 8)
    assert reader.recent["d_fake"] == 0.25


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_sending_never_waits_for_a_gpu():
    device = torch.device("cuda")
    sent = Readback(device)
    rows = torch.arange(6.0, device=device).view(3, 2)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for row in rows:
            sent.add(row)
        sent.send()
        sent.receive(wait=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    sent.add(rows[0])
    sent.send()
    assert sent.receive(wait=True)[-1] == [0.0, 1.0]


def test_how_often_metrics_are_read_changes_nothing(tmp_path, tiny_config, train, monkeypatch):
    histories = []
    for seconds in (0.0, 1e9):  # after every step; only where an epoch ends
        monkeypatch.setattr("ganctl.training.readback._READ_SECONDS", seconds)
        ready = session.new(tiny_config(epochs=2), tmp_path / str(seconds), "cpu")
        rows = train(ready)[0].history
        histories.append([{k: v for k, v in row.items() if "sec" not in k} for row in rows])
    assert histories[0] == histories[1]
    assert len(histories[0]) == 2
