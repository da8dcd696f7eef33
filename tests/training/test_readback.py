"""Metrics on their way from the device to the host."""

import pytest
import torch

from ganctl.training import session
from ganctl.training.readback import Readback


def test_rows_are_received_once_and_in_order():
    readback = Readback(torch.device("cpu"))
    assert readback.receive(wait=True) == []
    for number in range(3):
        readback.add(torch.tensor([float(number), 0.5]))
    assert readback.num_kept == 3
    assert readback.receive(wait=True) == []  # not sent
    readback.send()
    readback.send()
    readback.add(torch.tensor([3.0, 0.5]))
    assert readback.num_kept == 1
    readback.send()
    assert readback.receive(wait=False) == [[n, 0.5] for n in (0.0, 1.0, 2.0, 3.0)]
    assert readback.receive(wait=True) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_sending_never_waits_for_a_gpu():
    device = torch.device("cuda")
    readback = Readback(device)
    rows = torch.arange(6.0, device=device).view(3, 2)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for row in rows:
            readback.add(row)
        readback.send()
        readback.receive(wait=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    readback.add(rows[0])
    readback.send()
    assert readback.receive(wait=True)[-1] == [0.0, 1.0]


def test_how_often_metrics_are_read_changes_nothing(tmp_path, tiny_config, train, monkeypatch):
    histories = []
    for seconds in (0.0, 1e9):  # after every step; only where an epoch ends
        monkeypatch.setattr("ganctl.training.readback._READ_SECONDS", seconds)
        ready = session.new(tiny_config(epochs=2), tmp_path / str(seconds), "cpu")
        rows = train(ready)[0].history
        histories.append([{k: v for k, v in row.items() if "sec" not in k} for row in rows])
    assert histories[0] == histories[1]
    assert len(histories[0]) == 2
