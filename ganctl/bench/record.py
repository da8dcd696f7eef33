"""The fastest times to a quality that were measured so far, which docs/speedrun.md lists, too."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """The shortest time to a Frechet distance on one kind of device."""

    device: str
    """Kind of the device: cpu or cuda."""
    frechet_distance: float
    seconds: float
    machine: str
    version: str
    """Commit, or version of ganctl."""
    command: str
    date: str
    """Year, month and day."""


_MACHINE = "AMD EPYC (AVX-512 with bf16), 2 cores"
RECORDS: tuple[Record, ...] = (
    Record("cpu", 5.0, 5.97, _MACHINE, "b3b6fe6", "ganctl bench", "2026-11-30"),
    Record("cpu", 1.0, 12.59, _MACHINE, "b3b6fe6", "ganctl bench", "2026-11-30"),
    Record("cpu", 0.3, 47.38, _MACHINE, "b3b6fe6", "ganctl bench", "2026-11-30"),
)
"""At most one for each device and distance. A test compares them with docs/speedrun.md."""


def record_for(device: str, frechet_distance: float) -> Record | None:
    """Return the record of a kind of device; None if there is none yet."""
    for record in RECORDS:
        if (record.device, record.frechet_distance) == (device, frechet_distance):
            return record
    return None
