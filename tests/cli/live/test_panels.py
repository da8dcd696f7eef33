"""Progress bars with the remaining time, and the table of losses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ganctl.cli.live import panels
from ganctl.cli.live.panels import Bars, clock, fitting, table_head
from ganctl.training.callback import Progress


def shown(bars, width=100):
    return bars.render(width, 2).plain.split("\n")


def test_the_remaining_time_follows_the_pace_so_far(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(panels, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bars = Bars()
    assert shown(bars) == ["starting ..."]
    for step in range(1, 102):
        bars.update(Progress(step, 3701, 1, 37, step, 100, 1234.0, {}))
        assert (bars.remaining() is None) == (step == 1)
        now[0] += 0.5
    run, epoch = shown(bars)
    assert run.startswith("epoch 1/37")
    assert run.endswith("3%  0:50, 30:00 left")
    assert epoch.endswith("101%  1,234 images/s")


@pytest.mark.parametrize("steps", [3, 5])
def test_the_bar_says_that_samples_are_measured(steps):
    """Samples are measured at the end of an epoch and of the run; the bar then starts again."""
    bars, said, shares = Bars(), [], []
    for step in range(1, steps + 1):
        epoch, index = divmod(step - 1, 3)
        bars.update(Progress(step, steps, epoch + 1, 2, index + 1, 3, 1.0, {}))
        line = shown(bars)[1]
        said.append(line.split("━")[0].strip())
        shares.append(line.split("%")[0].split()[-1])
    assert said == ["step 1/3", "step 2/3", "measuring", "step 1/3", "measuring"][:steps]
    assert shares == ["33", "67", "100", "33", "67"][:steps]


@pytest.mark.parametrize("width", [1, 20, 40, 59, 60, 200])
def test_a_bar_is_as_wide_as_the_terminal_allows(width):
    bars = Bars()
    bars.update(Progress(5, 10, 1, 1, 5, 10, 99_999.0, {}))
    run, epoch = shown(bars, width)
    assert (run.count("━") + run.count("╸") > 5) == (width >= 40)
    assert width < 40 or max(len(run), len(epoch)) <= width


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize("width", [25, 40, 60, 63, 80])
def test_a_narrow_table_omits_columns(width):
    head = table_head(width).plain
    assert len(head) <= width
    assert head.split()[:5] == ["epoch", "G", "loss", "D", "loss"]
    assert ("seconds" in fitting(width)) == (width >= 61)
    assert ("frechet_distance" in fitting(width)) == (width >= 32)
