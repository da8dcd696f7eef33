"""Measure the share of training time that is spent outside the two networks.

    python tests/benchmarks/overhead.py [--preset fast] [--epochs 2] [OPTIONS OF ganctl train ...]

Runs `ganctl train` in this process with a clock around each update; all the rest of the command's
time (loading torch and the data, batches, metrics, samples, checkpoints, plots) is overhead.
The time for measuring samples, which `eval_every` keeps to 3 % of a long run, is shown separately.

Times are those of the processor, and so shares hardly depend on other programs. Use one thread:
those that wait count, too.
"""

from __future__ import annotations

import sys
import tempfile
import time

STARTED = time.process_time()


def main() -> None:
    """Print the shares, with and without the start of the program."""
    from ganctl.cli import main as ganctl
    from ganctl.training import loop, recorder, session

    seconds = {"updates": 0.0, "measuring": 0.0}
    ready = 0.0
    plain_train = session.Session.train

    def timed(name, function):
        def called(*args, **kwargs):
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[name] += time.process_time() - start

        return called

    def timed_train(*args, **kwargs):
        nonlocal ready
        ready = time.process_time()
        return plain_train(*args, **kwargs)

    loop.train_step = timed("updates", loop.train_step)
    recorder.Recorder._measure_quality = timed("measuring", recorder.Recorder._measure_quality)
    session.Session.train = timed_train
    with tempfile.TemporaryDirectory() as folder:
        code = ganctl(["train", "--out", f"{folder}/run", *sys.argv[1:]])
    ended = time.process_time()
    assert code == 0, code
    whole, training = ended - STARTED, ended - ready
    updates, measuring = seconds["updates"], seconds["measuring"]
    print(f"command {whole:.1f} s, training {training:.1f} s, of which updates {updates:.1f} s, "
          f"measuring samples {measuring:.1f} s ({100 * measuring / training:.2f} %)")  # fmt: skip
    rest = training - updates - measuring
    print(f"all the rest of the training: {rest:.1f} s ({100 * rest / training:.2f} %)")
    print(f"outside the updates, with the program's start: {100 * (1 - updates / whole):.2f} %")


if __name__ == "__main__":
    main()
