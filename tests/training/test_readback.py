import pytest
import torch

from ganctl.training.readback import Readback


def test_rows_come_back_in_their_order_once():
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
