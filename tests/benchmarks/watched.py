"""Measure the overhead of the live screen from inside a training run.

    python tests/benchmarks/watched.py [OPTIONS OF ganctl train ...]

The program trains in a terminal of 140x40 cells with 24-bit colors. Three times are counted: the
wall-clock seconds inside the display's calls and inside the drawing of preview samples, both of
which hold up training, and the CPU seconds of the painting thread, which may run beside it. Unlike
a comparison of two training runs (watching.py), this is not lost in the noise of other programs.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "terminal"))
from emulator import Emulator

seconds: Counter[str] = Counter()


def counted(owner: type, name: str, kind: str, clock=time.perf_counter) -> None:
    """Wrap a method so that its seconds are added to `kind`."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def call(*arguments, **options):
        started = clock()
        try:
            return method(*arguments, **options)
        finally:
            seconds[kind] += clock() - started

    setattr(owner, name, call)


def train(out: str, options: list[str]) -> None:
    """Train inside the terminal, and write the seconds of each kind to a file."""
    from ganctl.cli import main
    from ganctl.cli.live import display, screen
    from ganctl.training import pictures, session

    for name in ("on_step", "on_samples", "on_epoch", "on_start", "on_end"):
        counted(display.LiveScreen, name, "display's calls")
    counted(pictures.Pictures, "preview_if_due", "samples for the preview")
    counted(screen.Screen, "_paint", "painting", time.thread_time)
    counted(session.Session, "train", "training")
    code = main(["train", "--out", f"{out}/run", *options])
    Path(out, "seconds.json").write_text(json.dumps(seconds), "utf-8")
    raise SystemExit(code)


def run(options: list[str]) -> None:
    """Train once, and print the share of the training time that each kind takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--inside", folder, *options]
        with Emulator(command, 140, 40, emulate=False) as terminal:
            assert terminal.end(3600) == 0, terminal.output.decode()
        found = json.loads(Path(folder, "seconds.json").read_text("utf-8"))
    whole = found.pop("training")
    for kind, spent in found.items():
        print(f"{kind}: {spent:.3f} s, {spent / whole:.2%}")
    print(f"together {sum(found.values()) / whole:.2%} of {whole:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        train(sys.argv[2], sys.argv[3:])
    run(sys.argv[1:])
