"""The share of a training's time that is spent outside the two networks' own mathematics.

    python tests/benchmarks/overhead.py [--preset fast] [--epochs 2] [OPTIONS OF ganctl train ...]

Runs `ganctl train` in this process with a clock around each update; all the rest of the command's
time (loading torch and the data, batches, metrics, samples, checkpoints, plots) is overhead.
"""

from __future__ import annotations

import sys
import tempfile
import time

STARTED = time.perf_counter()


def main() -> None:
    """Print the shares, with and without the start of the program."""
    from ganctl.cli import main as ganctl
    from ganctl.training import loop, session

    inside = 0.0
    ready = 0.0
    plain_step, plain_train = loop.train_step, session.Session.train

    def timed_step(*args, **kwargs):
        nonlocal inside
        start = time.perf_counter()
        result = plain_step(*args, **kwargs)
        inside += time.perf_counter() - start
        return result

    def timed_train(*args, **kwargs):
        nonlocal ready
        ready = time.perf_counter()
        return plain_train(*args, **kwargs)

    loop.train_step, session.Session.train = timed_step, timed_train
    with tempfile.TemporaryDirectory() as folder:
        code = ganctl(["train", "--out", f"{folder}/run", *sys.argv[1:]])
    ended = time.perf_counter()
    assert code == 0, code
    whole, training = ended - STARTED, ended - ready
    print(f"command {whole:.1f} s, training {training:.1f} s, inside updates {inside:.1f} s")
    print(f"outside the updates: {100 * (1 - inside / training):.2f} % of the training")
    print(f"with the program's start: {100 * (1 - inside / whole):.2f} % of the command")


if __name__ == "__main__":
    main()
