"""Batches that are read ahead, in order and up to a limit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from ganctl.datasets import prefetch as module
from ganctl.datasets.prefetch import Request, prefetch
from ganctl.errors import DataError

CPU = torch.device("cpu")


def requests(count):
    return [Request(step, range(1, 5), 6) for step in range(count)]


def read(request):
    """Return images whose every pixel is the step, and the rows as labels."""
    rows = np.array(request.rows)
    return np.full((len(rows), 2, 2, 1), request.step, np.uint8), rows


@pytest.mark.parametrize("num_ahead", [1, 3, 9])
def test_requests_come_in_order_with_their_images_and_labels(num_ahead):
    found = list(prefetch(read, requests(5), CPU, num_ahead=num_ahead))
    assert [request for request, _, _ in found] == requests(5)
    for request, images, labels in found:
        assert images.shape == (4, 2, 2, 1)
        assert (images == request.step).all()
        assert labels.tolist() == [1, 2, 3, 4]


def test_no_more_requests_are_taken_than_are_read_ahead():
    taken = []
    source = (taken.append(request) or request for request in requests(9))
    batches = prefetch(read, source, CPU, num_ahead=2)
    next(batches)
    assert len(taken) == 3
    batches.close()
    assert len(taken) == 3
    assert not [t for t in threading.enumerate() if t.name.startswith("ganctl-images")]


def test_tensors_are_taken_as_they_are():
    tensors = torch.zeros((4, 2, 2, 1), dtype=torch.uint8), torch.arange(4)
    ((_, images, labels),) = prefetch(lambda _: tensors, requests(1), CPU, num_ahead=1)
    assert images is tensors[0]
    assert labels is tensors[1]


def test_several_processes_read_neighboring_rows_of_each_request(monkeypatch):
    """The two processes are stand-ins that do the work at once."""
    parts = []

    class Workers:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return [self.submit] * 2

        def __exit__(self, *_):
            pass

        def submit(self, part):
            parts.append(part)
            done = module.Future()
            done.set_result(read(part))
            return done

    monkeypatch.setattr(module.workers, "stateful_workers", Workers)
    wanted = [Request(0, range(1, 6), 6), Request(1, range(1), 6)]
    found = list(prefetch(read, wanted, CPU, num_ahead=1, num_processes=2))
    assert parts == [
        Request(0, range(1, 3), 6), Request(0, range(3, 6), 6),
        Request(1, range(0), 6), Request(1, range(1), 6),
    ]  # fmt: skip
    assert [request for request, _, _ in found] == wanted
    assert [labels.tolist() for _, _, labels in found] == [[1, 2, 3, 4, 5], [0]]


def test_an_exception_of_the_reader_arrives_at_its_request():
    def fail(request):
        if request.step == 1:
            raise DataError("damaged")
        return read(request)

    batches = prefetch(fail, requests(3), CPU, num_ahead=2)
    assert next(batches)[0].step == 0
    with pytest.raises(DataError, match="damaged"):
        next(batches)
