"""Measure how long commands take to start, compared with importing torch.

    python tests/benchmarks/startup.py CHECKPOINT [--rounds 7]

Times whole processes in turn: `ganctl --help`, `ganctl --version`, `python -c "import torch"`, and
`ganctl sample CHECKPOINT -n 16`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    """Return the wall-clock seconds of one run of `command`."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median, minimum and maximum seconds of each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ganctl = [str(Path(sys.executable).with_name("ganctl"))]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "ganctl --help": [*ganctl, "--help"],
            "ganctl --version": [*ganctl, "--version"],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "ganctl sample -n 16": [
                *ganctl, "sample", options.checkpoint, "-n", "16", "-o", f"{folder}/grid.png",
            ],
        }  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                taken = seconds(command)
                if number:  # the first round warms the disk cache
                    times[name].append(taken)
    for name, taken in times.items():
        print(f"{name:26s} {statistics.median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f})")
    pairs = zip(times["ganctl sample -n 16"], times["python -c 'import torch'"], strict=True)
    difference = statistics.median(a - b for a, b in pairs)
    print(f"sample beyond importing torch: {difference:.2f} s (median of the pairs)")


if __name__ == "__main__":
    main()
