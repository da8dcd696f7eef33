"""Kill training runs with kill -9, resume them, and compare them bit for bit with whole ones.

    python tests/stress/kills.py [--kills 200] [--seed 0] [--points [--every N]]

Each run is a process of its own that goes through the whole command line. It is killed at a
random moment (with --points, at every call that it makes to the disk, in turn, or at every N-th).
Then every checkpoint in its folder must load; once a checkpoint was saved, ckpt.pt must exist and
have the step that was saved last; and no more steps may be lost than --save-every allows. The run
is started again with --resume (or from the beginning if nothing was saved), must continue at that
step, and is killed again, until it ends. Its weights, optimizers, history, losses.csv, best.pt,
snapshots and sample pictures must equal those of a run that was left alone.
"""

from __future__ import annotations

import argparse
import csv
import functools
import importlib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

import torch
from faults import FaultyDisk

from ganctl import features, files, plots
from ganctl.checkpoint import Checkpoint
from ganctl.cli import main as ganctl
from ganctl.datasets import mnist
from ganctl.store import LATEST, RunDirectory, read_checkpoint
from ganctl.training import loop

EPOCH = 4
"""Steps per epoch of the runs."""
KINDS = [(preset, precision) for preset in ("fast", "dcgan") for precision in ("fp32", "bf16")]
TIMES = {"seconds", "elapsed_seconds", "images_per_sec"}
PARTS = (
    *("generator", "generator_ema", "discriminator", "optimizer_g", "optimizer_d"),
    *("config", "step", "history", "partial", "data"),
)


def options(preset: str, precision: str, *, epochs: int, save_every: float) -> list[str]:
    """Options of a quick run."""
    batch = 32
    return [
        *("train", "--preset", preset, "--precision", precision, "--device", "cpu"),
        *("--limit", f"{EPOCH * batch}", "--batch-size", f"{batch}", "--epochs", f"{epochs}"),
        *("--num-samples", "4"),
        *("--set", "base_channels=2", "--latent-dim", "8", "--set", "eval_samples=10"),
        *("--snapshot-every", "1", "--keep", "2", "--save-every", f"{save_every}"),
    ]


@dataclass
class Tally:
    """Counts of what happened."""

    kills: int = 0
    runs: int = 0
    trainings: int = 0
    resumed: int = 0
    most_lost: int = 0
    """Largest number of steps lost by one kill."""
    where: Counter[str] = field(default_factory=Counter)


class Witness:
    """Counts of the steps and saves of a run, in memory that outlives its process."""

    def __init__(self) -> None:
        self._trained, self._saved = RawValue("q"), RawValue("q")

    def watch(self) -> None:
        """Count steps and saves in this process and those that it starts."""
        plain_step, plain_rename = loop.train_step, files.Disk.rename

        def train_step(*arguments: Any) -> Any:
            result = plain_step(*arguments)
            self._trained.value += 1
            return result

        def rename(disk: files.Disk, old: Path, new: Path, dir_fd: int | None = None) -> None:
            plain_rename(disk, old, new, dir_fd)
            if new.name == LATEST:
                self._saved.value = self._trained.value

        loop.train_step = train_step
        files.Disk.rename = rename

    def forget(self) -> None:
        """Reset the counts for another run."""
        self._trained.value, self._saved.value = 0, -1

    @property
    def trained(self) -> int:
        """Number of steps that the current run has trained."""
        return self._trained.value

    @property
    def saved(self) -> int | None:
        """Number of trained steps that the last ckpt.pt has; None if none was written."""
        return self._saved.value if self._saved.value >= 0 else None


witness = Witness()


@dataclass
class Seen:
    """The content of a run's folder between two sessions."""

    step: int | None = None
    """Step of ckpt.pt; None if there is none."""
    starts: list[dict[str, Any]] = field(default_factory=list)
    """Starts of the run, from config.json."""


def start(arguments: list[str], log: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Start a run in a child process; return its process id."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        prepare()
        code = ganctl(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def end_of(process: int, seconds: float | None = None) -> int:
    """Return how a process ended, a negative signal or an exit code; kill it after `seconds`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(process, 0 if deadline is None else os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(process, signal.SIGKILL)
            deadline = None
        else:
            time.sleep(0.001)


def bits(value: object) -> object:
    """Return a value with tensors as bytes, so that == compares every bit."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [bits(item) for item in value]
    return value


def outcome(folder: Path) -> dict[str, object]:
    """Return everything in a finished run that does not depend on the clock."""
    run = RunDirectory(folder)
    content: dict[str, object] = {}
    for path in run.checkpoints():
        found: Checkpoint = read_checkpoint(path)
        content[path.name] = {part: bits(getattr(found, part)) for part in PARTS}
    with (folder / "losses.csv").open(newline="") as file:
        content["losses.csv"] = [bits(row) for row in csv.DictReader(file)]
    content.update((path.name, path.read_bytes()) for path in run.samples())
    assert run.best.name in content
    return content


def look(folder: Path, before: Seen) -> Seen:
    """Check and return what a run has left, killed or not, after `before`.

    Checks that every checkpoint is whole, that the latest is no older than the last one saved, and
    that its step counts on from `before`: the run did not start again.
    """
    run = RunDirectory(folder)
    first, saved = before.step or 0, witness.saved
    known = before.step if saved is None else first + saved
    for path in run.checkpoints():
        if path.exists():
            read_checkpoint(path)
    assert known is None or run.latest.exists(), f"{folder}: step {known} was saved and is lost"
    now = Seen(read_checkpoint(run.path).step if run.latest.exists() else None, run.read_starts())
    if now.step is not None:
        # A kill between a rename and its counting: the checkpoint is newer than counted.
        bounds = known or 0, first + witness.trained
        assert bounds[0] <= now.step <= bounds[1], f"{folder}: step {now.step}, not in {bounds}"
    new = now.starts[len(before.starts) :]
    assert now.starts[: len(before.starts)] == before.starts, f"{folder}: {now.starts}"
    assert [start["from_step"] for start in new] in ([], [first]), f"{folder}: {new}, not {first}"
    assert new or not witness.trained, f"{folder}: trained without a record"
    return now


def note_kill(folder: Path, seen: Seen, lost: int, tally: Tally) -> None:
    """Count a kill, and at what moment it came."""
    tally.kills += 1
    tally.most_lost = max(tally.most_lost, lost)
    if seen.step is None:
        tally.where["before the first checkpoint"] += 1
    elif any(map(files.is_temporary, folder.rglob("*"))):
        tally.where["in the middle of a write"] += 1
    else:
        tally.where["between writes"] += 1


def one_run(
    arguments: list[str],
    folder: Path,
    reference: dict[str, object],
    tally: Tally,
    killed: Callable[[list[str]], bool],
    may_lose: int,
) -> None:
    """Call `killed`, which starts and may kill a run, until it was not killed; check its end."""
    arguments, seen, ended_itself = [*arguments, "--out", str(folder)], Seen(), False
    while not ended_itself:
        witness.forget()
        before = seen
        resumes = before.step is not None
        ended_itself = not killed([*arguments, "--resume"] if resumes else arguments)
        seen = look(folder, before)
        tally.resumed += resumes and len(seen.starts) > len(before.starts)
        lost = (before.step or 0) + witness.trained - (seen.step or 0)
        assert lost <= (0 if ended_itself else may_lose), f"{folder}: {lost} steps lost"
        if not ended_itself:
            note_kill(folder, seen, lost, tally)
    tally.runs += 1
    ended = outcome(folder)
    assert ended.keys() == reference.keys(), (arguments, ended.keys() ^ reference.keys())
    different = [name for name in reference if ended[name] != reference[name]]
    assert not different, (arguments, different)
    assert not any(map(files.is_temporary, folder.rglob("*"))), arguments


def run_to_end(arguments: list[str], log: Path) -> None:
    """Train to the end without a kill."""
    code = end_of(start(arguments, log))
    assert code == 0, f"exit code {code}: {log.read_text()}"


def random_kills(work: Path, wanted: int, seed: int) -> Tally:
    """Kill runs, which save at every step, `wanted` times at uniformly random moments."""
    chance, tally, log = random.Random(seed), Tally(), work / "log"
    of_kind = {kind: options(*kind, epochs=3, save_every=1e-6) for kind in KINDS}
    references, durations = {}, {}
    for kind, arguments in of_kind.items():
        folder = work / f"whole-{'-'.join(kind)}"
        begun = time.monotonic()
        run_to_end([*arguments, "--out", str(folder)], log)
        durations[kind] = time.monotonic() - begun
        references[kind] = outcome(folder)

    def killed(arguments: list[str]) -> bool:
        tally.trainings += 1
        moment = chance.uniform(0, durations[kind]) if tally.kills < wanted else None
        code = end_of(start(arguments, log), moment)
        assert code in (0, -signal.SIGKILL), f"exit code {code}: {log.read_text()}"
        return code != 0

    for number, kind in enumerate(itertools.cycle(KINDS)):
        if tally.kills >= wanted:
            return tally
        folder = work / f"killed-{number}"
        one_run(of_kind[kind], folder, references[kind], tally, killed, may_lose=1)
    raise AssertionError


def kills_at_points(work: Path, epochs: int, every: int) -> Tally:
    """Kill a run in place of its calls to the disk, right after the previous one.

    These are the first call and every `every`-th one after it.
    """
    tally, log = Tally(), work / "log"
    arguments = options(*KINDS[0], epochs=epochs, save_every=1e9)
    run_to_end([*arguments, "--out", str(work / "whole")], log)
    reference = outcome(work / "whole")

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killed(arguments: list[str]) -> bool:
        nonlocal disk
        tally.trainings += 1
        code = end_of(start(arguments, log, lambda: setattr(files, "disk", disk)))
        assert code in (0, -signal.SIGKILL), f"exit code {code}: {log.read_text()}"
        disk = files.Disk()
        return code != 0

    for number in itertools.count(1, every):
        kills = tally.kills
        disk: files.Disk = FaultyDisk(die, number)
        folder = work / f"killed-{number}"
        one_run(arguments, folder, reference, tally, killed, may_lose=EPOCH)
        if tally.kills == kills:  # a run makes no more calls than that
            return tally
    raise AssertionError


def main() -> None:
    """Print what happened; an assertion fails if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", action="store_true")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, with --points")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="N-th of the --points")
    chosen = parser.parse_args()
    # A child starts from this process as it is: with torch loaded, and one thread, since threads
    # do not live on in it. Plots are not what is tested here, and take longer than all the rest.
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # two seconds at each start
    mnist.load_train = functools.cache(mnist.load_train)
    mnist.load_train()
    # A few images to measure by, and the classifier read once: the start of each child is short.
    images, labels = mnist.load_test()
    mnist.load_test = lambda: (images[:20], labels[:20])
    features.load = functools.cache(features.load)
    features.load("auto", "mnist", torch.device("cpu"))
    plots.losses_png = lambda history, title: b"a plot"
    witness.watch()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        if chosen.points:
            tally = kills_at_points(Path(work), chosen.epochs, chosen.every)
        else:
            tally = random_kills(Path(work), chosen.kills, chosen.seed)
    print(f"{tally.kills} kills, {tally.trainings} trainings, {tally.runs} runs, all ended equal")
    print(f"  {tally.resumed:4d} begun by --resume, each at the step that was saved last")
    print(f"  {tally.most_lost:4d} steps lost at most, by a kill")
    for where, count in sorted(tally.where.items()):
        print(f"  {count:4d} {where}")
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
