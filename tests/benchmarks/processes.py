"""Compare the training speed of one and of two processes, one core each.

    python tests/benchmarks/processes.py [--rounds 3] [--processes 2] [OPTIONS OF ganctl train ...]

These take turns: one process on one core, N processes on one core each, and one process on N cores.
The time is that of the steps alone, as in losses.csv. Needs the cores to itself.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def images_per_sec(options: list[str], cores: set[int]) -> float:
    """Return the images per second in the last epoch of a training run on `cores`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ganctl", "train", "--out", f"{folder}/run", *options]
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        with (Path(folder) / "run" / "losses.csv").open(newline="") as file:
            return float(list(csv.DictReader(file))[-1]["images_per_sec"])


def main() -> None:
    """Print the median, minimum and maximum of each, and the ratios to one process on one core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    arguments, options = parser.parse_known_args()
    count = arguments.processes
    options = options or [
        "--preset", "dcgan", "--limit", "2560", "--epochs", "2", "--precision", "fp32",
    ]  # fmt: skip
    options += ["--set", "eval_samples=0"]
    cores = sorted(os.sched_getaffinity(0))[:count]
    ways = {
        "1 process, 1 core": (["--threads", "1"], {cores[0]}),
        f"{count} processes, a core each": (
            ["--threads", "1", "--num-processes", str(count)],
            set(cores),
        ),
        f"1 process, {count} cores": (["--threads", str(count)], set(cores)),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (how, on) in ways.items():
            found[name].append(images_per_sec([*options, *how], on))
    one = statistics.median(next(iter(found.values())))
    for name, rates in found.items():
        rate = statistics.median(rates)
        print(f"{name:30s} {rate:7.1f} images/s ({min(rates):.1f} to {max(rates):.1f}), "
              f"{rate / one:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()
