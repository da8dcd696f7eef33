"""Measure the overhead of the live screen by comparing runs with and without --quiet, in pairs.

    python tests/benchmarks/watching.py [--pairs N] [OPTIONS OF ganctl train ...]

Both runs of a pair are in a terminal of 140x40 cells with 24-bit colors. Prints wall-clock seconds,
which other programs on the machine disturb, and CPU seconds.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "terminal"))
from emulator import Emulator


def seconds(*options: str) -> tuple[float, float]:
    """Return the wall-clock seconds and the CPU seconds of one training run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ganctl", "train", "--out", f"{folder}/run", *options]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        with Emulator(command, 140, 40, emulate=False) as terminal:
            code = terminal.end(3600)
        assert code == 0, terminal.output.decode()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return time.perf_counter() - started, used


def main() -> None:
    """Print each pair, and the medians of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    arguments, options = parser.parse_known_args()
    options = options or ["--limit", "6000", "--epochs", "2"]
    ratios = []
    for pair in range(arguments.pairs):
        ways: list[tuple[str, ...]] = [(), ("--quiet",)]
        measured = {way: seconds(*options, *way) for way in (ways if pair % 2 else ways[::-1])}
        shown, quiet = measured[ways[0]], measured[ways[1]]
        ratios.append([a / b for a, b in zip(shown, quiet, strict=True)])
        print(f"shown {shown[0]:.2f} s ({shown[1]:.2f} s of processors), "
              f"quiet {quiet[0]:.2f} s ({quiet[1]:.2f} s)", flush=True)  # fmt: skip
    by_clock, used = (100 * (median(column) - 1) for column in zip(*ratios, strict=True))
    print(f"watching costs {by_clock:+.2f} % by the clock, {used:+.2f} % of processors")


if __name__ == "__main__":
    main()
