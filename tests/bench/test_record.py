"""The record, and the page that lists it."""

from __future__ import annotations

from pathlib import Path

from ganctl.bench.measure import WHOLE
from ganctl.bench.record import RECORDS, record_for

PAGE = Path(__file__).parents[2] / "docs" / "speedrun.md"


def test_the_page_lists_the_record():
    page = PAGE.read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith(("| cpu |", "| cuda |"))]
    assert listed == [
        f"| {r.device} | {r.frechet_distance:g} | {r.seconds:g} | {r.machine} | {r.version} | "
        f"`{r.command}` | {r.date} |"
        for r in RECORDS
    ]


def test_a_device_has_one_record_for_each_target():
    for record in RECORDS:
        assert record.frechet_distance in WHOLE.targets
        assert record_for(record.device, record.frechet_distance) is record
    assert record_for("cpu", 0.0) is None
