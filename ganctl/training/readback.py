"""Numbers on their way from the device to the host, of which neither waits for the other."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor


class Readback:
    """Rows of numbers, each a tensor (K,) on `device`, as lists on the host, in their order.

    On CUDA they are copied beside the work that goes on; elsewhere asking for them waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rows: list[Tensor] = []
        self._under_way: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def add(self, row: Tensor) -> None:
        """Keep `row` for the next `send`."""
        self._rows.append(row)

    @property
    def num_kept(self) -> int:
        """Rows that wait for the next `send`."""
        return len(self._rows)

    def send(self) -> None:
        """Begin to copy all rows that were added since."""
        if not self._rows:
            return
        table = torch.stack(self._rows)
        self._rows.clear()
        if self._device.type != "cuda":
            self._under_way.append((table, None))
            return
        host = torch.empty(table.shape, dtype=table.dtype, pin_memory=True)
        host.copy_(table, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._under_way.append((host, event))

    def receive(self, *, wait: bool) -> list[list[float]]:
        """The rows that have arrived, or, to `wait`, all that were sent."""
        rows: list[list[float]] = []
        while self._under_way:
            table, event = self._under_way[0]
            if event is not None:
                if wait:
                    event.synchronize()
                elif not event.query():  # type: ignore[no-untyped-call]
                    break
            self._under_way.popleft()
            rows += table.tolist()
        return rows
