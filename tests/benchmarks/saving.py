"""Measure the time of one save as a share of the time between two.

    python tests/benchmarks/saving.py [--saves 20] [--out DIR]

A save includes reading the metrics, checking that every tensor is finite, the digest, and a write
into the folder DIR that is flushed to the device.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

SAVE_EVERY = 120.0
"""Seconds, the default of --save-every."""


def main() -> None:
    """Print a line for each preset."""
    from ganctl.config import presets
    from ganctl.history import Meter
    from ganctl.training import failures, session
    from ganctl.training.callback import Callback

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--saves", type=int, default=20)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    for preset in presets.PRESETS:
        with tempfile.TemporaryDirectory(dir=chosen.out) as folder:
            ready = session.new(presets.preset(preset), Path(folder) / "run", "cpu")
            ready.run.prepare()
            recorder = ready._recorder(Callback(), {})
            seconds = []
            for _ in range(chosen.saves):
                start = time.perf_counter()
                failures.require_finite(ready.state, ready.run.latest)
                recorder.save(Meter())
                seconds.append(time.perf_counter() - start)
            size = ready.run.latest.stat().st_size
        median, worst = statistics.median(seconds), max(seconds)
        print(
            f"{preset:6} {size / 1e6:5.1f} MB, a save {1000 * median:4.0f} ms (at most "
            f"{1000 * worst:.0f}): {100 * median / SAVE_EVERY:.2f} % of every {SAVE_EVERY:g} s"
        )


if __name__ == "__main__":
    main()
